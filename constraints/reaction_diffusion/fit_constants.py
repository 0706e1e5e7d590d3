"""The constants of a reaction-diffusion equation in each video of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.constraints.least_squares import Estimate
from physgen.constraints.reaction_diffusion.denoise import without_noise
from physgen.constraints.reaction_diffusion.equation import Equation
from physgen.constraints.reaction_diffusion.fit import fit_differential, fit_flow_map
from physgen.constraints.reaction_diffusion.fit_heat import fit_heat
from physgen.constraints.reaction_diffusion.fit_nearest import nearest_constants
from physgen.constraints.reaction_diffusion.nearest_trajectory import lowest_values
from physgen.constraints.reaction_diffusion.projection import box_of, law_of, searched
from physgen.constraints.reaction_diffusion.residual import rms_change, scale_of
from physgen.dynamics.flow_map import FlowMap
from physgen.dynamics.spectral import laplacian_modes
from physgen.errors import NoSolution
from physgen.grid import Grid

#: constants that a fit begins at, at least, in their natural units
LEAST = 1e-3


@torch.no_grad()
def fit_constants(
    equation: Equation, samples: Sequence[Constants], fields: Float[Tensor, "B S T *space"], grid: Grid
) -> list[Estimate]:
    """Those of the least residual (``differential``), or of the nearest trajectory (``flow_map``), see `Constraint`."""
    walls = equation.walls(fields)
    if equation.form == "flow_map" and len(equation.wall) == 1 and not any(equation.system.rates):
        ((low, high),) = samples[0].bounds.values()
        modes = laplacian_modes(fields.shape[3:], grid, equation.order)
        return [fit_heat(video, *modes, grid.dt, low, high) for video in (fields - walls).double().split(1)]
    clean = without_noise(fields - walls, grid) + walls
    scale = equation.fixed_scale(clean)
    scale = scale_of(clean, rms_change(clean.diff(dim=2))) if scale is None else scale
    videos = list(zip(clean.split(1), samples, 1 / scale, strict=True))
    if equation.form == "differential":
        options: dict[str, Any] = {"order": equation.order, "wall": equation.wall}
        return [fit_differential(video, constants, grid, weight, **options) for video, constants, weight in videos]
    starts = [
        fit_flow_map(
            _physical(equation, video, constants),
            constants,
            grid,
            weight,
            order=equation.order,
            wall=equation.wall,
            scheme=equation.scheme,
            substeps=equation.substeps,
        )
        for video, constants, weight in videos
    ]
    given = zip(fields.double().split(1), samples, starts, strict=True)
    return [_fit_nearest(equation, video, constants, start, grid) for video, constants, start in given]


def _physical(equation: Equation, video: Tensor, constants: Constants) -> Tensor:
    """One video without values that the law never reaches, from which it may blow up."""
    parameters = constants.complete(dict.fromkeys(constants.bounds, 1.0))[1]
    return video.maximum(lowest_values(equation.system, parameters, video).view(1, -1, *[1] * (video.ndim - 2)))


def _fit_nearest(equation: Equation, video: Tensor, constants: Constants, start: Estimate, grid: Grid) -> Estimate:
    """Constants of the nearest trajectory of the flow map, from those of flows that start at the video's frames.

    Those are left as they are, and not identifiable, where the law blows up near the video.
    """
    low, high = np.array(list(constants.bounds.values())).T
    unit = [grid.cell_area if name in constants.diffusing else 1.0 for name in constants.bounds]
    theta = np.clip(np.maximum(start.value, LEAST * np.array(unit) / grid.dt), low, high)

    def flow(theta: np.ndarray) -> FlowMap:
        values = constants.complete(dict(zip(constants.bounds, theta.tolist(), strict=True)))
        return equation.flow(values, grid)

    box = box_of(equation, video, flow(theta).parameters)
    try:
        seen, steps = searched(equation, video, box, flow(theta))
        return nearest_constants(seen, lambda x: law_of(equation, seen, flow(x), steps), theta, low, high, box)
    except NoSolution:
        return replace(start, identifiable=False)
