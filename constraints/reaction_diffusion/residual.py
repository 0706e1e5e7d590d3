"""What a reaction-diffusion equation leaves unexplained of a video's motion, as a part of that motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.base import Violation
from physgen.constraints.reaction_diffusion.equation import Equation, Values, of_batch
from physgen.grid import Grid
from physgen.ops.reaction_diffusion import crank_nicolson_residual, reaction_diffusion_loss

#: change from frame to frame that the scale of the residual is at least, as a part of the field
FLOOR = 1e-3
#: a frame interval so long that the change per second is nothing
NEVER = 1e30


def scaled_residual(
    equation: Equation, constants: Sequence[Values], fields: Float[Tensor, "B S T *space"], grid: Grid
) -> Float[Tensor, "B S T-1 *space"]:
    """Change from frame to frame that is not predicted, relative to the scale; constants of each sample."""
    change = fields.diff(dim=2)
    unexplained = _unexplained(equation, constants, fields, grid)
    scale = equation.fixed_scale(fields)
    if scale is None:
        scale = scale_of(fields, rms_change(change), rms_change(change - unexplained))
    return unexplained / scale.view(*scale.shape, *[1] * (fields.ndim - 2))


def fused_violation(
    equation: Equation, constants: Sequence[Values], fields: Float[Tensor, "B S T *space"], grid: Grid
) -> Violation:
    """The loss of the Crank-Nicolson residual of second order, in one pass, without the residual."""
    values = of_batch(constants)
    scale = equation.fixed_scale(fields)
    if scale is None:
        predicted = grid.dt * _predicted_rate(equation, values, fields.detach(), grid)
        scale = scale_of(fields, rms_change(fields.diff(dim=2)), predicted)
    loss = reaction_diffusion_loss(fields, equation.system, *values, grid, weight=grid.dt / scale, wall=equation.wall)
    return Violation(loss, fields[0, :, 1:].numel())


def scale_of(fields: Tensor, *changes: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """The largest of the changes, at least `FLOOR` of the fields, and 1 for a field that is zero."""
    scale = torch.stack([FLOOR * rms_change(fields), *changes]).amax(0)
    return torch.where(scale > 0, scale, 1.0)


def rms_change(change: Float[Tensor, "B S *rest"]) -> Float[Tensor, "B S"]:
    """Root mean square of each sample and species, detached."""
    return change.detach().flatten(2).square().mean(2).sqrt()


def _unexplained(equation: Equation, constants: Sequence[Values], fields: Tensor, grid: Grid) -> Tensor:
    """Change from frame to frame that is not predicted, in the unit of the fields."""
    if equation.form == "differential":
        return grid.dt * crank_nicolson_residual(
            fields, equation.system, *of_batch(constants), grid, order=equation.order, wall=equation.wall
        )
    flows = [equation.flow(values, grid) for values in constants]
    before, after = fields[:, :, :-1], fields[:, :, 1:]
    predicted = [flow(sample, equation.substeps) for flow, sample in zip(flows, before.split(1), strict=True)]
    return after - torch.cat(predicted)


def _predicted_rate(
    equation: Equation, values: tuple[dict[str, Tensor], dict[str, Tensor]], fields: Tensor, grid: Grid
) -> Tensor:
    """Root mean square of (f[t] + f[t+1]) / 2, ``[B, S]``: the residual of frames that do not change."""
    still, batch = replace(grid, dt=NEVER), len(fields)
    losses = [
        reaction_diffusion_loss(
            fields, equation.system, *values, still, weight=one.expand(batch, -1), wall=equation.wall
        )
        for one in torch.eye(fields.shape[1], dtype=fields.dtype, device=fields.device)
    ]
    return (2 / fields[0, 0, 1:].numel() * torch.stack(losses, 1)).sqrt()
