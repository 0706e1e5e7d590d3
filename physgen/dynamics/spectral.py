"""Eigenbases of the discrete Laplacian, one axis at a time: exact heat flow and smoothing for every wall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from physgen.grid import Grid
from physgen.stencil import laplacian


@lru_cache(maxsize=64)
def eigenbasis(
    cells: int, spacing: float, boundary: str, order: int = 2
) -> tuple[Float64[Tensor, "N"], Float64[Tensor, "N N"]]:
    """Eigenvalues (1/µm², from 0 down) and orthonormal eigenvectors (columns) of the 1-D Laplacian of `stencil`.

    L V = V diag(lambda): cosines (``no-flux``), sines (``dirichlet``) or both (``periodic``) for the second order

    Raises:
        InvalidArgument: as `laplacian`.

    Source: Strang (1999), The Discrete Cosine Transform, SIAM Review 41:135.

    >>> values, vectors = eigenbasis(4, 0.5, "no-flux")
    >>> [round(x, 3) for x in values.abs().tolist()], vectors[0, 0].abs().round(decimals=9).item()
    ([0.0, 2.343, 8.0, 13.657], 0.5)
    """
    rows = torch.eye(cells, dtype=torch.float64).view(1, 1, cells, cells)
    values, vectors = torch.linalg.eigh(laplacian(rows, (spacing,), boundary, order)[0, 0])
    return values.flip(0), vectors.flip(1)


def laplacian_modes(
    space: Sequence[int], grid: Grid, order: int
) -> tuple[Float64[Tensor, "*space"], list[Float64[Tensor, "N N"]]]:
    """Eigenvalues (1/µm²) of the Laplacian ``[*space]``, and its eigenvectors along each axis.

    >>> values, bases = laplacian_modes((2, 3), Grid(spacing=(1.0, 1.0), dt=1.0), 2)
    >>> values.abs().round(decimals=9).tolist(), len(bases)
    ([[0.0, 1.0, 3.0], [2.0, 3.0, 5.0]], 2)
    """
    axes = [eigenbasis(cells, h, grid.boundary, order) for cells, h in zip(space, grid.spacing, strict=True)]
    columns = torch.meshgrid(*(values for values, _ in axes), indexing="ij")
    return torch.stack(columns).sum(0), [basis for _, basis in axes]


def heat_kernel(
    cells: int, spacing: float, boundary: str, order: int, variance: Float64[Tensor, "S"]
) -> Float64[Tensor, "S N N"]:
    """exp(variance L) of every species: heat flow of the discrete Laplacian along one axis, exact in time.

    ``variance`` is D t, µm². The matrices are symmetric.

    >>> kernel = heat_kernel(3, 1.0, "no-flux", 2, torch.tensor([1e3], dtype=torch.float64))
    >>> kernel[0, 0].round(decimals=6).tolist()
    [0.333333, 0.333333, 0.333333]
    """
    values, vectors = eigenbasis(cells, spacing, boundary, order)
    return (vectors * torch.exp(variance[:, None, None] * values)) @ vectors.T


def transform(fields: Float[Tensor, "B S T *space"], matrices: Sequence[Tensor]) -> Float[Tensor, "B S T *space"]:
    """Multiply every axis of space with its matrix, ``[N, N]`` or one of each species ``[S, N, N]``.

    >>> ones, half = torch.ones(1, 1, 1, 2), 0.5 * torch.ones(2, 2)
    >>> transform(ones, [half]).tolist()
    [[[[1.0, 1.0]]]]
    """
    shape = fields.shape
    for axis, matrix in enumerate(matrices, start=3):
        matrix = matrix.to(fields)
        if axis == fields.ndim - 1:
            fields = fields.flatten(2, -2) @ matrix.mT
        else:
            rows = fields.reshape(*shape[:2], -1, shape[axis], math.prod(shape[axis + 1 :]))
            fields = matrix.unsqueeze(-3) @ rows
        fields = fields.view(shape)
    return fields
