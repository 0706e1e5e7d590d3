"""Frames between their pixels: cubic convolution and its slopes, in one pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.ops.backend import resolve_backend
from physgen.ops.launch import in_threads

#: rows: coefficients of 1, f, f², f³ of the weights of the pixels at -1, 0, 1 and 2, f from the one at 0
CATMULL_ROM = ((0.0, -0.5, 1.0, -0.5), (1.0, 0.0, -2.5, 1.5), (0.0, 0.5, 2.0, -1.5), (0.0, 0.0, -0.5, 0.5))


def interpolate(
    frames: Float[Tensor, "N S H W"], places: Float[Tensor, "N 2 H W"], wraps: bool, backend: str = "auto"
) -> tuple[Float[Tensor, "N S H W"], Float[Tensor, "N 2 S H W"]]:
    """Values at places and their slopes along y and x, per pixel, by cubic convolution: exact for quadratics.

    u(y, x) = sum_ij w_i(y - floor y) w_j(x - floor x) u_ij over 4 x 4 pixels

    Where space does not wrap, pixels outside the frame are those at its edge. Differentiable in the frames.

    Args:
        frames: float32 or float64 ``[N, S, H, W]``.
        places: rows and columns, in pixels from the middle of the first one, in the dtype of the frames.
        wraps: whether space is periodic.
        backend: ``auto``, ``reference`` or ``numba`` (CPU), see `resolve_backend`.

    Raises:
        InvalidArgument: places in another dtype; a backend that cannot run here.

    Source: Keys (1981), IEEE Trans. Acoust. Speech Signal Process. 29:1153.

    >>> ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    >>> values, slopes = interpolate(ramp, torch.full((1, 2, 6, 6), 2.25), wraps=False)
    >>> values[0, 0, 0, 0].item(), slopes[0, :, 0, 0, 0].tolist()
    (2.25, [0.0, 1.0])
    """
    if places.dtype != frames.dtype:
        raise InvalidArgument("places", places.dtype, str(frames.dtype))
    if resolve_backend(backend, frames.device, ("reference", "numba")) == "reference":
        return _reference(frames, places, wraps)
    values, slopes = torch.ops.physgen.cubic(frames, places, wraps)
    return values, slopes


@torch.library.custom_op(
    "physgen::cubic", mutates_args=(), schema="(Tensor frames, Tensor places, bool wraps) -> (Tensor, Tensor)"
)
def _cubic(frames: Tensor, places: Tensor, wraps: bool) -> tuple[Tensor, Tensor]:
    from physgen.kernels.cubic import cubic

    count, species, *space = frames.shape
    values, slopes = frames.new_empty(count, species, *space), frames.new_empty(count, 2, species, *space)
    arrays = [x.detach().contiguous().numpy() for x in (frames, places)]
    in_threads(partial(cubic, *arrays, wraps, values.numpy(), slopes.numpy()), count)
    return values, slopes


@_cubic.register_fake
def _(frames: Tensor, places: Tensor, wraps: bool) -> tuple[Tensor, Tensor]:
    count, species, *space = frames.shape
    return frames.new_empty(count, species, *space), frames.new_empty(count, 2, species, *space)


@torch.library.custom_op(
    "physgen::cubic_back", mutates_args=(), schema="(Tensor values, Tensor slopes, Tensor places, bool wraps) -> Tensor"
)
def _cubic_back(values: Tensor, slopes: Tensor, places: Tensor, wraps: bool) -> Tensor:
    from physgen.kernels.cubic import cubic_back

    frames = torch.zeros_like(values, memory_format=torch.contiguous_format)
    arrays = [x.detach().contiguous().numpy() for x in (values, slopes, places)]
    in_threads(partial(cubic_back, *arrays, wraps, frames.numpy()), len(frames))
    return frames


@_cubic_back.register_fake
def _(values: Tensor, slopes: Tensor, places: Tensor, wraps: bool) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *_, places, wraps = inputs
    ctx.save_for_backward(places)
    ctx.wraps = wraps


def _transposed(ctx: Any, values: Tensor, slopes: Tensor) -> tuple[Tensor, None, None]:
    (places,) = ctx.saved_tensors
    return torch.ops.physgen.cubic_back(values, slopes, places, ctx.wraps), None, None


def _forth(ctx: Any, frames: Tensor) -> tuple[Tensor, Tensor, None, None]:
    (places,) = ctx.saved_tensors
    values, slopes = torch.ops.physgen.cubic(frames, places, ctx.wraps)
    return values, slopes, None, None


_cubic.register_autograd(_transposed, setup_context=_keep)
_cubic_back.register_autograd(_forth, setup_context=_keep)


def _reference(frames: Tensor, places: Tensor, wraps: bool) -> tuple[Tensor, Tensor]:
    height, width = frames.shape[2:]
    (rows, across), (columns, along) = (
        _taps(places[:, axis], size, wraps) for axis, size in enumerate((height, width))
    )
    flat, of_all = frames.flatten(2), frames.shape[1]
    value, slope_y, slope_x = (torch.zeros_like(frames) for _ in range(3))
    for row, weight_y in zip(rows, across, strict=True):
        line, slope = (torch.zeros_like(frames) for _ in range(2))
        for column, weight_x in zip(columns, along, strict=True):
            index = (row * width + column).flatten(1)[:, None].expand(-1, of_all, -1)
            pixel = flat.gather(2, index).view_as(frames)
            line = line + weight_x[0][:, None] * pixel
            slope = slope + weight_x[1][:, None] * pixel
        value = value + weight_y[0][:, None] * line
        slope_y = slope_y + weight_y[1][:, None] * line
        slope_x = slope_x + weight_y[0][:, None] * slope
    return value, torch.stack([slope_y, slope_x], 1)


def _taps(place: Tensor, size: int, wraps: bool) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """Four indices along an axis, and the weight of each with its derivative."""
    first = place.floor()
    f, index = place - first, first.long()
    near = [index + offset for offset in (-1, 0, 1, 2)]
    indices = [i.remainder(size) if wraps else i.clamp(0, size - 1) for i in near]
    return indices, [(a + f * (b + f * (c + f * d)), b + f * (2 * c + f * 3 * d)) for a, b, c, d in CATMULL_ROM]
