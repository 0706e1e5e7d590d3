"""What is read off a flow: speed, direction, how much of the motion it explains, and where it fails."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from physgen.measure.degenerate import noise_level
from physgen.tensors import quantile

#: pixels of a window in which what is left is looked for
PATCH = 7
#: squared slope, in units of what noise makes on average, above which it is of something
STANDS_OUT = 9.0


@dataclass(frozen=True)
class Reading:
    """One video's flow in numbers.

    Attributes:
        speed: mean of |v| where something moves, pixels of the root of an area per frame.
        drift: mean of v there ``[2]``, y and x.
        of_pairs: drift of every pair ``[P, 2]``.
        error: standard error of speed and drift.
        explained: 1 - sum r^2 / sum (change)^2, noise apart; NaN where nothing but noise changes.
        share: the same with noise.
        worst: largest part of the mean change that a single pair leaves, noise apart.
        patch: largest mean of r^2 in a window of `PATCH` pixels and a frame, over the contrast squared, noise apart.
        fade: relative change of brightness over the video that belongs to no motion.
    """

    speed: float
    drift: Float[Tensor, "2"]
    of_pairs: Float[Tensor, "P 2"]
    error: float
    explained: float
    share: float
    worst: float
    patch: float
    fade: float


@torch.no_grad()
def read_flow(
    fields: Float[Tensor, "S T H W"],
    d: Float[Tensor, "P 2 H W"],
    left: Float[Tensor, "S P H W"],
    gain: Tensor,
    spacing: tuple[float, float],
) -> Reading:
    """Numbers of one video, its displacements, what they leave, ``gain`` of every pair; ``spacing`` in units of h."""
    change, variance = fields.diff(dim=1).double(), noise_level(fields).double().square().sum()
    noise = 2 * variance
    left, d = left.double(), d.double()
    power, rest = change.square().sum(0).mean((1, 2)), left.square().sum(0).mean((1, 2))
    weight = texture_of(fields.double(), variance, spacing)
    total = weight.sum((1, 2)).clamp(min=torch.finfo(torch.float64).tiny)
    of_pairs = (weight[:, None] * d).sum((2, 3)) / total[:, None]
    shares = total / total.sum()
    drift = (shares[:, None] * of_pairs).sum(0)
    speed = float((weight * d.norm(dim=1)).sum() / total.sum())
    pixels = fields.shape[2] * fields.shape[3]
    of_pixels = (
        float((rest.mean() / (total.sum() / pixels).clamp(min=1e-300)).sqrt()) if float(total.sum()) > 1e-200 else 0.0
    )
    spread = float((of_pairs - drift).square().sum(1).mean().sqrt()) / math.sqrt(len(of_pairs))
    mean = float(power.mean())
    moving = mean - float(noise)
    explained = 1 - max(float(rest.mean()) - float(noise), 0.0) / moving if moving > 0.01 * mean else math.nan
    scale = moving if moving > 0.01 * mean else (mean or 1.0)
    contrast = float(quantile((fields - fields.mean(1, keepdim=True)).double().square().sum(0), 0.999)) or 1.0
    windows = F.avg_pool2d(left.square().sum(0)[:, None], min(PATCH, *fields.shape[2:]), 1)
    return Reading(
        speed,
        drift,
        of_pairs,
        max(of_pixels, spread),
        explained,
        1 - float(rest.mean()) / mean if mean > 0 else 0.0,
        max(float(rest.max() - noise), 0.0) / scale,
        max(float(windows.max() - noise), 0.0) / contrast,
        math.expm1(float(gain.double().sum())),
    )


@torch.no_grad()
def read_nearest(
    fields: Float[Tensor, "S T H W"],
    near: Float[Tensor, "S T H W"],
    speed: float,
    drift: Float[Tensor, "2"],
    error: float,
    share: float,
) -> Reading:
    """Numbers of one video and the nearest that a steady flow carries, of which ``speed`` to ``share`` are known."""
    left, still = (fields - near).double(), fields.double().mean(1, keepdim=True)
    noise = noise_level(fields).double().square().sum()
    moving, rest = (x.square().sum(0).mean((1, 2)) for x in (fields.double() - still, left))
    beyond, size = float(moving.mean() - noise), float(moving.mean()) or 1.0
    contrast = float(quantile((fields.double() - still).square().sum(0), 0.999)) or 1.0
    windows = F.avg_pool2d(left.square().sum(0)[:, None], min(PATCH, *fields.shape[2:]), 1)
    return Reading(
        speed,
        drift,
        drift.expand(fields.shape[1] - 1, 2),
        error,
        1 - max(float(rest.mean() - noise), 0.0) / beyond if beyond > 0.01 * size else math.nan,
        share,
        float(rest.max()) / size,
        max(float(windows.max() - noise), 0.0) / contrast,
        0.0,
    )


def texture_of(
    fields: Float[Tensor, "S T H W"], variance: Tensor, spacing: tuple[float, float]
) -> Float[Tensor, "P H W"]:
    """Squared slopes of what moves, of every pair, where they stand out of the noise's; ``spacing`` in units of h."""
    moving = fields - fields.mean(1, keepdim=True)
    middle = (moving[:, 1:] + moving[:, :-1]) / 2
    slopes = torch.gradient(middle, spacing=spacing, dim=(2, 3))
    power = torch.stack([slope.square().sum(0) for slope in slopes]).sum(0)
    return torch.where(power > STANDS_OUT * variance * sum(h**-2 for h in spacing) / 4, power, 0.0)
