"""Conservation of mass."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import finite, finite_tensor, interval
from physgen.constraints.base import Constraint, check_fields, given_values, values_of
from physgen.constraints.fit import Fit
from physgen.constraints.mass.balance import MassBalance
from physgen.constraints.mass.capped_simplex import project_capped_simplex
from physgen.constraints.mass.source import Source, production, read_source
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import CLOSED, Grid
from physgen.ops.frame_mass import mass

#: m0 and k
CONSTANTS = ("initial_mass", "bleaching_rate")
BLEACHING = ("none", "exponential")
#: absolute mass that the scale of the residual is at least this part of
FLOOR = 1e-3
#: why the mass of a sample is not measured where it is negative
NEGATIVE = "amounts are negative (is the background that was taken off too large?)"
#: standard errors that a rate of bleaching is above 0, at least, to be one
CLEAR = 3.0


class MassConservation(Constraint):
    """What is in the frame stays there, but for known inflow and sources and for bleaching.

    m(t) = sum_x c dy dx,  dm_expected/dt = inflow + sum_x source dy dx - k m_expected,  m_expected(0) = m0
    residual[b, s, t] = (m - m_expected) / scale[b],  scale = max_s mean_t |m_expected|

    Masses are summed in float64, what comes in by the trapezoid rule. A fitted m0 (and k >= 0) minimises
    sum_t (m - m_expected)^2 with m_expected between 0 and a frame full of ``maximum``, see `MassBalance.fit`. Fitted
    values follow the fields. At its minimum the misfit does not change with them to first order (envelope theorem), so
    the gradient of the loss is that at fixed values; but the residual changes, and a solver that meets other laws too
    has to know that the mass may move. The scale is detached: for a given scale all derivatives are exact. They go
    through a source that depends on the fields. The scale is at least 1/1000 of the absolute mass, and 1 for a field
    that is zero, whose residual is 0.

    Args:
        initial_mass: m0 of every species, in ``unit`` µm²; fitted to each sample and species when None.
        inflow: net mass entering per second, through the boundary or from sources, ``unit`` µm²/s: a number, one per
            frame, or nested lists that broadcast to ``[S, T]`` (``[[1], [-1]]``: constant, of two species).
        source: what is made in place, ``unit``/s, as a function of the fields ``[B, S, T, *space]`` to a tensor that
            broadcasts to them: a reaction, or a given map (``lambda fields: map``). `project` takes it at the fields
            that it gets, and is exact where it does not depend on them.
        bleaching: ``none`` (k = 0) or ``exponential`` (k fitted to each sample and species, 1/s).
        maximum: largest possible concentration, in ``unit``; None for no limit. Used by `project` and to bound m0. A
            video has a limit of its own, the highest value that its colours can show: see `within`.
        species: numbers, from 0, of those whose mass stays, where not all of them do: s is how many these are, also in
            ``inflow``, and the others are left alone. A source is of all.

    Raises:
        InvalidArgument: a value that is not finite, a negative mass, a maximum that is not positive, an unknown
            bleaching, species that are no whole numbers or named twice; in use, species that the fields do not have.

    Source: the continuity equation integrated over the frame; envelope theorem: Milgrom and Segal (2002),
        Econometrica 70:583.

    >>> grid = Grid(spacing=(2.0, 2.0), dt=0.5)
    >>> leaking = torch.stack([torch.full((8, 8), 1.0), torch.full((8, 8), 0.8)])[None, None]
    >>> [round(x, 6) for x in MassConservation(initial_mass=256.0).residual(leaking, grid).flatten().tolist()]
    [0.0, -0.2]
    >>> MassConservation(initial_mass=256.0, species=[1]).residual(leaking.expand(1, 2, 2, 8, 8), grid).shape
    torch.Size([1, 1, 2])
    """

    name = "mass"
    needs_amounts = True
    projects = True

    def __init__(
        self,
        initial_mass: float | int | None = None,
        inflow: float | int | Sequence[float | int] | Sequence[Sequence[float | int]] = 0.0,
        bleaching: str = "none",
        maximum: float | int | None = None,
        source: Source | None = None,
        species: Sequence[int] | None = None,
    ) -> None:
        if bleaching not in BLEACHING:
            raise InvalidArgument("bleaching", bleaching, ", ".join(BLEACHING))
        self.bleaching = bleaching
        self.initial_mass = (
            None
            if initial_mass is None
            else finite("initial_mass", initial_mass, "None or a finite number >= 0", lambda value: value >= 0)
        )
        self.inflow = self._numbers(inflow)
        self.source = None if source is None else read_source(source)
        self.maximum = (
            math.inf
            if maximum is None
            else finite("maximum", maximum, "None or a finite number > 0", lambda value: value > 0)
        )
        self.species = None if species is None else _numbers_of_species(species)
        self._held: dict[str, Tensor] = {}

    @property
    def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
        """Which of m0 and k are fitted."""
        free = dict(zip(CONSTANTS, (self.initial_mass is None, self._lossy), strict=True))
        return tuple(name for name, fitted in free.items() if fitted and name not in self._held)

    @property
    def needs_constant_dt(self) -> bool:  # type: ignore[override]
        """Whether anything bleaches, comes in or goes out over time."""
        return not self.closed

    @property
    def closed(self) -> bool:
        """Whether nothing bleaches, is made, comes in or goes out."""
        return not self._lossy and self.source is None and not bool(self.inflow.any())

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B s T"]:
        """Relative excess of mass ``[B, s, T]`` of fields ``[B, S, T, *space]``, in their dtype (at least float32).

        Raises:
            InvalidArgument: fewer than two frames, a rank that is not the grid's, NaN or Inf, no grid, an inflow or a
                source that does not broadcast to the fields, or a boundary that lets mass through (``dirichlet``,
                ``open``) without an inflow.
        """
        amount, size, grid = self._mass(fields, grid)
        balance = self._balance(fields, grid)
        expected = balance.at(*balance.fit(amount, self._lossy))
        with torch.no_grad():
            scale = torch.maximum(expected.abs().mean(2).amax(1), FLOOR * size.mean(2).amax(1))
            scale = torch.where(scale > 0, scale, 1.0)[:, None, None]
        return ((amount - expected) / scale).to(torch.promote_types(fields.dtype, torch.float32))

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """Nearest fields with the expected mass in every frame and all values of what is conserved in [0, maximum].

        argmin |c' - c|^2 over {m'(t) = m_expected(t), 0 <= c' <= maximum}  =  clip(c + shift(t), 0, maximum)

        Fitted parameters are those of clip(c, 0, maximum), which a frame can hold. Computed in float64; rounding to the
        dtype of ``fields`` changes a mass by at most half its eps, relatively (6e-8 in float32). Detached.

        Raises:
            InvalidArgument: as `residual`; an expected mass that no field in [0, maximum] has.
            NoSolution: a sample that is negative everywhere, of which no mass is known.
        """
        _, _, grid = self._mass(fields, grid)
        exact = self.conserved(fields).double()
        if "initial_mass" in self.fitted and bool((exact < 0).flatten(1).all(1).any()):
            raise NoSolution("fields", "a sample is negative everywhere", "amounts >= 0, or initial_mass=")
        clipped = mass(exact.clamp(0, self.maximum))[0] * grid.cell_area
        balance = self._balance(fields, grid)
        expected, capacity = balance.at(*balance.fit(clipped, self._lossy)), balance.capacity
        slack = 1e-9 * expected.abs().amax()
        if bool((expected < -slack).any()) or bool((expected > capacity + slack).any()):
            span = (float(expected.min()), float(expected.max()))
            raise InvalidArgument("expected mass", span, f"0 to {capacity:g}, what the frame holds below maximum")
        total = expected.clamp(0, capacity) / grid.cell_area
        projected = project_capped_simplex(exact.flatten(3), total, self.maximum).view_as(exact).to(fields.dtype)
        if self.species is None:
            return projected
        return fields.detach().clone().index_copy_(1, torch.tensor(self.species, device=fields.device), projected)

    @torch.no_grad()
    def fit(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Fit:
        """Fitted ``initial_mass`` (``unit`` µm²) and ``bleaching_rate`` (1/s), each ``[B][S]``.

        >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0)
        >>> fading = torch.exp(-0.25 * torch.arange(5.0)).view(1, 1, 5, 1, 1).expand(1, 1, 5, 2, 2)
        >>> rate = MassConservation(bleaching="exponential").fit(fading, grid).values["bleaching_rate"]
        >>> round(rate[0][0], 6)
        0.25
        """
        if not self.fitted:
            return Fit()
        amount, _, grid = self._mass(fields, grid)
        balance = self._balance(fields, grid)
        initial, rate = balance.fit(amount, self._lossy)
        values = dict(zip(CONSTANTS, (initial, rate), strict=True))
        errors = dict(zip(CONSTANTS, balance.errors(amount, initial, rate, self._lossy), strict=True))
        reasons = [
            self._why_unmeasured(*sample)
            for sample in zip(amount, initial, rate, errors["bleaching_rate"], strict=True)
        ]
        return Fit(
            {name: values[name].tolist() for name in self.fitted},
            {name: errors[name].tolist() for name in self.fitted},
            {name: _intervals(values[name], errors[name], amount.shape[2] - len(self.fitted)) for name in self.fitted},
            identifiable=initial.gt(0).all(1).tolist(),
            measured=[reason is None for reason in reasons],
            reason=reasons,
        )

    def within(self, bounds: tuple[float, float]) -> MassConservation:
        """The law on fields that cannot exceed the upper bound.

        >>> MassConservation(maximum=2.0).within((0.0, 1.0)).maximum
        1.0
        """
        law = copy.copy(self)
        law.maximum = min(self.maximum, interval("bounds", bounds)[1])
        return law

    def with_constants(self, constants: Fit | Mapping[str, Any]) -> MassConservation:
        """The law with m0 and k given, each ``[B][S]``.

        >>> law = MassConservation().with_constants({"initial_mass": [[8.0]]})
        >>> law.fitted
        ()
        """
        law = copy.copy(self)
        law._held = self._held | given_values(constants, self.fitted)
        return law

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> MassConservation:
        """The law with the m0 and k of these samples, where they were given."""
        law = copy.copy(self)
        law._held = {name: values_of(name, values, chosen) for name, values in self._held.items()}
        return law

    def conserved(self, fields: Float[Tensor, "B S *shape"]) -> Float[Tensor, "B s *shape"]:
        """The species whose mass stays, of all species: of fields, or of amounts.

        Raises:
            InvalidArgument: fields that do not have them.
        """
        if self.species is None:
            return fields
        if max(self.species) >= fields.shape[1]:
            raise InvalidArgument("species", self.species, f"numbers, from 0, of {fields.shape[1]} species")
        return fields[:, self.species]

    @staticmethod
    def _numbers(inflow: Any) -> Tensor:
        allowed = "finite numbers, mass per second: one, [frame] or [species][frame]"
        values = finite_tensor("inflow", inflow, allowed)
        if values.ndim > 2:
            raise InvalidArgument("inflow", inflow, allowed)
        return values

    def _mass(self, fields: Tensor, grid: Grid | None) -> tuple[Tensor, Tensor, Grid]:
        grid = check_fields(fields, grid, finite=False)
        if grid.boundary not in CLOSED and not bool(self.inflow.any()):
            raise InvalidArgument("boundary", grid.boundary, f"{', '.join(CLOSED)}, or any with an inflow")
        signed, absolute = (total * grid.cell_area for total in mass(fields))
        if not bool(signed.isfinite().all()):
            raise InvalidArgument("fields", "NaN or Inf", "finite values")
        return self.conserved(signed), self.conserved(absolute), grid

    def _why_unmeasured(self, amount: Tensor, initial: Tensor, rate: Tensor, error: Tensor) -> str | None:
        """Why one sample's m0 and k ``[S]`` are not carried by its mass ``[S, T]``; None where they are."""
        if bool((amount.mean(1) < 0).all()):
            return NEGATIVE
        if not bool((initial > 0).any()):
            return "there is no mass"
        there = initial > FLOOR * initial.max()
        if "bleaching_rate" in self.fitted and not bool((rate > CLEAR * error)[there].any()):
            return "no bleaching"
        return None

    @property
    def _lossy(self) -> bool:
        return self.bleaching == "exponential"

    def _balance(self, fields: Tensor, grid: Grid) -> MassBalance:
        expected = self.conserved(fields).shape[:2]
        for name, values in self._held.items():
            if values.shape != expected:
                raise InvalidArgument(name, list(values.shape), f"one of each sample and species, {list(expected)}")
        capacity = self.maximum * grid.cell_area * math.prod(fields.shape[3:])
        initial = self._held.get("initial_mass", self.initial_mass)
        return MassBalance(self._supply(fields, grid), grid.dt, capacity, initial, self._held.get("bleaching_rate"))

    def _supply(self, fields: Tensor, grid: Grid) -> Tensor:
        """Mass per second that each species gains, ``[..., S, T]``."""
        species, frames = self.conserved(fields).shape[1:3]
        if tuple(self.inflow.shape) not in ((), (frames,), (species, 1), (species, frames)):
            allowed = f"one, one per frame, {frames}, or nested lists [{species}][1] or [{species}][{frames}]"
            raise InvalidArgument("inflow", f"{list(self.inflow.shape)} values", allowed)
        inflow = self.inflow.to(fields.device).expand(species, frames)
        if self.source is None:
            return inflow
        return inflow + mass(self.conserved(production(self.source, fields)))[0] * grid.cell_area


def _numbers_of_species(given: Any) -> list[int]:
    allowed = "None or a list of numbers of species, from 0, each once"
    listed = isinstance(given, Sequence) and not isinstance(given, str)
    if not listed or not given or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in given):
        raise InvalidArgument("species", given, allowed)
    if len(set(given)) < len(given):
        raise InvalidArgument("species", given, allowed)
    return list(given)


def _intervals(values: Tensor, errors: Tensor, freedom: int) -> list[list[list[float]]]:
    """95 % intervals ``[B][S][2]`` of what is never negative."""
    from scipy.stats import t

    reach = float(t.ppf(0.975, max(freedom, 1))) * errors
    return torch.stack([(values - reach).clamp(min=0), values + reach], -1).tolist()
