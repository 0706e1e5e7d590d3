"""Which particles live on: systematic resampling, group by group."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


def normalised(log_weights: Float64[Tensor, "G n"]) -> Float64[Tensor, "G n"]:
    """Weights of sum 1 in each group; a group without hope, -inf everywhere, has equal ones.

    >>> normalised(torch.tensor([[0.0, -torch.inf], [-torch.inf, -torch.inf]], dtype=torch.float64)).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    hopeless = (log_weights == -torch.inf).all(1, keepdim=True)
    return torch.where(hopeless, 0.0, log_weights).softmax(1)


def resampled(weights: Float64[Tensor, "G n"], uniform: Float64[Tensor, "G"], count: int) -> Int64[Tensor, "G {count}"]:
    """Ancestors of `count` offspring in each group: the weights' quantiles at (j + u) / count.

    Particle i has floor(count w_i) or one more offspring, count w_i in expectation; equal weights and as many offspring
    as particles leave everything in its place.

    Args:
        weights: of sum 1 in each group.
        uniform: u of each group, drawn from [0, 1).
        count: offspring of a group.

    Source: Kitagawa (1996), J. Comput. Graph. Stat. 5:1.

    >>> weights = torch.tensor([[0.0, 0.5, 0.25, 0.25]], dtype=torch.float64)
    >>> resampled(weights, torch.tensor([0.3], dtype=torch.float64), 4).tolist()
    [[1, 1, 2, 3]]
    """
    cumulative = weights.cumsum(1)
    cumulative = cumulative / cumulative[:, -1:]
    quantiles = (torch.arange(count, dtype=torch.float64) + uniform[:, None]) / count
    return torch.searchsorted(cumulative, quantiles.clamp(max=1 - 1e-12), right=True)


def copies(ancestors: Int64[Tensor, "G n"]) -> Bool[Tensor, "G n"]:
    """Which offspring, sorted by ancestor, are not the first of theirs.

    >>> copies(torch.tensor([[1, 1, 2, 3]])).tolist()
    [[False, True, False, False]]
    """
    repeated = torch.zeros_like(ancestors, dtype=torch.bool)
    repeated[:, 1:] = ancestors[:, 1:] == ancestors[:, :-1]
    return repeated
