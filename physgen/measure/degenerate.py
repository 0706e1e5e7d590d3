"""Fields that show nothing, or nothing that happens: no law can be said to hold in them."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

#: spread of values, in standard deviations of the noise, above which something is shown: noise alone spreads by 5.15
ABOVE_NOISE = 6.0
#: parts of the largest value that are rounding, where there is no noise
ROUNDING = 1e-6
#: quantiles between which values spread, so that single pixels do not count
QUANTILES = (0.005, 0.995)
#: values that quantiles are taken of, at most
QUANTILE_OF = 2**20
#: pixels that are averaged, along each axis, where change is looked for
BLOCKS = (1, 4, 16)
#: change, in units of what noise alone makes of it, below which nothing moves
STILL = 1.5
#: values that are looked at, about, so that memory is that of a part of a long movie
MOST = 2**22
#: from a median absolute deviation to a standard deviation, of a normal distribution
MAD = 1.4826


@torch.no_grad()
def degenerate(fields: Float[Tensor, "B S T *space"], least: float = 0.0) -> list[str | None]:
    """Why no law can be said to hold in a sample: ``empty``, ``uniform`` or ``frozen``; None where one can.

    spread = max_s (q_0.995 - q_0.005),  limit = max(least, 6 sigma, 1e-6 max |u|),  sigma: see `noise_level`

    - ``empty``: the spread is below the limit, and so are the values: nothing stands out of the background's noise;
    - ``uniform``: the spread is below the limit around another value;
    - ``frozen``: the change over time, at no scale from pixels to the whole frame, is more than noise makes.

    A species that shows nothing does not count where another shows something.

    Args:
        fields: ``[B, S, T, *space]``.
        least: spread that is something, in the unit of the fields, where that is known: of a generated video a quarter
            of the largest concentration.

    Source: noise from second differences, Immerkaer (1996), Computer Vision and Image Understanding 64:300; median
        absolute deviation, Hampel (1974), J. Amer. Stat. Assoc. 69:383.

    >>> still = torch.rand(1, 1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).expand(1, 1, 5, 16, 16)
    >>> degenerate(torch.zeros(1, 1, 5, 16, 16)), degenerate(torch.ones(1, 1, 5, 16, 16)), degenerate(still)
    (['empty'], ['uniform'], ['frozen'])
    """
    return [_verdict(sample, least) for sample in fields]


@torch.no_grad()
def noise_level(fields: Float[Tensor, "S T *space"]) -> Float[Tensor, "S"]:
    """Standard deviation of noise that is white in space and time, or more: signal that turns fast counts as well.

    sigma = 1.4826 median |d| / |w|,  d = w * u,  w = (1, -2, 1) along every axis of space, or along time

    The smaller of the two, since structure is in the first and fast change in the second; of two frames the first.
    Differences with a NaN are left out; NaN where none is without.

    >>> noise = 0.1 * torch.randn(1, 9, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> round(noise_level(noise).item(), 3)
    0.1
    """
    space = fields[:, :: _stride(fields)].double()
    for axis in range(2, fields.ndim):
        space = space.diff(n=2, dim=axis) if space.shape[axis] > 2 else space
    weight = math.sqrt(6) ** sum(size > 2 for size in fields.shape[2:])
    found = _deviation(space) / weight
    if fields.shape[1] > 2:
        found = found.fmin(_deviation(_sparse(fields).diff(n=2, dim=1)) / math.sqrt(6))
    return found


def _verdict(fields: Float[Tensor, "S T *space"], least: float) -> str | None:
    low, high = _range(fields)
    sigma = noise_level(fields)
    largest = fields.flatten(1).amax(1).maximum(-fields.flatten(1).amin(1)).double()
    limit = (ABOVE_NOISE * sigma).clamp(min=least).maximum(ROUNDING * largest)
    shown = high - low > limit
    if not bool(shown.any()):
        return "empty" if bool((high.abs().maximum(low.abs()) <= limit).all()) else "uniform"
    moves = any(_moves(fields[s : s + 1], sigma[s], largest[s]) for s in shown.nonzero().flatten().tolist())
    return None if moves else "frozen"


def _moves(fields: Float[Tensor, "1 T *space"], sigma: Float[Tensor, ""], largest: Float[Tensor, ""]) -> bool:
    """Whether a species changes over time by more than its noise, at some scale."""
    space = fields.shape[2:]
    scales = [[min(block, size) for size in space] for block in BLOCKS] + [list(space)]
    for blocks in scales:
        mean = _sparse(fields) if math.prod(blocks) == 1 else fields
        for axis, block in enumerate(blocks, start=2):
            mean = mean.unfold(axis, block, block).mean(-1) if block > 1 else mean
        mean = mean.double()
        change = (mean - mean.mean(1, keepdim=True)).square().mean().sqrt()
        if bool(change > (STILL * sigma / math.sqrt(math.prod(blocks))).maximum(ROUNDING * largest)):
            return True
    return False


def _stride(fields: Float[Tensor, "S T *space"]) -> int:
    """Of what is looked at, so that it is about `MOST` values."""
    return math.ceil(fields.numel() / MOST)


def _sparse(fields: Float[Tensor, "S T *space"]) -> Float[Tensor, "S T N"]:
    """Some pixels, in all frames."""
    return fields.flatten(2)[..., :: _stride(fields)].double()


def _range(fields: Float[Tensor, "S T *space"]) -> tuple[Tensor, Tensor]:
    flat = fields.flatten(1)
    flat = flat[:, :: math.ceil(flat.shape[1] / QUANTILE_OF)].double()
    levels = torch.tensor(QUANTILES, dtype=flat.dtype, device=flat.device)
    low, high = torch.quantile(flat, levels, dim=1)
    return low, high


def _deviation(differences: Float[Tensor, "S *shape"]) -> Float[Tensor, "S"]:
    return MAD * differences.abs().flatten(1).nanmedian(1).values
