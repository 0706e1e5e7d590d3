"""Products with the network's Jacobian without a backward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.tensors import of_samples

#: from noisy samples to estimates of the clean ones, at one noise level
Predict = Callable[[Tensor], Tensor]
#: RMS of the step, in units of the noise; and in half precision, whose rounding does not shrink with the noise: the
#: root of that of bfloat16 is 0.09
STEP, HALF_STEP = 0.01, 0.1
#: noise level below which a step is no shorter
SMALLEST = 1e-3


def difference(sigma: float, precision: torch.dtype) -> float:
    """RMS of a step in x_t: a hundredth of the noise; a tenth of x_t itself, of RMS one, where the network rounds.

    >>> difference(0.5, torch.float32), difference(0.5, torch.bfloat16)
    (0.005, 0.1)
    """
    return HALF_STEP if precision.itemsize < 4 else STEP * max(sigma, SMALLEST)


def forward_difference(
    predict: Predict,
    x_t: Float[Tensor, "B *shape"],
    x0_hat: Float[Tensor, "B *shape"],
    w: Float[Tensor, "B *shape"],
    step: float,
) -> Float[Tensor, "B *shape"]:
    """(d x0_hat / d x_t) w by one more evaluation of the network, in the place of (d x0_hat / d x_t)^T w.

    rms(w) (x0_hat - predict(x_t - step u)) / step,  u = w / rms(w) of each sample

    The Jacobian of the mean of x_0 given x_t is its covariance times (1 - sigma) / sigma^2, so it is symmetric; that of
    a trained network nearly is.

    Args:
        predict: from noisy samples to estimates of the clean ones, at one noise level.
        x_t: where.
        x0_hat: predict(x_t).
        w: what is multiplied; 0 gives 0.
        step: RMS of the difference in x_t, see `difference`.

    Source: covariance: Boys et al., arXiv:2310.06721.

    >>> C = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> x_t = torch.tensor([[0.5, -1.0]])
    >>> forward_difference(lambda x: x @ C, x_t, x_t @ C, torch.tensor([[1.0, 0.0]]), 0.1).round(decimals=3).tolist()
    [[2.0, 1.0]]
    """
    size = w.flatten(1).square().mean(1).sqrt()
    scale = of_samples(size.where(size > 0, size.new_ones(())), w)
    moved = predict(x_t - (step / scale * w).to(x_t.dtype))
    return (scale * (x0_hat.detach().to(w.dtype) - moved.detach().to(w.dtype)) / step) * of_samples(size > 0, w)
