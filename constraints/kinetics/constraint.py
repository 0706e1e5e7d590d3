"""Consistency of spatial means with ordinary differential equations."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import finite, instance
from physgen.constraints.base import Constraint, check_fields, given_values, values_of
from physgen.constraints.constants import read_system
from physgen.constraints.fit import Fit
from physgen.constraints.kinetics.compartments import TOLERANCE, Compartments
from physgen.constraints.kinetics.unknown import Unknown
from physgen.constraints.least_squares import Estimate, joined, judged, least_squares
from physgen.equations.reaction_system import ReactionSystem
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import CLOSED, Grid
from physgen.ops.frame_mass import mass

#: a number is fixed, (lowest, highest) is fitted
Given = float | int | Tensor | Sequence[float | int]

#: magnitude that the scale of a species is at least, relative to that of the largest
FLOOR = 1e-3
#: relative volume that a compartment has at least
SMALLEST = 1e-6
#: points that a fit of constants starts from the best of, and the relative error of a step until it is close
STARTS, COARSE = 8, 1e-3


class Kinetics(Constraint):
    """Spatial means follow the equations of well-mixed reactions, exchange and injections.

    m[b, s, t] = mean_x c,  dc_s/dt = R_s(c; theta) + sum_r k_sr (c_r - c_s) / V_s + sum_j amount_j delta(t - t_j)
    residual[b, s, t] = (m - c(t_n)) / scale[b, s]

    The mean of a field follows R exactly where the field is uniform or R is linear. Concentrations c are solved in
    float64 by Dormand-Prince steps with a relative error of 1e-7 each. Every constant and initial concentration is
    fixed, a number, or fitted to each sample, (lowest, highest): least squares of the residual with exact derivatives
    of c (forward sensitivity equations), from the best of eight starts.

    scale[b, s] is the root mean square over time of c, or, where anything is fitted, of m, and at least 1/1000 of that
    of the largest species; 1 where nothing is there. Scale and fitted values are detached: at its minimum the misfit
    does not change with them to first order (envelope theorem), so for a given scale the gradient of the loss is exact.
    Fixed values may be tensors that require grad: the gradient goes on, see `Compartments.trajectory`.

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
        flows = [_flow(item, species) for item in _items("exchange", exchange)]
        injected = [_bolus(item, species) for item in _items("boluses", boluses)]
        self.compartments = Compartments(system, [pair for pair, _ in flows], injected)
        exchanging = [name for name in species if any(name in pair for pair, _ in flows)]
        self._given = (
            *_read_all("initial", initial, species, default=(0.0, math.inf)),
            *_read_all("parameters", parameters, system.parameters),
            *(_read(f"exchange {a}, {b}", k, lowest=0.0) for (a, b), k in flows),
            *_read_all("volumes", volumes, exchanging, default=1.0, lowest=SMALLEST),
        )
        constants: dict[str, Any] = dict(zip(self.compartments.names, self._given, strict=True))
        for end in ("low", "high"):
            system.values({name: getattr(constants[name], end, constants[name]) for name in system.parameters})
        self._unknown = {index: value for index, value in enumerate(self._given) if isinstance(value, Unknown)}
        self._held: Float[Tensor, "B P"] | None = None
        self.regions = None if regions is None else _weights(regions)

    @property
    def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the values that are fitted."""
        if self._held is not None:
            return ()
        names, species = self.compartments.names, len(self.compartments.species)
        return tuple(f"initial_{names[index]}" if index < species else names[index] for index in self._unknown)

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
        points = self._points(means.detach().cpu(), times)
        solved = torch.stack([self.compartments.trajectory(x, times).T for x in points])
        return means, solved.expand_as(means).to(means)

    def fit(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Fit:
        """Fitted values with their standard errors, ``condition`` and ``identifiable`` of all of them together.

        Names are those of parameters, ``initial_SPECIES``, ``exchange_A_B`` and ``volume_A``. Identifiable: see
        `least_squares`; an error has to be less than the range.
        """
        if not self.fitted:
            return Fit()
        means, times = self._means(fields, grid)
        return joined(self.fitted, [self._fit(sample, times) for sample in means.detach().cpu()])

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
        size, largest = (seen, seen) if self._unknown else (solved, solved.maximum(seen))
        scale = size.maximum(FLOOR * largest.amax(1, keepdim=True))
        return torch.where(scale > 0, scale, 1.0)

    def _points(self, measured: Tensor, times: Tensor) -> list[Tensor]:
        """The state of `Compartments`: of every sample where something is fitted, else the one of all."""
        if not self._unknown:
            return [self._point()]
        if self._held is not None:
            if len(self._held) != len(measured):
                raise InvalidArgument("constants", f"{len(self._held)} values", f"one of each sample, {len(measured)}")
            return [self._point(values) for values in self._held]
        return [self._point(torch.from_numpy(self._fit(sample, times).value)) for sample in measured]

    def _fit(self, measured: Tensor, times: Tensor) -> Estimate:
        """Of one sample's means ``[S, T]``."""
        size = float(measured.abs().max()) or 1.0
        unknown = [replace(value, size=size) for value in self._unknown.values()]
        weight = 1 / self._scale(measured[None], 0 * measured[None])[0]
        columns = list(self._unknown)

        def each(method: str, u: np.ndarray) -> np.ndarray:
            return np.array([getattr(x, method)(p) for x, p in zip(unknown, u.tolist(), strict=True)])

        def misfit(solved: Tensor) -> np.ndarray:
            return ((solved.T - measured) * weight[:, None]).flatten().numpy()

        def coarse(u: np.ndarray) -> float:
            point = self._point(torch.from_numpy(each("value", u))).detach()
            try:
                return float(np.sum(misfit(self.compartments.trajectory(point, times, COARSE)) ** 2))
            except (InvalidArgument, NoSolution):
                return math.inf

        def model(u: np.ndarray, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
            point = self._point(torch.from_numpy(each("value", u))).detach()
            directions = torch.zeros(len(unknown), len(point), dtype=torch.float64)
            directions[range(len(unknown)), columns] = torch.from_numpy(each("slope", u))
            solved, sensitive = self.compartments.sensitivities(point, directions, times, tolerance)
            return misfit(solved), (sensitive * weight).transpose(1, 2).flatten(1).T.numpy()

        species = len(self.compartments.species)
        first = [
            x.coordinate(float(measured[index, 0])) if index < species else math.nan
            for index, x in zip(columns, unknown, strict=True)
        ]
        bounds = np.zeros(len(unknown)), np.array([x.end for x in unknown])
        start = min(_starts(np.array(first)), key=coarse)
        start = least_squares(lambda u: model(u, COARSE), start, *bounds, COARSE).value
        fit = least_squares(model, start, *bounds)
        slope = each("slope", fit.value)
        left = float(np.sum(model(fit.value)[0] ** 2))
        power = float((measured - measured.mean(1, keepdim=True)).mul(weight[:, None]).square().sum())
        found = replace(
            fit,
            value=each("value", fit.value),
            covariance=fit.covariance * np.outer(slope, slope),
            bounds=np.array([[x.low for x in unknown], [x.high for x in unknown]]),
            groups=measured.numel(),
        )
        return judged(found, left, power)

    def _point(self, fitted: Tensor | None = None) -> Tensor:
        """The state of `Compartments` with the fitted values in their places."""
        given = [0.0 if isinstance(x, Unknown) else x for x in self._given]
        point = torch.stack([torch.as_tensor(x, dtype=torch.float64, device="cpu") for x in given])
        return point if fitted is None else point.index_put((torch.tensor(list(self._unknown)),), fitted)


def _starts(coordinates: np.ndarray) -> np.ndarray:
    """Points at the known coordinates, spread evenly in the unknown ones, which are NaN."""
    from scipy.stats import qmc

    free = np.isnan(coordinates)
    if not free.any():
        return coordinates[None]
    starts = np.tile(coordinates, (STARTS, 1))
    starts[:, free] = qmc.Sobol(int(free.sum()), scramble=False).random(STARTS) + 1 / (2 * STARTS)
    return starts


def _read(name: str, got: Any, lowest: float = -math.inf, open_ended: bool = False) -> float | Tensor | Unknown:
    allowed = "a finite number (fixed) or (lowest, highest) (fitted)"
    allowed += f", at least {lowest:g}" if math.isfinite(lowest) else ""
    if isinstance(got, Sequence) and not isinstance(got, str):
        try:
            low, high = map(float, got)
        except (TypeError, ValueError):
            raise InvalidArgument(name, got, allowed) from None
        if not (lowest <= low < high and math.isfinite(low) and (math.isfinite(high) or open_ended)):
            raise InvalidArgument(name, got, allowed)
        return Unknown(low, high)
    value = finite(name, got.detach() if isinstance(got, Tensor) else got, allowed, lambda value: value >= lowest)
    return got if isinstance(got, Tensor) else value


def _read_all(
    what: str,
    given: Mapping[str, Given] | None,
    names: Sequence[str],
    default: Given | None = None,
    lowest: float = -math.inf,
) -> list[float | Tensor | Unknown]:
    """What is given, in the order of the names; those that are missing are the default, if there is one."""
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise InvalidArgument(what, given, f"a mapping from names of: {', '.join(names) or 'none'}")
    given = given if default is None else {**dict.fromkeys(names, default), **given}
    wrong = sorted(set(given) ^ set(names))
    if wrong:
        got = f"without {wrong[0]}" if wrong[0] in names else f"unknown {wrong[0]}"
        raise InvalidArgument(what, got, f"a value of each of: {', '.join(names) or 'none'}")
    return [_read(name, given[name], lowest, open_ended=what == "initial") for name in names]


def _items(name: str, got: Sequence[Any]) -> Sequence[Any]:
    return instance(name, got, Sequence, "a list of triples")


def _is_triple(item: Any) -> bool:
    return isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 3


def _flow(item: Sequence[Any], species: Sequence[str]) -> tuple[tuple[str, str], Any]:
    if not _is_triple(item) or item[0] == item[1] or item[0] not in species or item[1] not in species:
        raise InvalidArgument("exchange", item, f"(species, another species, rate) of {', '.join(species)}")
    return (item[0], item[1]), item[2]


def _bolus(item: Sequence[Any], species: Sequence[str]) -> tuple[float, str, float]:
    allowed = f"(species, time >= 0 s, amount), species of {', '.join(species)}"
    if not _is_triple(item) or item[0] not in species:
        raise InvalidArgument("boluses", item, allowed)
    return finite("boluses", item[1], allowed, lambda time: time >= 0), item[0], finite("boluses", item[2], allowed)


def _weights(regions: Tensor) -> Tensor:
    """Of a mean over each region: they sum to 1."""
    if not isinstance(regions, Tensor) or regions.ndim < 2:
        raise InvalidArgument("regions", regions, "a tensor [R, *space] of weights >= 0")
    weights = regions.double()
    total = weights.flatten(1).sum(1)
    if not bool(weights.isfinite().all()) or bool((weights < 0).any()) or not bool((total > 0).all()):
        raise InvalidArgument("regions", tuple(regions.shape), "[R, *space] of weights >= 0, none of them empty")
    return weights / total.view(-1, *[1] * (weights.ndim - 1))
