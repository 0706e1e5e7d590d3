"""Well-mixed compartments that react, exchange and are injected into: trajectories and their sensitivities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.equations.codegen import function_body
from physgen.equations.reaction_system import ReactionSystem
from physgen.errors import NoSolution

#: relative error of a step; the absolute one is that of `FINEST` of the size of the state
TOLERANCE, FINEST = 1e-7, 1e-2
#: part of the duration by which a bolus and a frame are at the same time
SAME = 1e-9
#: steps that a trajectory may take, and frames above which gradients are those of the adjoint equation
STEPS, LONG = 5_000, 128


class Compartments:
    """Ordinary differential equations of concentrations that are the same everywhere in a compartment.

    dc_s/dt = R_s(c; theta) + sum_r k_sr (c_r - c_s) / V_s + sum_j amount_j delta(t - t_j)

    The state x is the initial concentrations, then the constants: parameters of the reactions, rates of exchange k and
    volumes V. A bolus is there from the frame at its time on.

    Args:
        system: the reactions R.
        exchange: pairs of species (compartments) between which mass flows, conserving sum_s V_s c_s.
        boluses: (time s, species, amount in units of c), each at a time >= 0.

    Source: Godfrey (1983), Compartmental Models and Their Application.

    >>> halves = Compartments(ReactionSystem(["a", "b"], [], ["0", "0"]), exchange=[("a", "b")])
    >>> halves.names
    ('a', 'b', 'exchange_a_b', 'volume_a', 'volume_b')
    >>> x, times = torch.tensor([0.0, 1.0, 0.5, 1.0, 1.0]).double(), torch.arange(3).double()
    >>> [round(c, 6) for c in halves.trajectory(x, times)[:, 0].tolist()]
    [0.0, 0.31606, 0.432332]
    """

    def __init__(
        self,
        system: ReactionSystem,
        exchange: Sequence[tuple[str, str]] = (),
        boluses: Sequence[tuple[float, str, float]] = (),
    ) -> None:
        import sympy

        self.species = system.species
        exchanged = [name for name in self.species if any(name in pair for pair in exchange)]
        flow_rates = [f"exchange_{a}_{b}" for a, b in exchange]
        self.names = (*self.species, *system.parameters, *flow_rates, *(f"volume_{name}" for name in exchanged))
        self.boluses = sorted((time, self.species.index(name), amount) for time, name, amount in boluses)
        symbol = {name: sympy.Symbol(name, real=True) for name in self.names}
        rates = dict(zip(self.species, system.rates, strict=True))
        for (a, b), k in zip(exchange, flow_rates, strict=True):
            flow = symbol[k] * (symbol[b] - symbol[a])
            rates[a] += flow / symbol[f"volume_{a}"]
            rates[b] -= flow / symbol[f"volume_{b}"]
        self._symbols, self._equations = symbol, list(rates.values())
        self._rates = _function(self._equations, list(symbol.values()))
        self._rates_along = cache(self._generate_rates_along)

    def trajectory(
        self, x: Float[Tensor, "N"], times: Float[Tensor, "T"], tolerance: float = TOLERANCE
    ) -> Float[Tensor, "T S"]:
        """Concentrations at increasing ``times`` (s, from 0), differentiable in x.

        The gradient goes through the solver's steps, and where there are more than `LONG` frames from one bolus to the
        next, through the adjoint equation, whose memory does not grow with them.

        Raises:
            NoSolution: a system that needs more than `STEPS` steps.
        """
        return self._solve(x[None, : len(self.species)], x, None, times, tolerance)[:, 0]

    def sensitivities(
        self,
        x: Float[Tensor, "N"],
        directions: Float[Tensor, "P N"],
        times: Float[Tensor, "T"],
        tolerance: float = TOLERANCE,
    ) -> tuple[Float[Tensor, "T S"], Float[Tensor, "P T S"]]:
        """Concentrations, and their derivatives along ``directions`` of x by the forward sensitivity equations.

        Both have gradients in x, which go through the solver's steps.
        """
        species = len(self.species)
        state = torch.cat([x[None, :species], directions[:, :species]])
        solved = self._solve(state, x, directions[:, species:], times, tolerance).transpose(0, 1)
        return solved[0], solved[1:]

    def _generate_rates_along(self, moving: tuple[str, ...]) -> Callable[..., tuple[Tensor, ...]]:
        """Rates, and their derivatives along a direction of these names only, as a function of state and direction.

        The derivative along a constant that is fixed may not be finite: that of sqrt(k) is not at k = 0.
        """
        import sympy

        along = {name: sympy.Symbol(f"along {name}", real=True) for name in moving}
        tangents = [sum(rate.diff(self._symbols[name]) * along[name] for name in moving) for rate in self._equations]
        return _function([*self._equations, *tangents], [*self._symbols.values(), *along.values()])

    def _solve(self, state: Tensor, x: Tensor, directions: Tensor | None, times: Tensor, tolerance: float) -> Tensor:
        """Rows of ``state`` (concentrations, then derivatives) at ``times``, from one bolus to the next."""
        pieces, start, end = [], 0.0, float(times[-1])
        absolute = tolerance * FINEST * self._size(x, end)
        injected = [(_on_frame(time, times), species, amount) for time, species, amount in self.boluses]
        boluses = [bolus for bolus in injected if bolus[0] <= end]
        for stop, species, amount in [*boluses, (math.inf, 0, 0.0)]:
            inside = times[(times >= start) & (times < stop)]
            marks = torch.unique(torch.cat([inside.new_tensor([start, min(stop, end)]), inside]))
            solved = (
                self._integrate(state, x, directions, marks, (tolerance, absolute)) if len(marks) > 1 else state[None]
            )
            pieces.append(solved[torch.searchsorted(marks, inside)])
            start, state = stop, solved[-1].clone()
            state[0, species] = state[0, species] + amount
        return torch.cat(pieces)

    def _integrate(
        self, state: Tensor, x: Tensor, directions: Tensor | None, times: Tensor, tolerance: tuple[float, float]
    ) -> Tensor:
        from torchdiffeq import odeint, odeint_adjoint

        species, constants = len(self.species), x[len(self.species) :]
        if directions is not None:
            moving = directions.any(0)
            directions = directions[:, moving]
            names = itertools.compress(self.names[species:], moving.tolist())
            rates_along = self._rates_along((*self.species, *names))
        span = float(times[-1] - times[0])  # the unit of time: the solver's first step depends on it

        def rate(_: Tensor, rows: Tensor) -> Tensor:
            point = torch.cat([rows[0], constants]).unbind()
            if directions is None:
                return torch.stack(self._rates(*point))[None] * span
            tangents = torch.cat([rows[1:], directions], 1).unbind(1)
            results = rates_along(*point, *tangents)
            along = torch.stack([result.expand_as(tangents[0]) for result in results[species:]], 1)
            return torch.cat([torch.stack(results[:species])[None], along]) * span

        options = {"rtol": tolerance[0], "atol": tolerance[1], "method": "dopri5", "options": {"max_num_steps": STEPS}}
        try:
            if x.requires_grad and directions is None and len(times) > LONG:
                return odeint_adjoint(rate, state, times / span, adjoint_params=(constants,), **options)
            return odeint(rate, state, times / span, **options)
        except AssertionError as error:
            values = dict(zip(self.names, x.tolist(), strict=True))
            needed = f"values at which {STEPS} steps of dopri5 are enough"
            raise NoSolution("kinetics", f"not solved at {values}", needed) from error

    @torch.no_grad()
    def _size(self, x: Tensor, duration: float) -> float:
        """Concentration that the absolute tolerance is relative to: initial, injected, or what the first rates make."""
        species = len(self.species)
        made = torch.stack(self._rates(*x)).abs().max() * duration
        size = max(float(x[:species].abs().max()), float(made), *(abs(amount) for *_, amount in self.boluses), 0.0)
        return size if size > 0 else 1.0


def _on_frame(time: float, times: Tensor) -> float:
    """The time of the frame that is then, as n dt comes out in floating point; the time itself between frames."""
    frame = float(times[(times - time).abs().argmin()])
    return frame if abs(frame - time) <= SAME * float(times[-1]) else time


def _function(expressions: list[Any], symbols: list[Any]) -> Callable[..., tuple[Tensor, ...]]:
    """A torch function of the symbols, in names that none of them can clash with."""
    import sympy

    safe = {symbol: sympy.Symbol(f"c{index}", real=True) for index, symbol in enumerate(symbols)}
    body = function_body([sympy.sympify(e).xreplace(safe) for e in expressions], "torch").replace("\n", "\n    ")
    namespace: dict[str, Any] = {"torch": torch}
    exec(f"def function({', '.join(map(str, safe.values()))}):\n    {body}\n", namespace)  # generated, never user text
    function: Callable[..., tuple[Tensor, ...]] = namespace["function"]
    return function
