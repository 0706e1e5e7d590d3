"""Diffusivities and reaction parameters from fields: least squares under bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.constraints.least_squares import IDENTIFIABLE, Estimate, judged, least_squares
from physgen.dynamics.flow_map import MOST, FlowMap
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.stencil import laplacian

#: Laplacian, as a part of the largest one that such a field could have, that is rounding: the field is uniform
UNIFORM = 1e-9
#: relative change of a parameter that its sensitivity is the slope over
NUDGE = 1e-6
#: change of the fields, as a part of them, that could be rounding
ROUNDING = 1e-14
#: stretches of a video that a flow map is fitted to, and the frames that it goes through from the first of each
STRETCHES, LENGTH = 3, 8
#: further starts of a search, a power of 2, and the part of the motion, in power, that its end may leave unexplained
STARTS, UNEXPLAINED = 16, 0.5


def fit_differential(
    fields: Float64[Tensor, "1 S T *space"],
    constants: Constants,
    grid: Grid,
    weight: Float64[Tensor, "S"],
    *,
    order: int = 2,
    wall: Mapping[str, float] | None = None,
) -> Estimate:
    """Constants of one video for which the Crank-Nicolson residual is least, in closed form.

    argmin sum_s weight_s^2 |y - sum_j theta_j X_j - X_0|^2 over low <= theta <= high,
    y = (u[t+1] - u[t]) / dt,  X_j = (x_j[t] + x_j[t+1]) / 2,  x_j = d(D lap u + R) / d theta_j

    The normal equations are summed in float64 from frame to frame, so memory is that of a few frames.

    Raises:
        InvalidArgument: constants that do not enter linearly together.

    Source: linear regression; bounds: Stark and Parker (1995), Computational Statistics 10:129.

    >>> import math
    >>> from physgen.equations.systems import reaction_system
    >>> grid, one = Grid(spacing=(1.0,), dt=math.log(2.0)), torch.ones(1, dtype=torch.float64)
    >>> doubling = torch.tensor([[1.0], [2.0]], dtype=torch.float64).expand(1, 1, 2, 3)
    >>> constants = Constants(reaction_system("fisher_kpp"), {"u": 0.0}, {"K": 1e9}, ["r"])
    >>> fit_differential(doubling, constants, grid, one).value.round(3).tolist()  # 1 but for the step of dt
    [0.962]
    """
    names = list(constants.bounds)
    gram = np.zeros((len(names), len(names)))
    moment, square = np.zeros(len(names)), 0.0
    scale = weight.view(-1, *[1] * (fields.ndim - 3))
    frames = ((u[:, :, 0], *_columns(u, constants, grid, order, wall)) for u in fields.split(1, 2))
    for (u, before, given_before), (v, after, given_after) in pairwise(frames):
        target = scale * ((v - u) / grid.dt - (given_before + given_after) / 2)[0]
        columns = (scale * (before + after)[0] / 2).flatten(1).cpu().numpy()
        flat = target.flatten().cpu().numpy()
        gram += columns @ columns.T
        moment += columns @ flat
        square += float(flat @ flat)
    uniform = np.sqrt(np.diag(gram)) <= UNIFORM * _steepest(fields * scale.unsqueeze(1), constants, grid)
    gram[uniform], gram[:, uniform], moment[uniform] = 0.0, 0.0, 0.0
    low, high = np.array(list(constants.bounds.values())).T
    return _bounded(gram, moment, square, fields[:, :, 1:].numel(), low, high)


def fit_flow_map(
    fields: Float64[Tensor, "1 S T *space"],
    constants: Constants,
    grid: Grid,
    weight: Float64[Tensor, "S"],
    *,
    order: int = 2,
    wall: Mapping[str, float] | None = None,
    scheme: str = "exponential",
    substeps: int | None = None,
) -> Estimate:
    """Constants of one video for which trajectories of the flow map are nearest to it, by a trust region method.

    argmin sum_s,l weight_s^2 |u[t+l] - Phi_dt^l(u[t]; theta)|^2 over low <= theta <= high,  l = 1 ... 8

    The search starts from the values that were given, else from `fit_differential`, or, where that is not linear, from
    the middle of the bounds; where bounds are finite, from the best of that and 16 points between them. Trajectories
    of one step are fitted first: long ones have many minima. Sub-steps are those at the start of each search.
    Trajectories start at three frames t, evenly spaced: longer ones than single steps move further against the noise
    of where they start. Constants that leave more than half of the motion's power unexplained are not identifiable:

    |u[t+l] - Phi_dt^l(u[t]; theta)|^2 > |u[t+l] - u[t]|^2 / 2,  norms over all species, t and l, weighted

    Raises:
        InvalidArgument: constants that are not linear, without finite bounds and without a value to start from; a start
            at which the flow map has no stable sub-steps.
        NoSolution: trajectories from the start of a search that blow up however short the sub-steps.

    Source: multiple shooting, Bock (1983), Progress in Scientific Computing 2:95; trust region: `least_squares`;
        starts: Sobol (1967), USSR Comput. Math. Math. Phys. 7:86.
    """
    length = min(LENGTH, fields.shape[2] - 1)
    first = torch.linspace(0, fields.shape[2] - 1 - length, STRETCHES).round().long().unique()
    low, high = np.array(list(constants.bounds.values())).T
    scale = weight.view(-1, *[1] * (fields.ndim - 2))
    audible = ROUNDING / NUDGE * float((scale * fields).norm())

    def flow(theta: np.ndarray) -> FlowMap:
        values = dict(zip(constants.bounds, theta.tolist(), strict=True))
        return FlowMap(constants.system, *constants.complete(values), grid, order=order, wall=wall, scheme=scheme)

    def steps(theta: np.ndarray) -> int:
        return substeps or flow(theta).substeps(fields[:, :, first])

    def residual(theta: np.ndarray, steps: int, length: int) -> np.ndarray:
        phi, u, misfit = flow(theta), fields[:, :, first], []
        for later in range(1, length + 1):
            u = phi(u, steps)
            misfit.append(scale * (u - fields[:, :, first + later]))
        return torch.cat(misfit).flatten().cpu().numpy()

    def stable(theta: np.ndarray, length: int) -> int:
        """Sub-steps that hold for all of the trajectories, which may become stiffer than their first frames."""
        taken = steps(theta)
        while True:
            try:
                residual(theta * (1 + NUDGE), taken, length)
                return taken
            except (InvalidArgument, NoSolution) as error:
                if substeps:
                    raise
                if taken >= MOST:
                    allowed = "fields from which the law does not blow up with constants that fit them"
                    raise NoSolution("fields", "no trajectory nearby", allowed) from error
                taken *= 2

    def search(start: np.ndarray, length: int) -> Estimate:
        size, taken = np.where(start > 0, start, 1.0), stable(start, length)

        def model(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            at = residual(x * size, taken, length)
            nudges = np.where(x * size * (1 + NUDGE) + NUDGE * size < high, NUDGE, -NUDGE)
            slopes = np.stack([(residual((x + e) * size, taken, length) - at) / e.sum() for e in np.diag(nudges)], 1)
            return at, slopes * (np.linalg.norm(slopes, axis=0) > audible)

        fit = least_squares(model, start / size, low / size, high / size)
        return replace(
            fit, value=fit.value * size, covariance=fit.covariance * np.outer(size, size), bounds=fit.bounds * size
        )

    def distance(theta: np.ndarray, length: int = 1) -> float:
        try:
            return float(np.nan_to_num(np.linalg.norm(residual(theta, steps(theta), length)), nan=np.inf))
        except (InvalidArgument, NoSolution):
            return np.inf

    start = _start(fields, constants, grid, weight, order, wall)
    if np.isfinite(high - low).all():
        start = min([start, *_between(low, high)], key=distance)
    fit = search(np.clip(search(start, 1).value, low, high), length)
    motion = [scale * (fields[:, :, first + later] - fields[:, :, first]) for later in range(1, length + 1)]
    fit = judged(fit, distance(fit.value, length) ** 2, float(torch.cat(motion).norm()) ** 2)
    return replace(fit, identifiable=fit.identifiable and fit.explained >= 1 - UNEXPLAINED)


def _columns(
    u: Tensor, constants: Constants, grid: Grid, order: int, wall: Mapping[str, float] | None
) -> tuple[Tensor, Tensor]:
    """du/dt of a frame, as columns of the fitted constants ``[1, P, S, *space]`` and what the given ones make of it."""
    system, names = constants.system, list(constants.bounds)
    reactions = [name for name in names if name in system.parameters]
    diffusivity, values = constants.complete(dict.fromkeys(names, 0.0))
    shape = (-1, *[1] * (u.ndim - 3))
    walls, given = (
        u.new_tensor([x[species] for species in system.species]).view(shape)
        for x in (wall or dict.fromkeys(system.species, 0.0), diffusivity)
    )
    spread = laplacian(u - walls.unsqueeze(1), grid.spacing, grid.boundary, order).squeeze(2)
    frame, columns = u.squeeze(2), u.new_zeros(1, len(names), *spread.shape[1:])
    rest = system.reaction(frame, values)
    if reactions:
        rows = [names.index(name) for name in reactions]
        given_values = {name: value for name, value in values.items() if name not in reactions}
        columns[:, rows], rest = system.design(frame, reactions, given_values)
    for name, species in constants.diffusing.items():
        if name in names:
            index = system.species.index(species)
            columns[:, names.index(name), index] = spread[:, index]
    return columns, rest + given * spread


def _steepest(fields: Tensor, constants: Constants, grid: Grid) -> np.ndarray:
    """Norm of the steepest Laplacian of each fitted diffusivity's species; 0 for a reaction's parameter."""
    norms = 4 * sum(h**-2 for h in grid.spacing) * fields.transpose(0, 1).flatten(1).norm(dim=1)
    of_species = dict(zip(constants.system.species, norms.tolist(), strict=True))
    return np.array([of_species.get(constants.diffusing.get(name, ""), 0.0) for name in constants.bounds])


def _bounded(
    gram: np.ndarray, moment: np.ndarray, square: float, count: int, low: np.ndarray, high: np.ndarray
) -> Estimate:
    """Least squares from normal equations: X^T X, X^T y, |y|^2 and the number of rows."""
    from scipy.optimize import lsq_linear

    size = np.sqrt(np.diag(gram))
    silent = size == 0
    size[silent] = 1.0
    values, vectors = np.linalg.eigh(gram / np.outer(size, size))
    values = values.clip(min=1e-16)
    root = np.sqrt(values)
    factor, target = root[:, None] * vectors.T, vectors.T @ (moment / size) / root
    theta = lsq_linear(factor, target, (low * size, high * size), method="bvls").x / size
    left = max(0.0, square - 2 * float(moment @ theta) + float(theta @ gram @ theta))
    covariance = (vectors / values) @ vectors.T / np.outer(size, size) * left / max(count - len(theta), 1)
    covariance[silent] = covariance[:, silent] = np.inf
    condition = float("inf") if silent.any() else float(root[-1] / root[0])
    determined = bool((np.diag(covariance) < (high - low) ** 2).all())
    identifiable = determined and condition <= IDENTIFIABLE
    bounds = np.stack([low, high])
    return judged(Estimate(theta, covariance, condition, identifiable, bounds, count), left, square)


def _start(
    fields: Tensor,
    constants: Constants,
    grid: Grid,
    weight: Tensor,
    order: int,
    wall: Mapping[str, float] | None,
) -> np.ndarray:
    low, high = np.array(list(constants.bounds.values())).T
    names, given = list(constants.bounds), constants.start
    reactions = [name for name in names if name in constants.system.parameters]
    if set(given) == set(names):
        start = np.array([float(given[name]) for name in names])
    elif constants.system.linear(reactions):
        start = fit_differential(fields, constants, grid, weight, order=order, wall=wall).value
    elif np.isfinite(high - low).all():
        start = np.where(low > 0, np.sqrt(np.abs(low * high)), (low + high) / 2)
    else:
        raise InvalidArgument("fitted", names, "finite bounds, or a value of each to start from: it is not linear")
    return np.clip(start, low, high)


def _between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points ``[STARTS, P]`` that fill the bounds evenly, by ratio where these are positive."""
    from scipy.stats.qmc import Sobol

    part = Sobol(len(low), scramble=False).random(STARTS)
    positive = low > 0
    ratio = np.divide(high, low, out=np.ones_like(high), where=positive)
    return np.where(positive, low * ratio**part, low + (high - low) * part)
