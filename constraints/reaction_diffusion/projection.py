"""The trajectory of a reaction-diffusion equation that is nearest to a video."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from physgen.constraints.reaction_diffusion.equation import Equation, Values
from physgen.constraints.reaction_diffusion.nearest_trajectory import (
    Box,
    Law,
    is_linear,
    lowest_values,
    nearest_trajectory,
)
from physgen.dynamics.flow_map import FlowMap
from physgen.dynamics.spectral import laplacian_modes
from physgen.equations.reaction_system import Value
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid

#: sub-steps of the flow map that a projection linearises as one
LINEARISED = 2
#: tolerance of Crank-Nicolson steps, and rounding of compiled ones, while the nearest trajectory is looked for
ROUGH = 1e-6


def nearest_video(
    equation: Equation,
    constants: Values,
    fields: Float[Tensor, "1 S T *space"],
    grid: Grid,
    dtype: torch.dtype,
    weight: Float[Tensor, "1 S T *space"] | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Float[Tensor, "1 S T *space"]:
    """The trajectory nearest to one video, in ``dtype``; ``weight`` is that of each squared difference.

    ``bounds``: see `box_of`.

    Raises:
        NoSolution: see `ReactionDiffusion.project`.
    """
    video, frames = fields.double(), fields.shape[2]
    box, flow = box_of(equation, video, constants[1], bounds), equation.flow(constants, grid)
    if equation.form == "flow_map":
        first = _nearest_first(equation, video, box, flow, weight)
        return flow.trajectory(first, frames, equation.substeps, dtype)[0].to(dtype)
    step, rough = equation.implicit_step(constants, grid), equation.implicit_step(constants, grid, tolerance=ROUGH)
    exponent, bases = _exponent(equation, video, flow)
    decay, jacobian = (1 + exponent / 2) / (1 - exponent / 2), partial(equation.system.jacobian, values=constants[1])
    law = Law(rough, 1, jacobian, grid.dt, bases, decay, is_linear(equation.system), accuracy=10 * ROUGH)
    exact, found = replace(law, step=step), None
    if not law.linear and flow.compiled(video):
        with suppress(InvalidArgument, NoSolution):
            found = _nearest_first(equation, video, box, flow, weight)
    starts = [nearest_trajectory(video, law, box, weight)] if found is None else [box.nearest(video[:, :, :1]), found]
    part = 1.0 if weight is None else weight.sqrt()
    near = min(
        (exact.roll(start, frames) for start in starts),
        key=lambda path: float((part * (path - video)).norm().nan_to_num(math.inf)),
    )
    if not bool(near.isfinite().all()):
        needed = "fields near which the law does not blow up, and so close in time that its step is found"
        raise NoSolution("fields", "no trajectory nearby", needed)
    return near.to(dtype)


def box_of(
    equation: Equation,
    video: Float64[Tensor, "1 S T *space"],
    parameters: Mapping[str, Value],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Box:
    """What the first frame of a trajectory near one video may be: what the law and the bounds allow."""
    lowest = lowest_values(equation.system, parameters, video).clamp(min=bounds[0])
    lowest = lowest.view(1, -1, *[1] * (video.ndim - 2))
    highest = torch.full_like(video[:, :, :1], bounds[1])
    if equation.absent is None:
        return Box(lowest, highest)
    nothing = video[:, :, :1] < equation.absent
    return Box(*(torch.where(nothing, 0.0, bound) for bound in (lowest, highest)))


def searched(equation: Equation, video: Tensor, box: Box, flow: FlowMap) -> tuple[Tensor, int]:
    """The video as it is searched, in float32 where steps are compiled, and sub-steps that suit it."""
    video = video.float() if flow.compiled(video) else video
    return video, flow.trajectory(box.nearest(video[:, :, :1]), video.shape[2], equation.substeps)[1]


def law_of(equation: Equation, video: Tensor, flow: FlowMap, steps: int) -> Law:
    """The flow between frames like those of a video, in parts whose tangents are taken."""
    linear, first, parts = is_linear(equation.system), video[:, :, :1], math.ceil(steps / LINEARISED)
    exponent, bases = _exponent(equation, video, flow)
    jacobian = partial(equation.system.jacobian, values=flow.parameters)
    march = flow.part(parts).march(first, math.ceil(steps / parts))
    law = Law(march, parts, jacobian, flow.grid.dt / parts, bases, (exponent / parts).exp(), linear)
    if not flow.compiled(first):
        return law
    return replace(law, linearised=flow.linearised(first, parts), accuracy=10 * ROUGH)


def _nearest_first(equation: Equation, video: Tensor, box: Box, flow: FlowMap, weight: Tensor | None) -> Tensor:
    """First frame of the flow map's trajectory that is nearest to one video."""
    video, steps = searched(equation, video, box, flow)
    return nearest_trajectory(video, law_of(equation, video, flow, steps), box, weight).double()


def _exponent(equation: Equation, video: Tensor, flow: FlowMap) -> tuple[Tensor, list[Tensor]]:
    """Exponents dt D lambda ``[S, *space]`` of every mode of the Laplacian, and the modes along each axis."""
    values, bases = laplacian_modes(video.shape[3:], flow.grid, equation.order)
    exponent = flow.grid.dt * flow.diffusivity.view(-1, *[1] * values.ndim) * values
    return exponent.to(video.device), bases
