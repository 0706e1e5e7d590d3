"""What is left between two frames when each is carried half of the way to the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.transport.motion import Motion
from physgen.ops.cubic import interpolate


@dataclass(frozen=True)
class Carried:
    """Two frames at the ends of displacements d, and what they differ by.

    r = c1(x + d/2) (1 + div d / 2 - g/2) - c0(x - d/2) (1 - div d / 2 + g/2)

    which is dt (dc/dt + div(v c) - g c / dt) at the middle, to second order in time. div d is 0 of a stream function.
    Where a path leaves a frame that does not wrap, r is 0.

    Attributes:
        residual: r ``[N, S, H, W]``, with the gain g that makes it least, if one is fitted.
        slopes: dr/dd ``[N, 2, S, H, W]``.
        level: dr/d(div d) ``[N, S, H, W]``, None where there is no div d.
        brightness: -dr/dg ``[N, S, H, W]``.
        gain: g ``[N]``.
    """

    residual: Float[Tensor, "N S H W"]
    slopes: Float[Tensor, "N 2 S H W"] = field(repr=False)
    level: Float[Tensor, "N S H W"] | None = field(repr=False)
    brightness: Float[Tensor, "N S H W"] = field(repr=False)
    gain: Float[Tensor, "N"]


def carry(
    before: Float[Tensor, "N S H W"],
    after: Float[Tensor, "N S H W"],
    d: Float[Tensor, "N 2 H W"],
    motion: Motion,
    wraps: bool,
    gain: bool,
) -> Carried:
    """Frames carried by displacements in units of h, see `Carried`. Differentiable in the frames for given d and g.

    >>> ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    >>> motion, right = Motion(True, "free", 6, 6, (1.0, 1.0)), torch.zeros(1, 2, 6, 6)
    >>> right[:, 1] = 1.0
    >>> left = carry(ramp, ramp - 1.0, right, motion, False, False).residual
    >>> left[..., 2:4].abs().max().item()
    0.0
    """
    height, width = before.shape[2:]
    rows = torch.arange(height, dtype=d.dtype, device=d.device)[:, None].expand(height, width)
    columns = torch.arange(width, dtype=d.dtype, device=d.device).expand(height, width)
    pixels = d / d.new_tensor(motion.spacing).view(2, 1, 1) / 2
    ends = [torch.stack([rows, columns]) + sign * pixels for sign in (1, -1)]
    (late, late_slopes), (early, early_slopes) = (
        interpolate(frames, end, wraps) for frames, end in zip((after, before), ends, strict=True)
    )
    growth = torch.zeros_like(d[:, :1]) if motion.stream else motion.dilation(d)[:, None] / 2
    mask: Tensor | float = 1.0 if wraps else (_inside(ends[0]) & _inside(ends[1]))[:, None].to(d)
    brightness = mask * (late + early) / 2
    residual = mask * ((1 + growth) * late - (1 - growth) * early)
    found = _least_gain(residual.detach(), brightness.detach()) if gain else residual.new_zeros(len(residual))
    growth = growth - found[:, None, None, None] / 2
    h = d.new_tensor(motion.spacing).view(1, 2, 1, 1, 1)
    slopes = ((1 + growth)[:, None] * late_slopes + (1 - growth)[:, None] * early_slopes) / (2 * h)
    residual = residual - found[:, None, None, None] * brightness
    slopes = slopes * mask[:, None] if isinstance(mask, Tensor) else slopes
    return Carried(residual, slopes, None if motion.stream else brightness, brightness, found)


def _least_gain(residual: Float[Tensor, "N S H W"], brightness: Float[Tensor, "N S H W"]) -> Float[Tensor, "N"]:
    """G that makes |residual - g brightness| least."""
    power = brightness.square().sum((1, 2, 3))
    product = (residual * brightness).sum((1, 2, 3))
    return torch.where(power > 0, product / torch.where(power > 0, power, 1), 0)


def _inside(place: Float[Tensor, "N 2 H W"]) -> Tensor:
    last = place.new_tensor(place.shape[2:]).view(2, 1, 1) - 1
    return ((place >= 0) & (place <= last)).all(1)
