"""Fields whose frames show the phases of an allowed path, near given ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int
from torch import Tensor

from physgen.errors import NoSolution

#: what log p of the path's phase must be above that of any other, and what a step aims at: rounding must not undo it
MARGIN, AIM = 0.01, 0.1
#: most steps; most that one may change a difference of log p by; passes that find the values at the limits
STEPS, REACH, PASSES = 100, 4.0, 10


def projected_onto_path(
    fields: Float64[Tensor, "1 S T *space"],
    log_probability: Callable[[Tensor], Tensor],
    path: Callable[[Tensor], Int[Tensor, "1 T"]],
) -> Float64[Tensor, "1 S T *space"]:
    """Fields near ``fields`` with g_t <= -0.01 in every frame t.

    g_t = max_{j != k_t} log p_t(j) - log p_t(k_t),  k = path(log p)
    x_t <- clip(x_t - l dg_t/dx_t),  l >= 0 such that g_t is -0.1 to first order, at most 4 away

    Newton steps on the frames that do not show their phase; the others are left alone. The path is that of the fields
    as they are: where an allowed path is out of reach, a step may lead to another. No value falls below 0 or rises
    above the bright part sum x^5 / sum x^4 of the sample, unless it was there before: what a video can show.

    Args:
        fields: one sample.
        log_probability: of the phases in each frame ``[1, T, K]``, differentiable.
        path: most probable allowed path of log-probabilities ``[1, T, K]``.

    Raises:
        NoSolution: frames that still do not show their phase after 100 steps.

    Source: Polyak (1969), USSR Comput. Math. Math. Phys. 9:14.

    >>> log_p = lambda x: F.log_softmax(torch.stack([x.mean((1, 3)), 1 - x.mean((1, 3))], -1), -1)
    >>> fields = torch.tensor([0.2, 0.8], dtype=torch.float64).view(1, 1, 2, 1).repeat(1, 1, 1, 3)
    >>> moved = projected_onto_path(fields, log_p, lambda log_p: torch.tensor([[1, 1]]))
    >>> moved.mean(3).flatten().round(decimals=4).tolist()
    [0.2, 0.45]
    """
    x = fields.detach()
    positive = x.clamp(min=0)
    bright = positive.pow(5).sum() / positive.pow(4).sum().clamp(min=torch.finfo(x.dtype).tiny)
    low, high = (_by_frame(limit) for limit in (x.clamp(max=0), x.maximum(bright)))
    for _ in range(STEPS):
        with torch.enable_grad():
            z = x.clone().requires_grad_()
            log_p = log_probability(z)
            shown = F.one_hot(path(log_p.detach()), log_p.shape[2]).bool()
            gap = log_p.masked_fill(shown, -torch.inf).amax(2) - log_p.masked_fill(~shown, -torch.inf).amax(2)
            wrong = gap[0].detach() > -MARGIN
            if not bool(wrong.any()):
                return x
            (gradient,) = torch.autograd.grad(gap[0, wrong].sum(), z)
        rows, frames = _by_frame(gradient), _by_frame(x)
        drop = wrong * (gap[0].detach() + AIM).clamp(max=REACH)
        moved = _lowered(frames, rows, drop, low, high)
        if torch.equal(moved, frames) or not bool(moved.isfinite().all()):
            break
        x = moved.unflatten(1, (x.shape[1], *x.shape[3:])).transpose(0, 1)[None]
    missing = wrong.nonzero()[:, 0].tolist()
    raise NoSolution("fields", f"frames {missing} out of order", "frames that can be changed to show an allowed path")


def _by_frame(values: Float64[Tensor, "1 S T *space"]) -> Float64[Tensor, "T N"]:
    return values.transpose(1, 2)[0].flatten(1)


def _lowered(
    frames: Float64[Tensor, "T N"],
    rows: Float64[Tensor, "T N"],
    drop: Float64[Tensor, "T"],
    low: Float64[Tensor, "T N"],
    high: Float64[Tensor, "T N"],
) -> Float64[Tensor, "T N"]:
    """Nearest values between low and high at which <rows, frames> is lower by ``drop``, or as low as it can be."""
    lengths = torch.zeros_like(drop)
    moved = frames
    for _ in range(PASSES):
        slack = drop + (rows * (moved - frames)).sum(1)
        free = frames - lengths[:, None] * rows == moved
        curvature = (rows.square() * free).sum(1)
        usable = (drop > 0) & (curvature > 0)
        lengths = (lengths + torch.where(usable, slack / torch.where(usable, curvature, 1.0), 0.0)).clamp(min=0)
        moved = (frames - lengths[:, None] * rows).clamp(low, high)
    return moved
