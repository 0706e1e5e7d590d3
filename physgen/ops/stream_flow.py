"""The least-squares problem of a stream function, solved for many pairs of frames on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.ops.launch import in_threads

#: what the kernel calls the walls of a flow
WALLS = {"free": 0, "no-slip": 1, "periodic": 2}
#: pixels around the unknowns that are 0, of walls that the GPU's kernel knows
RINGS = {"free": 0, "no-slip": 2}
#: unknowns of a program of it, and its warps
BLOCK, WARPS = 256, 4


def solve_stream(
    right: Float[Tensor, "N M"],
    tensors: Float[Tensor, "N 3 H W"],
    bases: Sequence[Tensor],
    parts: Float[Tensor, "N K L"],
    drifts: Float[Tensor, "N"],
    stiffness: float,
    spacing: tuple[float, float],
    walls: str,
    products: int,
    reduction: float,
) -> Float[Tensor, "N M"]:
    """Solve C^T (A - stiffness lap) C z = right for z, by conjugate gradients of each problem.

    Problem by problem, so that what a step needs stays in the cache, in as many threads as torch has. Modes that are
    their own mirror image, and those that are its negative, are two matrices of a quarter of the size each.

    Args:
        right: ``[N, M]``, on a CPU; the last two of M are a drift where walls are periodic.
        tensors: A at every pixel: yy, yx, xx.
        bases: modes of the unknowns along y and x, in columns, even ones first.
        parts: of each mode in the approximate inverse.
        drifts: of a drift in it.
        stiffness: weight of -lap.
        spacing: of the pixels.
        walls: ``free``, ``no-slip`` or ``periodic``.
        products: with the matrix, at most.
        reduction: of the residual's norm, in the approximate inverse, that is enough.

    Source: Hestenes and Stiefel (1952), J. Res. Natl. Bur. Stand. 49:409.
    """
    from physgen.kernels.stream_flow import conjugate_gradients

    found = torch.empty_like(right)
    even = (parts.shape[2] + 1) // 2
    real = right.numpy().dtype.type
    work = partial(
        conjugate_gradients,
        found.numpy(),
        right.contiguous().numpy(),
        tensors.contiguous().numpy(),
        (*_halves(bases[0], down=True), *_halves(bases[1], down=False)),
        (parts[..., :even].contiguous().numpy(), parts[..., even:].contiguous().numpy()),
        drifts.numpy(),
        real(stiffness),
        real(spacing[0]),
        real(spacing[1]),
        WALLS[walls],
        products,
        reduction,
    )
    in_threads(work, len(right))
    return found


def stream_product(
    z: Float[Tensor, "N M"],
    tensors: Float[Tensor, "N 3 H W"],
    stiffness: float,
    spacing: tuple[float, float],
    walls: str,
) -> Float[Tensor, "N M"]:
    """C^T (A - stiffness lap) C z in one pass, on a GPU, for ``free`` and ``no-slip`` walls.

    Arguments are those of `solve_stream`. The same bits at every run: nothing is summed across pixels.

    Source: as `solve_stream`.
    """
    from physgen.kernels.stream_product import stream_product as kernel

    out = torch.empty_like(z, memory_format=torch.contiguous_format)
    numbers = z.new_tensor([0.5 / spacing[0], 0.5 / spacing[1], stiffness])
    with torch.cuda.device_of(z):
        kernel[(len(z), -(-z.shape[1] // BLOCK))](
            z.contiguous(),
            tensors.contiguous(),
            out,
            numbers,
            *tensors.shape[2:],
            RING=RINGS[walls],
            BLOCK=BLOCK,
            num_warps=WARPS,
        )
    return out


def ahead_of_time(walls: str) -> dict[str, Any]:
    """How `stream_product` launches its kernel on float32, for a compile without a GPU.

    >>> ahead_of_time("free")["constexprs"]
    {'RING': 0, 'BLOCK': 256}
    """
    from physgen.kernels.stream_product import stream_product as kernel

    return {
        "function": kernel,
        "signature": {**dict.fromkeys(("Z", "A", "OUT", "NUMBERS"), "*fp32"), "HEIGHT": "i32", "WIDTH": "i32"},
        "constexprs": {"RING": RINGS[walls], "BLOCK": BLOCK},
        "aligned": ("Z", "A", "OUT", "NUMBERS", "HEIGHT", "WIDTH"),
        "num_warps": WARPS,
        "elements": BLOCK,
    }


def _halves(basis: Tensor, down: bool) -> list[np.ndarray]:
    """Of even and odd modes, the cells of the first half; of y the way there first, of x as the right factor."""
    even = (len(basis) + 1) // 2
    columns = [basis[:even, :even], basis[: len(basis) // 2, even:]]
    rows = [column.mT for column in columns]
    return [x.contiguous().numpy() for x in (rows + columns if down else columns + rows)]
