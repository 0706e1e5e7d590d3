"""Noise levels, and the sampler that goes down them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor


def levels(steps: int, shift: float = 1.0) -> list[float]:
    """Noise levels from 1 to 0: s = u / (u + (1 - u) / shift), u even; a shift below 1 puts more at low noise.

    Source: Esser et al., arXiv:2403.03206.

    >>> levels(4), [round(level, 2) for level in levels(4, 0.5)]
    ([1.0, 0.75, 0.5, 0.25, 0.0], [1.0, 0.6, 0.33, 0.14, 0.0])
    """
    return [u / (u + (1 - u) / shift) for u in (1 - step / steps for step in range(steps + 1))]


def descend(
    estimate: Callable[[Tensor, float], Tensor],
    noise: Float[Tensor, "B N"],
    sigmas: Sequence[float],
    renoise: float,
    generator: torch.Generator,
) -> Float[Tensor, "B N"]:
    """x_s' = (1 - s') x0* + s' (sqrt(1 - eta) e* + sqrt(eta) xi), e* = (x_s - (1 - s) x0*) / s, x0* = estimate(x_s, s).

    Source: Zhu et al., arXiv:2305.08995; Kim et al., arXiv:2503.08136.
    """
    x = noise
    for sigma, lower in pairwise(sigmas):
        clean = estimate(x, sigma).detach()
        old = (x - (1 - sigma) * clean) / sigma
        new = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = (1 - lower) * clean + lower * (math.sqrt(1 - renoise) * old + math.sqrt(renoise) * new)
    return x
