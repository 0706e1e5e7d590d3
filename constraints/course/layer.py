"""The low-frequency layer of a movie, and that of the same layer seen by a camera that moves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

#: searches for shifts, and the change of one, in pixels, at which they end
ITERATIONS, SETTLED = 60, 1e-9
#: part of the slopes' power that is added to both directions, so that nothing moves along a layer that is uniform
RIDGE = 1e-4


def waves(cells: int, count: int) -> tuple[Float64[Tensor, "K"], Float64[Tensor, "cells K"]]:
    """Wave numbers per pixel, and orthonormal cosines (the first ``count`` of the cosine transform) at pixel centres.

    >>> frequency, basis = waves(6, 3)
    >>> torch.allclose(basis.T @ basis, torch.eye(3, dtype=torch.float64))
    True
    """
    frequency = torch.pi * torch.arange(min(count, cells), dtype=torch.float64) / cells
    return frequency, _at(frequency, cells, torch.zeros((), dtype=torch.float64))


def _at(frequency: Tensor, cells: int, shift: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n cells K"]:
    """The cosines, moved by ``shift`` pixels."""
    place = torch.arange(cells, dtype=torch.float64, device=frequency.device) + 0.5
    size = torch.where(frequency == 0, 1.0, 2.0).double() / cells
    return size.sqrt() * torch.cos(frequency * (place[:, None] - shift[..., None, None]))


@dataclass(frozen=True)
class Axis:
    """Cosines along one axis of the frame."""

    frequency: Float64[Tensor, "K"]
    basis: Float64[Tensor, "cells K"]

    @classmethod
    def of(cls, cells: int, count: int) -> Axis:
        """The first ``count`` of them on so many cells."""
        return cls(*waves(cells, count))

    def moved(self, shift: Float64[Tensor, "T"]) -> tuple[Float64[Tensor, "T K K"], Float64[Tensor, "T K K"]]:
        """What of each moved cosine each cosine has, and its derivative by the shift, on the device of the shifts."""
        cells, basis, frequency = len(self.basis), self.basis.to(shift), self.frequency.to(shift)
        place = torch.arange(cells, dtype=torch.float64, device=shift.device) + 0.5
        size = (torch.where(frequency == 0, 1.0, 2.0).double() / cells).sqrt()
        slope = size * frequency * torch.sin(frequency * (place[:, None] - shift[:, None, None]))
        return basis.T @ _at(frequency, cells, shift), basis.T @ slope


def layer_of(fields: Float[Tensor, "*b H W"], y: Axis, x: Axis) -> Float[Tensor, "*b Ky Kx"]:
    """Amplitudes of the cosines in each frame."""
    return y.basis.to(fields).T @ fields @ x.basis.to(fields)


def picture_of(layer: Float[Tensor, "*b Ky Kx"], y: Axis, x: Axis) -> Float[Tensor, "*b H W"]:
    """The frames that have these amplitudes and nothing else."""
    return y.basis.to(layer) @ layer @ x.basis.to(layer).T


def still_layer(
    layers: Float[Tensor, "S T Ky Kx"], shifts: Float64[Tensor, "T 2"], y: Axis, x: Axis
) -> Float[Tensor, "S T Ky Kx"]:
    """What one still layer M looks like in each frame of a camera that is moved, where M is nearest to all frames.

    M = argmin sum_t |l_t - R_t M|^2,  R_t = R(dy_t) (x) R(dx_t),  R(d)_jk = <cos_j(z), cos_k(z - d)>

    Linear in the layers, for given shifts: the orthogonal projection onto what still layers look like.
    """
    if not bool(shifts.any()):
        return layers.mean(1, keepdim=True).expand_as(layers)
    still = _at_rest(layers, shifts, y, x).flatten(1)
    return torch.einsum("tjk,sk->stj", _moves(shifts, y, x).to(layers), still).view_as(layers)


def _moves(shifts: Float64[Tensor, "T 2"], y: Axis, x: Axis) -> Float64[Tensor, "T N N"]:
    rows, columns = y.moved(shifts[:, 0])[0], x.moved(shifts[:, 1])[0]
    return torch.einsum("tab,tcd->tacbd", rows, columns).flatten(3, 4).flatten(1, 2)


@torch.no_grad()
def fit_shifts(layers: Float64[Tensor, "S T Ky Kx"], y: Axis, x: Axis) -> Float64[Tensor, "T 2"]:
    """Shifts of the frames against the first, in pixels, down and right: those with which one still layer is nearest.

    Gauss-Newton steps of each frame against the layer in turns with the layer, from no shift. Motion by less than
    about half of the finest wave is found.

    >>> y = x = Axis.of(32, 8)
    >>> place = torch.arange(32.0, dtype=torch.float64)
    >>> def bump(d): return torch.exp(-((place[:, None] - 15 - d) ** 2 + (place - 16) ** 2) / 60)
    >>> found = fit_shifts(layer_of(torch.stack([bump(0.7 * t) for t in range(3)])[None], y, x), y, x)
    >>> [[round(d, 1) + 0.0 for d in shift] for shift in found.tolist()]
    [[0.0, 0.0], [0.7, 0.0], [1.4, 0.0]]
    """
    shifts, identity = layers.new_zeros(layers.shape[1], 2), torch.eye(2, dtype=layers.dtype, device=layers.device)
    still = layers[:, 0]
    for _ in range(ITERATIONS):
        (rows, by_row), (columns, by_column) = y.moved(shifts[:, 0]), x.moved(shifts[:, 1])
        left = layers - rows @ still[:, None] @ columns.mT
        slopes = torch.stack([by_row @ still[:, None] @ columns.mT, rows @ still[:, None] @ by_column.mT])
        slopes = slopes.transpose(1, 2).flatten(2)
        left = left.transpose(0, 1).flatten(1)
        matrix = torch.einsum("atn,btn->tab", slopes, slopes)
        power = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)
        matrix = matrix + RIDGE * torch.where(power > 0, power, 1)[:, None, None] * identity
        step = torch.linalg.solve(matrix, torch.einsum("atn,tn->ta", slopes, left)).clamp(-1, 1)
        shifts = shifts + step
        shifts = shifts - shifts[:1]
        if float(step.sub(step[:1]).abs().max()) < SETTLED:
            break
        still = _at_rest(layers, shifts, y, x)
    return shifts


def _at_rest(layers: Tensor, shifts: Tensor, y: Axis, x: Axis) -> Float[Tensor, "S Ky Kx"]:
    moved = _moves(shifts, y, x)
    inverse = torch.linalg.pinv((moved.mT @ moved).sum(0), hermitian=True).to(layers)
    still = inverse @ torch.einsum("tjk,stj->ks", moved.to(layers), layers.flatten(2))
    return still.T.reshape(layers.shape[0], *layers.shape[2:])


def least_slope(layer: Float64[Tensor, "S Ky Kx"], y: Axis, x: Axis) -> float:
    """Power of a layer's slopes in the direction in which it is least, over that in which it is most; 0 of nothing.

    >>> y = x = Axis.of(16, 4)
    >>> bars = torch.zeros(1, 4, 4, dtype=torch.float64)
    >>> bars[0, 0, 2] = 1.0
    >>> least_slope(bars, y, x), least_slope(bars + bars.mT, y, x) > 0.9
    (0.0, True)
    """
    still = layer.new_zeros(1)
    down, right = y.moved(still)[1][0] @ layer, layer @ x.moved(still)[1][0].mT
    yy, xx, yx = (float((a * b).sum()) for a, b in ((down, down), (right, right), (down, right)))
    middle, reach = (yy + xx) / 2, math.hypot((yy - xx) / 2, yx)
    return max(middle - reach, 0.0) / (middle + reach) if middle > 0 else 0.0
