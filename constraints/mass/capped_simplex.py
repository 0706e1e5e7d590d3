"""Euclidean projection onto a simplex with bounds."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

ITERATIONS = 240


def project_capped_simplex(
    points: Float[Tensor, "*batch n"], total: Float[Tensor, "*batch"], maximum: float | int = math.inf
) -> Float[Tensor, "*batch n"]:
    """Nearest point with a given sum and bounded entries.

    argmin |x - p|^2 over {sum x = total, 0 <= x <= maximum}  =  clip(p + shift, 0, maximum)

    The sum is a piecewise linear, nondecreasing function of the shift: Newton's method is exact once it is on the right
    piece. Where it leaves the bracket, and at every fourth step, bisection takes over. Memory is O(n).

    ``points`` is ``[*batch, n]``, ``total`` ``[*batch]`` in the same unit, with 0 <= total <= n maximum; both float64.
    The sum is met to rounding.

    Source: Wang and Lu (2015), Projection onto the capped simplex, arXiv:1503.01002; Newton's method as Condat (2016),
        Fast projection onto the simplex and the l1 ball, Math. Program. 158:575.

    >>> p = torch.tensor([0.9, 0.25, -0.3], dtype=torch.float64)
    >>> project_capped_simplex(p, torch.tensor(1.5, dtype=torch.float64), 1.0).tolist()
    [1.0, 0.5, 0.0]
    """
    n, eps = points.shape[-1], torch.finfo(points.dtype).eps
    low = -points.amax(-1)
    high = maximum - points.amin(-1) if math.isfinite(maximum) else (total - points.sum(-1)) / n
    shift = torch.zeros_like(total).clamp(low, high)
    for iteration in range(ITERATIONS):
        x = (points + shift[..., None]).clamp_(0, maximum)
        excess = x.sum(-1) - total
        done = excess.abs() <= 8 * eps * (total + n * shift.abs())
        if bool(done.all()):
            break
        low, high = torch.where(excess < 0, shift, low), torch.where(excess > 0, shift, high)
        newton = shift - excess / ((x > 0) & (x < maximum)).sum(-1)
        take = (newton >= low) & (newton <= high) & (iteration % 4 < 3)
        shift = torch.where(done, shift, torch.where(take, newton, (low + high) / 2))
    return x
