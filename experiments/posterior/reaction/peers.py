"""The projection of PCFM as its authors compute it: dense Jacobians, Newton steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

#: added to the diagonal of J J^T, the authors' default
DAMPING = 1e-6


def dense_newton(
    residual: Callable[[Tensor], Tensor], x0: Float[Tensor, "B *shape"], *, steps: int = 1, nearest: bool = False
) -> Float[Tensor, "B *shape"]:
    """Newton steps onto h = 0, each sample by itself.

    x <- x - J^T (J J^T + e I)^-1 h,  with h + J (x0 - x) in place of h where the `nearest` point is asked for

    ``residual`` maps samples ``[B, ...]`` to h ``[B, M]``. Memory is B M N.

    Source: Utkarsh et al., arXiv:2506.04171, algorithm 1 and its modes "root" and "least squares".

    >>> circle = lambda x: x.square().sum(1, keepdim=True) - 1
    >>> dense_newton(circle, torch.tensor([[3.0, 4.0]]), steps=8).mul(1000).round().tolist()
    [[600.0, 800.0]]
    """

    def value(x: Tensor) -> Tensor:
        return residual(x[None])[0]

    jacobian = vmap(jacrev(value))
    x = x0
    for _ in range(steps):
        J = jacobian(x).flatten(2)
        h = residual(x)
        if nearest:
            h = h + torch.einsum("bmn,bn->bm", J, (x0 - x).flatten(1))
            x = x0
        gram = J @ J.mT + DAMPING * torch.eye(J.shape[1], dtype=J.dtype)
        multipliers = torch.linalg.solve(gram, h)
        x = x - torch.einsum("bmn,bm->bn", J, multipliers).view_as(x)
    return x
