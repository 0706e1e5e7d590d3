"""The nearest video in which every row is a still pattern and one that is carried along the row at one speed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.transport.coherence import (
    Rows,
    candidates,
    carried_part,
    fastest_speed,
    rows_of,
    shared_power,
    spectrum,
    speeds_of_rows,
)
from physgen.constraints.transport.reading import Reading, read_nearest

#: axis of a frame and sign of each direction; y points down
DIRECTIONS = {"down": (0, 1), "up": (0, -1), "right": (1, 1), "left": (1, -1)}


@dataclass(frozen=True)
class Steady:
    """A video carried steadily along one axis.

    Attributes:
        fields: ``[S, T, H, W]``.
        axis, sign: of the flow.
        speeds: of each row (column, where the flow is along y), pixels per frame, > 0.
        weight: power of each row that is carried.
        share: part of the fields' power about their mean over time that they explain.
    """

    fields: Float[Tensor, "S T H W"]
    axis: int
    sign: int
    speeds: Float[Tensor, "R"]
    weight: Float[Tensor, "R"]
    share: float

    def displacement(self, spacing: tuple[float, float]) -> Float[Tensor, "2 H W"]:
        """In a frame interval at the pixels, in the unit of ``spacing``."""
        still = torch.zeros_like(self.fields[0, 0])
        speed = self.sign * self.speeds * spacing[self.axis]
        moved = still + (speed[:, None] if self.axis == 1 else speed)
        return torch.stack([moved, still] if self.axis == 0 else [still, moved])


def nearest_steady(fields: Float[Tensor, "S T H W"], direction: str | None, background: bool) -> Steady:
    """The nearest steady flow of one video that is periodic along it.

    c(x, t) = b + u(x - v t) in each row,  b, u = argmin sum |c - fields|^2,  v where that is least, see
    `speeds_of_rows`;  b a number or, with a background, b(x)

    Wave by wave this is the projection onto one mode in time, exp(-i k v t), or two, with 1; so it is linear for given
    v, and shifts by parts of a pixel are exact. The direction is that in which what moves is
    explained best, rows together.

    >>> x = torch.arange(32, dtype=torch.float64)
    >>> rows = [torch.stack([torch.exp(torch.cos((x - v * t) * torch.pi / 8)) for v in (0.3, 0.4)]) for t in range(9)]
    >>> found = nearest_steady(torch.stack(rows)[None], None, False)
    >>> found.axis, found.sign, [round(v, 6) for v in found.speeds.tolist()], round(found.share, 6)
    (1, 1, [0.3, 0.4], 1.0)
    """
    ways = [DIRECTIONS[direction]] if direction else list(DIRECTIONS.values())
    best, chosen = -1.0, None
    for axis in sorted({axis for axis, _ in ways}):
        moving = rows_of(_along(fields, axis)[None], background=True)
        fastest = fastest_speed(moving)
        for sign in [sign for one, sign in ways if one == axis]:
            speeds = candidates(fastest, sign, fields)
            found = spectrum(moving, speeds)
            score = float(shared_power(found).amax(-1).sum())
            if score > best:
                best, chosen = score, (axis, sign, moving, speeds, found)
    assert chosen is not None
    axis, sign, moving, speeds, found = chosen
    rows = moving if background else rows_of(_along(fields, axis)[None], background=False)
    speed = speeds_of_rows(rows, speeds, found if background else spectrum(rows, speeds))
    total = (fields - fields.mean(1, keepdim=True)).square().sum()
    near, weight = _carried(fields, axis, rows, speed), moving.explained(speed[..., None])[0, :, 0]
    share = float(1 - (fields - near).square().sum() / total) if float(total) > 0 else 0.0
    return Steady(near, axis, sign, speed[0].abs(), weight, share)


def _carried(fields: Tensor, axis: int, rows: Rows, speed: Float[Tensor, "1 R"]) -> Float[Tensor, "S T H W"]:
    along = _along(fields, axis)
    still = along.mean(1, keepdim=True)
    base = still if rows.background else _flat(still, rows)
    modes = torch.zeros(*along.shape[:3], along.shape[3] // 2 + 1, dtype=rows.modes.dtype, device=fields.device)
    modes[..., 1 : 1 + len(rows.waves)] = carried_part(rows, speed)[0].permute(2, 3, 1, 0)
    found = base + torch.fft.irfft(modes, n=along.shape[3], dim=-1, norm="ortho")
    return _along(found, axis).contiguous()


def _flat(still: Tensor, rows: Rows) -> Tensor:
    """What of a still pattern no wave of the rows has."""
    modes = torch.fft.rfft(still, dim=-1)
    modes[..., 1 : 1 + len(rows.waves)] = 0
    return torch.fft.irfft(modes, n=still.shape[-1], dim=-1)


def _along(fields: Tensor, axis: int) -> Tensor:
    """The axis of the flow last; its own inverse."""
    return fields.transpose(-1, -2) if axis == 0 else fields


def read_steady(flow: Steady, fields: Float[Tensor, "S T H W"], spacing: tuple[float, float]) -> Reading:
    """Numbers of a steady flow of one video; ``spacing`` of its pixels in units of h."""
    weight = flow.weight.double() / flow.weight.sum().clamp(min=torch.finfo(flow.weight.dtype).tiny)
    speed = float((weight * flow.speeds.double()).sum()) * spacing[flow.axis]
    drift = torch.zeros(2, dtype=torch.float64)
    drift[flow.axis] = flow.sign * speed
    time = torch.arange(fields.shape[1], dtype=torch.float64)
    lever = (time - time.mean()).square().sum() / len(time)
    moving = (flow.fields - fields.mean(1, keepdim=True)).double()
    slope = float(torch.gradient(moving, dim=2 + flow.axis)[0].square().sum() * lever)
    left = float((fields - flow.fields).double().square().mean().sqrt())
    error = left / math.sqrt(slope) * spacing[flow.axis] if slope > 0 else 0.0
    return read_nearest(fields, flow.fields, speed, drift, error, flow.share)
