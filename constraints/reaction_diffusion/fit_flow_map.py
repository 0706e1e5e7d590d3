"""Diffusivities and reaction parameters for which flows that start at frames of a video are nearest to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.constraints.least_squares import Estimate, judged, least_squares
from physgen.constraints.reaction_diffusion.fit_linear import fit_differential
from physgen.constraints.reaction_diffusion.natural import natural_units
from physgen.dynamics.flow_map import MOST, FlowMap
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid

#: relative change of a parameter that its sensitivity is the slope over
NUDGE = 1e-6
#: change of the fields, as a part of them, that could be rounding
ROUNDING = 1e-14
#: stretches of a video that a flow map is fitted to, and the frames that it goes through from the first of each
STRETCHES, LENGTH = 3, 8
#: further starts of a search, a power of 2, and the part of the motion, in power, that its end may leave unexplained
STARTS, UNEXPLAINED = 16, 0.5


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
        units = natural_units(fields, constants, start, grid)
        size, taken = np.where(start > 0, start, units), stable(start, length)

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
