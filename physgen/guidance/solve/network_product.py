"""Products with the network's Jacobian, by the graph that its estimate has, or by one more evaluation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.guidance.solve.forward_difference import Predict, difference, forward_difference


def network_product(
    w: Float[Tensor, "B *shape"],
    *,
    x0_hat: Float[Tensor, "B *shape"],
    x_t: Float[Tensor, "B *shape"],
    sigma: float,
    predict: Predict | None = None,
    precision: torch.dtype | None = None,
) -> Float[Tensor, "B *shape"]:
    """(d x0_hat / d x_t)^T w: by `forward_difference` where `predict` is given, else by a backward pass.

    Args:
        w: what is multiplied.
        x0_hat: estimate of the clean sample, for the backward pass with its graph from `x_t`.
        x_t: the noisy sample.
        sigma: its noise level in [0, 1].
        predict: from noisy samples to estimates of the clean ones, at this noise level.
        precision: of the network's arithmetic, where it is not that of `x0_hat`.

    Raises:
        InvalidArgument: an `x0_hat` whose graph does not reach `x_t`.

    >>> x_t = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> network_product(torch.ones(1, 2), x0_hat=x_t**2, x_t=x_t, sigma=0.5).tolist()
    [[2.0, 4.0]]
    """
    if predict is not None:
        with torch.no_grad():
            step = difference(sigma, precision or x0_hat.dtype)
            return forward_difference(predict, x_t.detach(), x0_hat, w, step)
    (product,) = torch.autograd.grad(x0_hat, x_t, w.to(x0_hat.dtype), retain_graph=True, allow_unused=True)
    if product is None:
        raise InvalidArgument("x0_hat", "the graph of something else", "x0_hat computed from x_t")
    return product.to(w.dtype)
