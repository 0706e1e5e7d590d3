"""The mean of the clean sample given the noisy one and the constraints, from a few products with a Jacobian.

The covariance of x_0 given x_t is the Jacobian of the network's estimate, C = s^2 / (1 - s) d x0_hat / d x_t. It is
symmetric, so a product with it is a backward pass, or a difference of two evaluations and no backward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

#: length of the difference of two evaluations, in units of the noise
DIFFERENCE = 1e-3

Map = Callable[[Tensor], Tensor]


def covariance_by_backward(x0_hat: Float[Tensor, "B N"], x_t: Float[Tensor, "B N"], sigma: float) -> Map:
    """Product with Cov[x_0 | x_t] by a backward pass through the graph from ``x_t`` to ``x0_hat``.

    Source: Tweedie's second formula, e.g. Boys et al., arXiv:2310.06721.
    """
    scale = sigma**2 / (1 - sigma)

    def product(v: Tensor) -> Tensor:
        return scale * torch.autograd.grad(x0_hat, x_t, v, retain_graph=True)[0]

    return product


def covariance_by_difference(clean: Map, x0_hat: Float[Tensor, "B N"], x_t: Float[Tensor, "B N"], sigma: float) -> Map:
    """Product with Cov[x_0 | x_t] by one more evaluation of ``clean``, the estimate as a function of x_t."""
    scale = sigma**2 / (1 - sigma)

    def product(v: Tensor) -> Tensor:
        size = v.square().mean(1, keepdim=True).sqrt()
        step = torch.where(size > 0, DIFFERENCE * sigma / size, 1.0)
        return scale / step * (clean(x_t + step * v) - x0_hat)

    return product


def conditional_mean(
    x0_hat: Float[Tensor, "B N"], shortfall: Float[Tensor, "B N"], row_space: Map, covariance: Map, products: int
) -> Float[Tensor, "B N"]:
    """E[x_0 | x_t, J x_0 = b] where x_0 given x_t is Gaussian: x0_hat + C J^T (J C J^T)^-1 (b - J x0_hat).

    Conjugate gradients on P C P z = P (x_0* - x0_hat), P = J^+ J; each of the ``products`` steps is as long as the
    constraints themselves say, so there is no weight to tune, and one is already a correction.

    Args:
        x0_hat: E[x_0 | x_t].
        shortfall: J^+ (b - J x0_hat), the shortest correction.
        row_space: v -> J^+ J v.
        covariance: v -> Cov[x_0 | x_t] v.
        products: evaluations of ``covariance``.

    Source: Rozet et al., arXiv:2405.13712; Boys et al., arXiv:2310.06721.

    >>> C, P = torch.tensor([[4.0, 2.0], [2.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> x = torch.zeros(1, 2)
    >>> conditional_mean(x, torch.tensor([[1.0, 0.0]]), lambda v: v @ P, lambda v: v @ C, 1).tolist()
    [[1.0, 0.5]]
    """
    move, rest, direction = torch.zeros_like(x0_hat), shortfall, shortfall
    first = square = rest.square().sum(1, keepdim=True)
    for _ in range(products):
        image = covariance(direction)
        shrink = row_space(image)
        curvature = (direction * shrink).sum(1, keepdim=True)
        useful = (curvature > 0) & (square > 1e-20 * first)
        length = torch.where(useful, square / torch.where(useful, curvature, 1.0), 0.0)
        move = move + length * image
        rest = rest - length * shrink
        following = rest.square().sum(1, keepdim=True)
        direction = rest + torch.where(useful, following / torch.where(useful, square, 1.0), 0.0) * direction
        square = following
    return x0_hat + move
