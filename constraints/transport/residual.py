"""What a fitted flow leaves unexplained of the change from frame to frame, as a part of that change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.transport.carried import carry
from physgen.constraints.transport.motion import Motion
from physgen.constraints.transport.solve import fit_motion, slope_power

#: change from frame to frame that the scale of the residual is at least, as a part of the field
FLOOR = 1e-3


@dataclass(frozen=True)
class Flow:
    """Displacements between the frames of videos, and what they leave.

    Attributes:
        d: in units of h ``[B, T-1, 2, H, W]``, detached.
        left: residual in the unit of the fields ``[B, S, T-1, H, W]``, differentiable in the fields for given d.
        rough: sqrt(smoothness G |grad d|^2) of every pair ``[B, T-1]``, in the unit of the fields.
        gain: of every pair ``[B, T-1]``: relative growth of all brightness, fitted or, where it is not, read off.
    """

    d: Float[Tensor, "B P 2 H W"]
    left: Float[Tensor, "B S P H W"]
    rough: Float[Tensor, "B P"]
    gain: Float[Tensor, "B P"]


def flow_of(
    fields: Float[Tensor, "B S T H W"], motion: Motion, smoothness: float, *, steady: bool, wraps: bool, gain: bool
) -> Flow:
    """The flow that explains most, and what it leaves, with the fields' graph."""
    batch, _, frames = fields.shape[:3]
    pairs = frames - 1
    d, _ = fit_motion(fields.detach(), motion, smoothness, steady=steady, wraps=wraps, gain=gain)
    d = d.expand(-1, pairs, -1, -1, -1)
    flat = d.flatten(0, 1)
    before, after = (x.transpose(1, 2).flatten(0, 1) for x in (fields[:, :, :-1], fields[:, :, 1:]))
    carried = carry(before, after, flat, motion, wraps, gain)
    read = carried if gain else carry(before.detach(), after.detach(), flat, motion, wraps, True)
    texture = slope_power(fields, motion, wraps)
    texture = torch.where(texture > 0, texture, 1.0)
    rough = motion.roughness(flat).view(batch, pairs).sqrt() * (smoothness * texture).sqrt()[:, None]
    left = carried.residual.unflatten(0, (batch, pairs)).transpose(1, 2)
    return Flow(d, left, rough, read.gain.view(batch, pairs))


def change_of(fields: Float[Tensor, "B S T *space"]) -> Float[Tensor, "B"]:
    """Root mean square of the change from frame to frame, at least `FLOOR` of the fields, and 1 of fields of zero."""
    space = tuple(range(1, fields.ndim))
    return _sized(fields.diff(dim=2).square().mean(space), fields)


def motion_of(fields: Float[Tensor, "B S T *space"]) -> Float[Tensor, "B"]:
    """Root mean square about the mean over time, with the floors of `change_of`."""
    space = tuple(range(1, fields.ndim))
    return _sized((fields - fields.mean(2, keepdim=True)).square().mean(space), fields)


def _sized(power: Float[Tensor, "B"], fields: Tensor) -> Float[Tensor, "B"]:
    least = FLOOR**2 * fields.square().mean(tuple(range(1, fields.ndim)))
    power = power.maximum(least)
    return torch.where(power > 0, power, 1.0).sqrt()


def scaled(flow: Flow, fields: Float[Tensor, "B S T H W"]) -> Float[Tensor, "B S P M"]:
    """Residual and roughness over the change: HW + 1 entries of each pair, whose squares sum to the energy."""
    species = flow.left.shape[1]
    rough = (flow.rough / species**0.5)[:, None, :, None].expand(-1, species, -1, -1)
    return torch.cat([flow.left.flatten(3), rough], 3) / change_of(fields)[:, None, None, None]
