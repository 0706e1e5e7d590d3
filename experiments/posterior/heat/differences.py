"""The covariance of the clean sample given the noisy one, without a backward pass.

The Jacobian of E[x_0 | x_t] is symmetric, so what a backward pass gives, one more evaluation gives as well.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

#: length of the difference of two evaluations, in units of the noise
DIFFERENCE = 1e-3


def covariance_by_difference(
    clean: Callable[[Tensor], Tensor], x0_hat: Float[Tensor, "B N"], x_t: Float[Tensor, "B N"], sigma: float
) -> Callable[[Tensor], Tensor]:
    """Product with Cov[x_0 | x_t] = s^2 / (1 - s) d x0_hat / d x_t, by one evaluation of ``clean``: x_t -> x0_hat.

    Source: Tweedie's second formula, e.g. Boys et al., arXiv:2310.06721.

    >>> x = torch.ones(1, 2)
    >>> product = covariance_by_difference(lambda x: x, x, x, 0.5)  # of a prior of unit variance
    >>> product(torch.tensor([[1.0, 0.0]])).round(decimals=2).tolist()
    [[0.5, 0.0]]
    """
    scale = sigma**2 / (1 - sigma)

    def product(v: Tensor) -> Tensor:
        size = v.square().mean(1, keepdim=True).sqrt()
        step = torch.where(size > 0, DIFFERENCE * sigma / size, 1.0)
        return scale / step * (clean(x_t + step * v) - x0_hat)

    return product
