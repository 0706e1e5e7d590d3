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
#: pixels that are averaged, along each axis, where change is looked for
BLOCKS = (1, 4, 16)
#: change, in units of what noise alone makes of it, below which nothing moves
STILL = 1.5
#: values of a species that quantiles are taken of, at most
MOST = 2**20
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
    return [_verdict(sample, least) for sample in fields.double()]


@torch.no_grad()
def noise_level(fields: Float[Tensor, "S T *space"]) -> Float[Tensor, "S"]:
    """Standard deviation of noise that is white in space and time, or more: signal that turns fast counts as well.

    sigma = 1.4826 median |d| / |w|,  d = w * u,  w = (1, -2, 1) along every axis of space, or along time

    The smaller of the two, since structure is in the first and fast change in the second; of two frames the first.

    >>> noise = 0.1 * torch.randn(1, 9, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> round(noise_level(noise).item(), 3)
    0.1
    """
    fields = fields.double()
    space = fields
    for axis in range(2, fields.ndim):
        space = space.diff(n=2, dim=axis) if space.shape[axis] > 2 else space
    weight = math.sqrt(6) ** sum(size > 2 for size in fields.shape[2:])
    found = _deviation(space) / weight
    if fields.shape[1] > 2:
        found = found.minimum(_deviation(fields.diff(n=2, dim=1)) / math.sqrt(6))
    return found


def _verdict(fields: Float[Tensor, "S T *space"], least: float) -> str | None:
    low, high = _range(fields)
    sigma = noise_level(fields)
    limit = (ABOVE_NOISE * sigma).clamp(min=least).maximum(ROUNDING * fields.abs().flatten(1).amax(1))
    shown = high - low > limit
    if not bool(shown.any()):
        return "empty" if bool((high.abs().maximum(low.abs()) <= limit).all()) else "uniform"
    return None if _moves(fields[shown], sigma[shown]) else "frozen"


def _moves(fields: Float[Tensor, "S T *space"], sigma: Float[Tensor, "S"]) -> bool:
    """Whether any species changes over time by more than its noise, at some scale."""
    space = fields.shape[2:]
    floor = ROUNDING * fields.abs().flatten(1).amax(1)
    scales = [[min(block, size) for size in space] for block in BLOCKS] + [list(space)]
    for blocks in scales:
        mean = fields
        for axis, block in enumerate(blocks, start=2):
            mean = mean.unfold(axis, block, block).mean(-1)
        change = (mean - mean.mean(1, keepdim=True)).flatten(1).square().mean(1).sqrt()
        expected = sigma / math.sqrt(math.prod(blocks))
        if bool((change > (STILL * expected).maximum(floor)).any()):
            return True
    return False


def _range(fields: Float[Tensor, "S T *space"]) -> tuple[Tensor, Tensor]:
    flat = fields.flatten(1)
    levels = torch.tensor(QUANTILES, dtype=flat.dtype, device=flat.device)
    low, high = torch.quantile(flat[:, :: math.ceil(flat.shape[1] / MOST)], levels, dim=1)
    return low, high


def _deviation(differences: Float[Tensor, "S *shape"]) -> Float[Tensor, "S"]:
    return MAD * differences.abs().flatten(1).median(1).values
