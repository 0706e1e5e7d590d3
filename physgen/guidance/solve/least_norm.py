"""Least-squares solutions of least norm by conjugate gradients, each sample of a batch by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.tensors import of_samples

#: what rounding does to ||J^T r||, in units of eps ||J|| ||r||
ROUNDING = 10


@dataclass(frozen=True)
class Multipliers:
    """Multipliers and what they leave.

    `values` l ``[B, M]``; `rest` b - J J^T l ``[B, M]``; `stuck` ``[B]``: without damping, J^T rest is 0, but rest not.
    """

    values: Tensor
    rest: Tensor
    stuck: Bool[Tensor, "B"]


def least_norm(
    jvp: Callable[[Tensor], Tensor],
    vjp: Callable[[Tensor], Tensor],
    b: Float[Tensor, "B M"],
    *,
    steps: int,
    tolerance: float,
    damping: float = 0.0,
) -> Multipliers:
    """Multipliers l of the shortest x = J^T l that minimises ||J x - b||^2 + damping ||x||^2.

    Without damping it solves J J^T l = b where b is in the range of J, and is the best there is where not. Stops after
    ``steps`` products with J and as many with J^T, or when for every sample ||r|| <= tolerance ||b||, r = b - J x, or
    ||g|| <= tolerance ||J^T b||, g = J^T r - damping x, or g is nothing but rounding:

    ||g||^2 <= (ROUNDING eps)^2 (||J||^2 + damping) (||r||^2 + damping ||x||^2)

    with the largest ||J p|| / ||p|| of the directions p so far for ||J||. Beyond that the directions are noise, and
    steps along them grow without bound.

    Source: CGLS, Hestenes and Stiefel (1952), J. Res. Natl. Bur. Stand. 49:409; Paige and Saunders (1982), ACM TOMS
        8:43.

    >>> J = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    >>> found = least_norm(lambda x: x @ J.T, lambda w: w @ J, torch.tensor([[1.0, 3.0]]), steps=5, tolerance=1e-6)
    >>> (found.values @ J).tolist(), found.rest.tolist(), found.stuck.tolist()
    ([[1.0, 1.0]], [[-1.0, 1.0]], [True])
    """
    values, rest, weights = torch.zeros_like(b), b, b
    direction = vjp(b)
    x = torch.zeros_like(direction)
    square = first = _square(direction)
    size = _square(b)
    largest, rounding = torch.zeros_like(size), (ROUNDING * torch.finfo(b.dtype).eps) ** 2
    active = (size > 0) & (square > 0)
    for _ in range(steps):
        if not bool(active.any()):
            break
        image = jvp(direction)
        norm = _square(direction)
        curvature = _square(image) + damping * norm
        largest = torch.where(active, largest.maximum(curvature / norm), largest)
        noise = rounding * largest * (_square(rest) + damping * _square(x))
        active = active & (curvature != 0) & ~(square <= noise)
        length = torch.where(active, square / curvature, 0.0)
        values = values + length * weights
        x = x + of_samples(length[:, 0], x) * direction
        rest = rest - length * image
        gradient = vjp(rest) - damping * x if damping else vjp(rest)
        following = _square(gradient)
        ratio = torch.where(active, following / square, 0.0)
        direction = gradient + of_samples(ratio[:, 0], x) * direction
        weights = rest - damping * values + ratio * weights
        square = following
        active = active & (following > tolerance**2 * first) & (_square(rest) > tolerance**2 * size)
    stuck = (square <= tolerance * first) & (_square(rest) > tolerance * size) & (damping == 0)
    return Multipliers(torch.where(size.isfinite(), values, torch.nan), rest, stuck[:, 0])


def _square(x: Tensor) -> Float[Tensor, "B 1"]:
    return x.flatten(1).square().sum(1, keepdim=True)
