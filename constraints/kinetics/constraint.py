"""Consistency of spatial means with ordinary differential equations."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.constraints.base import Constraint, check_fields, given_values, values_of
from physgen.constraints.constants import read_system
from physgen.constraints.fit import Fit
from physgen.constraints.kinetics.compartments import Compartments
from physgen.constraints.kinetics.fitted_constants import FittedConstants
from physgen.constraints.kinetics.given import Given, read_boluses, read_flows, read_regions, read_values
from physgen.constraints.least_squares import joined
from physgen.equations.reaction_system import ReactionSystem
from physgen.errors import InvalidArgument
from physgen.grid import CLOSED, Grid
from physgen.ops.frame_mass import mass

#: magnitude that the scale of a species is at least, relative to that of the largest
FLOOR = 1e-3
#: relative volume that a compartment has at least
SMALLEST = 1e-6


class Kinetics(Constraint):
    """Spatial means follow the equations of well-mixed reactions, exchange and injections.

    m[b, s, t] = mean_x c,  dc_s/dt = R_s(c; theta) + sum_r k_sr (c_r - c_s) / V_s + sum_j amount_j delta(t - t_j)
    residual[b, s, t] = (m - c(t_n)) / scale[b, s]

    The mean of a field follows R exactly where the field is uniform or R is linear. Concentrations c are solved in
    float64 by Dormand-Prince steps with a relative error of 1e-7 each. Every constant and initial concentration is
    fixed, a number, or fitted to each sample, (lowest, highest): least squares of the residual with exact derivatives
    of c (forward sensitivity equations), from the best of eight starts.

    scale[b, s] is the root mean square over time of c, or, where anything is fitted, of m, and at least 1/1000 of that
    of the largest species; 1 where nothing is there. It is detached: for a given scale all derivatives are exact.
    Fitted values follow the means, see `FittedConstants.trajectory`. At its minimum the misfit does not change with
    them to first order (envelope theorem), so the gradient of the loss is that at fixed values; but the residual
    changes, and a solver that meets other laws too has to know that the constants may move. Fixed values may be tensors
    that require grad: the gradient goes on, see `Compartments.trajectory`.

    Args:
        system: the reactions; the name of a shipped system, or the arguments of a `ReactionSystem` as a mapping.
        parameters: theta by name.
        initial: c(0) by species, in ``unit``; those that are missing are fitted, >= 0.
        boluses: (species, time s, amount ``unit``): what is added to the concentration at once, from the frame at that
            time on.
        exchange: (species, species, k): flow between two species, or the same species in two compartments, 1/s.
        volumes: V by species that exchange, relative; 1 where missing.
        regions: masks ``[R, *space]``, weights >= 0. Then species are the means of field s over region r in the order
            (s, r), and there are S R of them.

    Raises:
        InvalidArgument: an unknown system, a parameter missing, unknown or out of bounds, bounds that are not finite
            and increasing, a negative time, an exchange of unknown or equal species, a volume that is not positive,
            regions that are negative or empty.

    Source: fits: Bard (1974), Nonlinear Parameter Estimation; envelope theorem: Milgrom and Segal (2002), Econometrica
        70:583; sensitivities: Dickinson and Gelinas (1976), J. Comput. Phys. 21:123; solver: torchdiffeq, Chen et al.
        (2018), arXiv:1806.07366.

    >>> grid = Grid(spacing=(1.0, 1.0), dt=0.5)
    >>> decay = ReactionSystem(["c"], {"k": (0.0, 10.0)}, ["-k*c"])
    >>> fields = torch.exp(-0.7 * 0.5 * torch.arange(9.0)).view(1, 1, 9, 1, 1).expand(1, 1, 9, 4, 4)
    >>> Kinetics(decay, {"k": 0.7}, {"c": 1.0}).residual(fields, grid).abs().max().item() < 1e-6
    True
    >>> fit = Kinetics(decay, {"k": (0.01, 10.0)}).fit(fields, grid)
    >>> round(fit.values["k"][0], 4), fit.identifiable
    (0.7, [True])
    """

    name = "kinetics"
    needs_amounts = True

    def __init__(
        self,
        system: ReactionSystem | str | Mapping[str, Any],
        parameters: Mapping[str, Given] | None = None,
        initial: Mapping[str, Given] | None = None,
        boluses: Sequence[Sequence[Any]] = (),
        exchange: Sequence[Sequence[Any]] = (),
        volumes: Mapping[str, Given] | None = None,
        regions: Float[Tensor, "R *space"] | None = None,
    ) -> None:
        system = read_system(system)
        species = system.species
        flows = read_flows(exchange, species)
        self.compartments = Compartments(system, [pair for pair, _ in flows], read_boluses(boluses, species))
        exchanging = [name for name in species if any(name in pair for pair, _ in flows)]
        given = (
            *read_values("initial", initial, species, default=(0.0, math.inf)),
            *read_values("parameters", parameters, system.parameters),
            *(rate for _, rate in flows),
            *read_values("volumes", volumes, exchanging, default=1.0, lowest=SMALLEST),
        )
        values: dict[str, Any] = dict(zip(self.compartments.names, given, strict=True))
        for end in ("low", "high"):
            system.values({name: getattr(values[name], end, values[name]) for name in system.parameters})
        self._constants = FittedConstants(self.compartments, given)
        self._held: Float[Tensor, "B P"] | None = None
        self.regions = None if regions is None else read_regions(regions)

    @property
    def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the values that are fitted."""
        return () if self._held is not None else self._constants.names

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B R T"]:
        """Relative excess of the means ``[B, S, T]`` (``[B, S R, T]`` with regions), in float32 or better.

        Raises:
            InvalidArgument: fewer than two frames, a rank that is not the grid's, NaN or Inf, no grid, a boundary that
                lets mass through, fields or regions that do not match the species, or constants at which the equations
                take more than `compartments.STEPS` steps.
        """
        means, model = self.amounts(fields, grid)
        scale = self._scale(means.detach(), model.detach())[..., None]
        return ((means - model) / scale).to(torch.promote_types(fields.dtype, torch.float32))

    def amounts(
        self, fields: Float[Tensor, "B S T *space"], grid: Grid | None
    ) -> tuple[Float[Tensor, "B R T"], Float[Tensor, "B R T"]]:
        """Means of each species over space, and those that the law says, ``[B, S, T]`` in ``unit``, float64.

        Raises: InvalidArgument, as `residual`.

        >>> decay = ReactionSystem(["c"], {"k": (0.0, 10.0)}, ["-k*c"])
        >>> seen, expected = Kinetics(decay, {"k": 1.0}, {"c": 1.0}).amounts(torch.ones(1, 1, 2, 4), Grid((1.0,), 0.5))
        >>> seen.flatten().tolist(), [round(c, 4) for c in expected.flatten().tolist()]
        ([1.0, 1.0], [1.0, 0.6065])
        """
        means, times = self._means(fields, grid)
        if self.fitted:
            solved = torch.stack([self._constants.trajectory(*sample) for sample in self._samples(means, times)])
        else:
            states = self._states(len(means))
            solved = torch.stack([self.compartments.trajectory(x, times).T for x in states])
        return means, solved.expand_as(means).to(means)

    def fit(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Fit:
        """Fitted values with their standard errors, ``condition`` and ``identifiable`` of all of them together.

        Names are those of parameters, ``initial_SPECIES``, ``exchange_A_B`` and ``volume_A``. Identifiable: see
        `least_squares`; an error has to be less than the range.
        """
        if not self.fitted:
            return Fit()
        means, times = self._means(fields, grid)
        return joined(self.fitted, [self._constants.fit(*sample) for sample in self._samples(means.detach(), times)])

    def with_constants(self, constants: Fit | Mapping[str, Any]) -> Kinetics:
        """The law with its fitted values given, one of each sample.

        >>> decay = ReactionSystem(["c"], {"k": (0.0, 10.0)}, ["-k*c"])
        >>> Kinetics(decay, {"k": (0.0, 1.0)}, {"c": 1.0}).with_constants({"k": [0.5]}).fitted
        ()
        """
        if not self.fitted:
            return self
        values = given_values(constants, self.fitted)
        law = copy.copy(self)
        for name, column in values.items():
            if column.ndim != 1 or len(column) != len(next(iter(values.values()))):
                raise InvalidArgument(name, list(column.shape), "a list, one value of each sample")
        law._held = torch.stack(list(values.values()), 1)
        return law

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Kinetics:
        """The law with the values of these samples, where they were given."""
        law = copy.copy(self)
        law._held = None if self._held is None else values_of("constants", self._held, chosen)
        return law

    def _means(self, fields: Tensor, grid: Grid | None) -> tuple[Tensor, Tensor]:
        """Means of the species ``[B, S, T]``, float64, and times of the frames."""
        grid = check_fields(fields, grid)
        if grid.boundary not in CLOSED:
            raise InvalidArgument("boundary", grid.boundary, ", ".join(CLOSED))
        if self.regions is None:
            means = mass(fields)[0] / math.prod(fields.shape[3:])
        else:
            if self.regions.shape[1:] != fields.shape[3:]:
                raise InvalidArgument("regions", tuple(self.regions.shape), f"[R, *space] on {tuple(fields.shape[3:])}")
            weights = self.regions.flatten(1).to(fields.device)
            means = torch.einsum("bstn,rn->bsrt", fields.flatten(3).double(), weights).flatten(1, 2)
        species = self.compartments.species
        if means.shape[1] != len(species):
            raise InvalidArgument("fields", f"{means.shape[1]} means", f"one of each species, {', '.join(species)}")
        return means, grid.dt * torch.arange(fields.shape[2], dtype=torch.float64)

    def _scale(self, measured: Tensor, model: Tensor) -> Tensor:
        """Of each species, ``[B, S]``."""
        seen, solved = (x.square().mean(-1).sqrt() for x in (measured, model))
        size, largest = (seen, seen) if self._constants.names else (solved, solved.maximum(seen))
        scale = size.maximum(FLOOR * largest.amax(1, keepdim=True))
        return torch.where(scale > 0, scale, 1.0)

    def _samples(self, means: Tensor, times: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """What `FittedConstants` takes, of each sample."""
        means = means.cpu()
        scales = self._scale(means.detach(), means.detach())
        return [(sample, times, scale) for sample, scale in zip(means, scales, strict=True)]

    def _states(self, samples: int) -> list[Tensor]:
        """The state of `Compartments`: of every sample where values of each were given, else the one of all."""
        if self._held is None:
            return [self._constants.state()]
        if len(self._held) != samples:
            raise InvalidArgument("constants", f"{len(self._held)} values", f"one of each sample, {samples}")
        return [self._constants.state(values) for values in self._held]
