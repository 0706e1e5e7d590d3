"""Eigenvectors of the discrete Laplacian in closed form: even ones and odd ones."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float64
from torch import Tensor


@lru_cache(maxsize=64)
def modes(cells: int, walls: str) -> tuple[Float64[Tensor, "N"], Float64[Tensor, "N N"]]:
    """Angles, and orthonormal eigenvectors (columns), of the Laplacian of `stencil` along an axis.

    cos(pi k (i + 1/2) / n) (``no-flux``), sin(pi (k + 1) (i + 1/2) / n) (``dirichlet``), both with 2 pi k
    (``periodic``), of which -lap is (2 - 2 cos theta) / h^2 and a central difference sin theta / h

    The (n + 1) // 2 that are their own mirror image come first, then those that are its negative.

    Source: Strang (1999), The Discrete Cosine Transform, SIAM Review 41:135.

    >>> angles, vectors = modes(3, "no-flux")
    >>> [round(x, 3) for x in angles.tolist()], (vectors.T @ vectors).round(decimals=9).abs().tolist()[0]
    ([0.0, 2.094, 1.047], [1.0, 0.0, 0.0])
    """
    half = torch.arange(cells, dtype=torch.float64) + 0.5
    k = torch.arange(cells, dtype=torch.float64)
    if walls == "periodic":
        even, odd = k[: (cells + 1) // 2], k[1 : cells // 2 + 1]
        angles = 2 * math.pi * torch.cat([even, odd]) / cells
        vectors = torch.cat(
            [torch.cos(half[:, None] * angles[: len(even)]), torch.sin(half[:, None] * angles[len(even) :])], 1
        )
    else:
        k = torch.cat([k[::2], k[1::2]]) + (walls == "dirichlet")
        angles = math.pi * k / cells
        vectors = (torch.sin if walls == "dirichlet" else torch.cos)(half[:, None] * angles)
    return angles, vectors / vectors.norm(dim=0)
