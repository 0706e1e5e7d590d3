"""The discrete Laplacian on a cell-centred grid with walls."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument

#: walls that the Laplacian knows; kernels take their index
WALLS = ("periodic", "no-flux", "dirichlet")
#: coefficients of the centre and of the neighbours at distance 1, 2, ... by order of accuracy
SECOND_DERIVATIVE = {2: (-2.0, 1.0), 4: (-5 / 2, 4 / 3, -1 / 12)}


def check_wall(boundary: str) -> None:
    """Raise `InvalidArgument` for a boundary that has no Laplacian."""
    if boundary not in WALLS:
        raise InvalidArgument("boundary", boundary, ", ".join(WALLS))


def extend(u: Tensor, dim: int, width: int, boundary: str) -> Tensor:
    """Ghost cells along one axis: mirrored (``no-flux``), from the far end (``periodic``) or negated (``dirichlet``).

    >>> extend(torch.tensor([1.0, 2.0, 3.0]), 0, 1, "dirichlet")
    tensor([-1.,  1.,  2.,  3., -3.])
    """
    n = u.shape[dim]
    if n < width:
        raise InvalidArgument("fields", tuple(u.shape), f"at least {width} cells along every axis of space")
    first, last = u.narrow(dim, 0, width), u.narrow(dim, n - width, width)
    if boundary == "periodic":
        return torch.cat([last, u, first], dim)
    sign = -1.0 if boundary == "dirichlet" else 1.0
    return torch.cat([sign * first.flip(dim), u, sign * last.flip(dim)], dim)


def laplacian(
    u: Float[Tensor, "B S T *space"], spacing: Sequence[float], boundary: str, order: int = 2
) -> Float[Tensor, "B S T *space"]:
    """Central differences of second or fourth order on every axis of space.

    lap u_i = sum_axes sum_k a_k (u_{i-k} + u_{i+k}) / h^2, a symmetric matrix for every boundary

    ``u`` is ``[B, S, T, *space]`` with one spacing (µm) per axis of space. ``dirichlet`` walls have the value 0.

    Raises:
        InvalidArgument: a boundary or an order that is not there, or too few cells.

    Source: Fornberg (1988), Math. Comp. 51:699, table 1; ghost cells: LeVeque (2002), ch. 7.

    >>> x = torch.arange(4.0).view(1, 1, 1, 4)
    >>> laplacian(x**2, (1.0,), "no-flux").flatten().tolist()
    [1.0, 2.0, 2.0, -5.0]
    """
    check_wall(boundary)
    if order not in SECOND_DERIVATIVE:
        raise InvalidArgument("order", order, ", ".join(map(str, SECOND_DERIVATIVE)))
    centre, *neighbours = SECOND_DERIVATIVE[order]
    width = len(neighbours)
    total = torch.zeros_like(u)
    for dim, h in enumerate(spacing, start=u.ndim - len(spacing)):
        n, padded = u.shape[dim], extend(u, dim, width, boundary)
        axis = centre * u
        for distance, weight in enumerate(neighbours, start=1):
            pair = padded.narrow(dim, width - distance, n) + padded.narrow(dim, width + distance, n)
            axis = axis + weight * pair
        total = total + axis / h**2
    return total
