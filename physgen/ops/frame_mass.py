"""Mass of every frame, and its gradient, in one read of the fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.ops.backend import resolve_backend

#: values that a lane of the Triton kernel adds in float32, its lanes, and its warps
STEPS, LANES, WARPS = 16, 512, 4


def mass(
    fields: Float[Tensor, "B S T *space"], backend: str = "auto"
) -> tuple[Float[Tensor, "B S T"], Float[Tensor, "B S T"]]:
    """Sum over space of the values and of their absolute values, in float64.

    m[b, s, t] = sum_x c[b, s, t, x],  a[b, s, t] = sum_x |c[b, s, t, x]|

    Values are read once. The gradient of m is a view of one number per frame; a has none. Sums are in a fixed order, so
    a repeat gives the same bits. Accumulation is in float64; on a GPU, `STEPS` values at a time in float32.

    Args:
        fields: floating point ``[B, S, T, *space]``.
        backend: ``auto``, ``reference``, ``numba`` (CPU) or ``triton`` (GPU), see `resolve_backend`.

    Returns:
        m and a, each ``[B, S, T]`` float64, in units of the fields (times the area of a cell, a mass).

    Raises:
        InvalidArgument: fewer than four dimensions or not floating point; a backend that cannot run here.

    Source: pairwise summation, Higham (1993), SIAM J. Sci. Comput. 14:783.

    >>> signed, absolute = mass(torch.tensor([1.0, -3.0]).view(1, 1, 1, 2))
    >>> signed.item(), absolute.item()
    (-2.0, 4.0)
    """
    if fields.ndim < 4 or not fields.is_floating_point():
        raise InvalidArgument("fields", f"{fields.dtype} {tuple(fields.shape)}", "floating point [B, S, T, *space]")
    signed, absolute = torch.ops.physgen.row_sums(fields.flatten(3).flatten(0, 2), backend)
    return signed.view(fields.shape[:3]), absolute.view(fields.shape[:3])


SCHEMA = "(Tensor rows, str backend) -> (Tensor, Tensor)"


@torch.library.custom_op("physgen::row_sums", mutates_args=(), schema=SCHEMA)
def _row_sums(rows: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    run = {"reference": _reference, "numba": _numba, "triton": _triton}[resolve_backend(backend, rows.device)]
    return run(rows.detach().contiguous())


@_row_sums.register_fake
def _(rows: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    sums = rows.new_empty(rows.shape[0], dtype=torch.float64)
    return sums, torch.empty_like(sums)


def _setup_context(ctx: Any, inputs: tuple[Tensor, str], output: tuple[Tensor, Tensor]) -> None:
    ctx.shape, ctx.dtype = inputs[0].shape, inputs[0].dtype
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
    return grad.to(ctx.dtype)[:, None].expand(ctx.shape), None


_row_sums.register_autograd(_backward, setup_context=_setup_context)


def _reference(rows: Tensor) -> tuple[Tensor, Tensor]:
    exact = rows.double()
    return exact.sum(-1), exact.abs().sum(-1)


def _numba(rows: Tensor) -> tuple[Tensor, Tensor]:
    signed = torch.empty(rows.shape[0], dtype=torch.float64)
    absolute = torch.empty_like(signed)
    exact = rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
    _compiled()(exact.numpy(), signed.numpy(), absolute.numpy())
    return signed, absolute


@cache
def _compiled() -> Callable[..., None]:
    from physgen.kernels.compiled import njit

    def sums(rows, signed, absolute):  # type: ignore[no-untyped-def]
        for row in range(rows.shape[0]):
            total, size = 0.0, 0.0
            for column in range(rows.shape[1]):
                value = rows[row, column]
                total += value
                size += abs(value)
            signed[row] = total
            absolute[row] = size

    return njit(nogil=True, fastmath={"reassoc", "nsz"})(inspect.unwrap(sums))


def _triton(rows: Tensor) -> tuple[Tensor, Tensor]:
    from physgen.kernels.mass import block_sums

    blocks = -(-rows.shape[1] // (STEPS * LANES))
    partial = rows.new_empty(2, rows.shape[0], blocks, dtype=torch.float64)
    with torch.cuda.device_of(rows):
        block_sums[(rows.shape[0], blocks)](
            rows, partial[0], partial[1], rows.shape[1], STEPS=STEPS, LANES=LANES, num_warps=WARPS
        )
    return partial[0].sum(-1), partial[1].sum(-1)


def ahead_of_time(real: str = "fp32") -> dict[str, Any]:
    """How `_triton` launches its kernel on values of type ``real``, for a compile without a GPU.

    >>> sorted(ahead_of_time())
    ['aligned', 'constexprs', 'elements', 'function', 'num_warps', 'signature']
    """
    from physgen.kernels.mass import block_sums

    return {
        "function": block_sums,
        "signature": {"X": f"*{real}", "PARTIAL": "*fp64", "ABSOLUTE": "*fp64", "N": "i32"},
        "constexprs": {"STEPS": STEPS, "LANES": LANES},
        "aligned": ("X", "PARTIAL", "ABSOLUTE", "N"),
        "num_warps": WARPS,
        "elements": STEPS * LANES,
    }
