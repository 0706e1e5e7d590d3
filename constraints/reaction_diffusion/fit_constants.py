"""The constants of a reaction-diffusion equation in each video of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.constraints.least_squares import Estimate, why_unmeasured
from physgen.constraints.reaction_diffusion.denoise import SIGNAL, beyond_chance, without_noise
from physgen.constraints.reaction_diffusion.equation import Equation
from physgen.constraints.reaction_diffusion.fit_flow_map import fit_flow_map
from physgen.constraints.reaction_diffusion.fit_heat import fit_heat
from physgen.constraints.reaction_diffusion.fit_linear import fit_differential, fit_integral
from physgen.constraints.reaction_diffusion.fit_nearest import nearest_constants
from physgen.constraints.reaction_diffusion.natural import natural_units
from physgen.constraints.reaction_diffusion.nearest_trajectory import Box, lowest_values
from physgen.constraints.reaction_diffusion.projection import box_of, law_of, searched
from physgen.constraints.reaction_diffusion.residual import rms_change, scale_of
from physgen.dynamics.flow_map import FlowMap
from physgen.dynamics.spectral import laplacian_modes
from physgen.errors import NoSolution
from physgen.grid import Grid
from physgen.measure import noise_level

#: constants that a fit begins at, at least, in their natural units
LEAST = 1e-3
#: standard deviations of noise that the first frame may be below what the law reaches
NOISY = 4.0
#: part of an error that steps of time may make
FINE = 0.3


@torch.no_grad()
def constants_of_law(
    equation: Equation, samples: Sequence[Constants], fields: Float[Tensor, "B S T *space"], grid: Grid
) -> list[Estimate]:
    """Constants of the law itself, with errors that hold in noise: what `ReactionDiffusion.fit` measures.

    `fit_heat` where nothing reacts; `fit_integral` where they enter linearly, except ``flow_map`` where steps of time
    make more than `FINE` of an error or nothing is measured. There, and of other laws, `constants_of_residual`.
    """
    if _only_diffuses(equation):
        return _heat(equation, samples, fields, grid)
    reactions = [name for name in samples[0].bounds if name in equation.system.parameters]
    if not equation.system.linear(reactions):
        return constants_of_residual(equation, samples, fields, grid)
    videos, found = _without_noise(equation, samples, fields, grid, beyond_chance(fields)), []
    for index, (video, constants, weight) in enumerate(videos):
        seen = fields[index, None].double()
        one = fit_integral(video, constants, grid, weight, order=equation.order, wall=equation.wall, seen=seen)
        fine = one.coarse <= FINE and why_unmeasured(list(constants.bounds), one) is None
        if equation.form == "flow_map" and not fine:
            (one,) = constants_of_residual(equation, [constants], fields[index, None], grid)
        found.append(one)
    return found


@torch.no_grad()
def constants_of_residual(
    equation: Equation, samples: Sequence[Constants], fields: Float[Tensor, "B S T *space"], grid: Grid
) -> list[Estimate]:
    """Those of the least residual `without_noise` (``differential``), or of the nearest trajectory (``flow_map``)."""
    options: dict[str, Any] = {"order": equation.order, "wall": equation.wall}
    videos = _without_noise(equation, samples, fields, grid, SIGNAL)
    if equation.form == "differential":
        return [fit_differential(video, constants, grid, weight, **options) for video, constants, weight in videos]
    if _only_diffuses(equation):
        return _heat(equation, samples, fields, grid)
    options |= {"scheme": equation.scheme, "substeps": equation.substeps}
    found = []
    for seen, (video, constants, weight) in zip(fields.double().split(1), videos, strict=True):
        start = fit_flow_map(_physical(equation, video, constants), constants, grid, weight, **options)
        found.append(_fit_nearest(equation, seen, constants, start, grid))
    return found


def _only_diffuses(equation: Equation) -> bool:
    return len(equation.wall) == 1 and not any(equation.system.rates)


def _heat(equation: Equation, samples: Sequence[Constants], fields: Tensor, grid: Grid) -> list[Estimate]:
    ((low, high),) = samples[0].bounds.values()
    modes = laplacian_modes(fields.shape[3:], grid, equation.order)
    return [
        fit_heat(video, *modes, grid.dt, low, high) for video in (fields - equation.walls(fields)).double().split(1)
    ]


def _without_noise(
    equation: Equation, samples: Sequence[Constants], fields: Tensor, grid: Grid, signal: float
) -> Iterator[tuple[Tensor, Constants, Tensor]]:
    """Each video without its noise, its constants, and the weight of each species."""
    walls = equation.walls(fields)
    clean = without_noise(fields - walls, grid, signal) + walls
    scale = equation.fixed_scale(clean)
    scale = scale_of(clean, rms_change(clean.diff(dim=2))) if scale is None else scale
    return zip(clean.split(1), samples, 1 / scale, strict=True)


def _physical(equation: Equation, video: Tensor, constants: Constants) -> Tensor:
    """One video without values that the law never reaches, from which it may blow up."""
    parameters = constants.complete(dict.fromkeys(constants.bounds, 1.0))[1]
    return video.maximum(lowest_values(equation.system, parameters, video).view(1, -1, *[1] * (video.ndim - 2)))


def _fit_nearest(equation: Equation, video: Tensor, constants: Constants, start: Estimate, grid: Grid) -> Estimate:
    """Constants of the nearest trajectory of the flow map, from those of flows that start at the video's frames.

    Those are left as they are, and not identifiable, where the law blows up near the video.
    """
    low, high = np.array(list(constants.bounds.values())).T
    least = LEAST * natural_units(video, constants, start.value, grid)
    theta = np.clip(np.maximum(start.value, least), low, high)

    def flow(theta: np.ndarray) -> FlowMap:
        values = constants.complete(dict(zip(constants.bounds, theta.tolist(), strict=True)))
        return equation.flow(values, grid)

    box = _with_noise(box_of(equation, video, flow(theta).parameters), video)
    try:
        seen, steps = searched(equation, video, box, flow(theta))
        return nearest_constants(seen, lambda x: law_of(equation, seen, flow(x), steps), theta, low, high, box)
    except NoSolution:
        return replace(start, identifiable=False)


def _with_noise(box: Box, video: Tensor) -> Box:
    """The box, as much lower as noise may take a video: cut off at 0, noise of an empty background would grow."""
    below = NOISY * noise_level(video[0]).view(1, -1, *[1] * (video.ndim - 2))
    return replace(box, lowest=torch.where(box.highest > box.lowest, box.lowest - below, box.lowest))
