"""The speed of every row: at which it repeats itself best over all frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from physgen.ops.backend import resolve_backend
from physgen.ops.coherence import explained_power

#: candidates of speed in a pixel per frame, and rows to each side that are asked with a row
PER_PIXEL, WINDOW = 20, 3
#: steps of Newton's method that sharpen a speed
SHARPEN = 24
#: pixels per frame between the points of the last step's parabola
NARROW = 1e-4
#: power of a carried mode that a still one leaves, below which the two are one
APART = 1e-6
#: unexplained part of a row's motion, below which it is carried already
CARRIED = 1e-6


@dataclass(frozen=True)
class Rows:
    """Fourier modes of rows along one axis.

    Attributes:
        modes: of each row and species at every frame ``[B, K, R, S, T]``, K waves along the row but the mean and the
            highest.
        waves: wave numbers ``[K]``, radians per pixel.
        background: whether a still pattern lies under what is carried, and explains its part first.
    """

    modes: Complex[Tensor, "B K R S T"]
    waves: Float[Tensor, "K"]
    background: bool

    @property
    def power(self) -> Float[Tensor, "B R"]:
        """Power of each row that is to be explained."""
        modes = self.modes - self.modes.mean(-1, keepdim=True) if self.background else self.modes
        return modes.abs().square().sum((1, 3, 4))

    def carried(self, phase: Float[Tensor, "*shape T"]) -> Complex[Tensor, "*shape T"]:
        """Modes in time of phases, of length 1; without the part that a still pattern has, or 0 where that is all."""
        modes = torch.polar(torch.ones_like(phase), phase)
        if not self.background:
            return modes / phase.shape[-1] ** 0.5
        apart = modes - modes.mean(-1, keepdim=True)
        power = apart.abs().square().sum(-1, keepdim=True)
        return torch.where(power > APART, apart / power.clamp(min=APART).sqrt(), 0)

    def explained(self, speed: Float[Tensor, "B R C"]) -> Float[Tensor, "B R C"]:
        """Power that a pattern carried at a speed explains.

        |<m, F>|² / |m|² summed over waves and species,  m = exp(-i k v t), without its mean over time if there is a
        background
        """
        if resolve_backend("auto", speed.device, ("reference", "numba")) == "numba":
            return explained_power(self.modes, self.waves, speed, self.background, APART)
        frames = self.modes.shape[-1]
        time = torch.arange(frames, dtype=speed.dtype, device=speed.device)
        total = torch.zeros_like(speed)
        for k in range(len(self.waves)):
            phase = -self.waves[k] * speed[..., None] * time
            carried = self.carried(phase)
            found = torch.einsum("brst,brct->brsc", self.modes[:, k], carried.conj())
            total = total + found.abs().square().sum(2)
        return total


def rows_of(fields: Float[Tensor, "B S T R N"], background: bool) -> Rows:
    """Modes of rows, their wave numbers from that of the whole row up to the last one below Nyquist's."""
    length = fields.shape[-1]
    modes = torch.fft.rfft(fields, dim=-1, norm="ortho")[..., 1 : (length + 1) // 2]
    waves = 2 * torch.pi * torch.arange(1, (length + 1) // 2, dtype=fields.dtype, device=fields.device) / length
    return Rows(modes.permute(0, 4, 3, 1, 2).contiguous(), waves, background)


def candidates(fastest: float, sign: int, like: Tensor) -> Float[Tensor, "C"]:
    """Speeds of one sign in pixels per frame, from slow to fast."""
    count = max(int(fastest * PER_PIXEL), 1)
    return sign * torch.arange(1, count + 1, dtype=like.dtype, device=like.device) / PER_PIXEL


def spectrum(rows: Rows, speeds: Float[Tensor, "C"]) -> Float[Tensor, "B R C"]:
    """Explained power of every row at every candidate: one matrix product for each wave."""
    frames = rows.modes.shape[-1]
    time = torch.arange(frames, dtype=speeds.dtype, device=speeds.device)
    total = torch.zeros(*rows.power.shape, len(speeds), dtype=speeds.dtype, device=speeds.device)
    for k in range(len(rows.waves)):
        phase = -rows.waves[k] * speeds[:, None] * time
        carried = rows.carried(phase)
        total += (rows.modes[:, k] @ carried.conj().mT).abs().square().sum(2)
    return total


def shared_power(found: Float[Tensor, "B R C"]) -> Float[Tensor, "B R C"]:
    """Power of a row and its neighbours."""
    padded = torch.nn.functional.pad(found.mT, [WINDOW, WINDOW]).mT
    return padded.unfold(1, 2 * WINDOW + 1, 1).sum(-1)


def fastest_speed(rows: Rows) -> float:
    """Half of the spacing of what moves, pixels per frame: pi over its mean wave number, a quarter of a row at most.

    0 where rows are too short for a wave.

    Source: sampling theorem, Shannon (1949), Proc. IRE 37:10.
    """
    if not len(rows.waves):
        return 0.0
    power = (rows.modes - rows.modes.mean(-1, keepdim=True)).abs().square().sum((0, 2, 3, 4))
    mean = float((power * rows.waves).sum() / power.sum()) if float(power.sum()) > 0 else torch.inf
    return min(torch.pi / mean, torch.pi / float(rows.waves[0]) / 2)


def speeds_of_rows(rows: Rows, speeds: Float[Tensor, "C"], found: Float[Tensor, "B R C"]) -> Float[Tensor, "B R"]:
    """The speed of each row, sharpened below a pixel.

    It is 0 where the row stands still, and the best of its own where the row is carried already. Else it is that at
    which the row and its neighbours are explained best, and from there the nearest that is best for the row.
    """
    near = _sharpened(rows, speeds[shared_power(found).argmax(-1)], speeds)
    own = _sharpened(rows, speeds[found.argmax(-1)], speeds)
    left = rows.power - rows.explained(own[..., None])[..., 0]
    stands = rows.power - rows.explained(torch.zeros_like(own)[..., None])[..., 0] <= CARRIED * rows.power
    return torch.where(stands, 0.0, torch.where(left <= CARRIED * rows.power, own, near))


def _sharpened(rows: Rows, speed: Float[Tensor, "B R"], speeds: Float[Tensor, "C"]) -> Float[Tensor, "B R"]:
    """The nearest maximum of the explained power, by parabolas through three points that close in."""
    width, reach = 1.0 / PER_PIXEL, 1.0 / PER_PIXEL
    start = speed
    low, high = float(speeds.abs().min()) / 2, float(speeds.abs().max()) + width
    for _ in range(SHARPEN):
        places = torch.stack([speed - width, speed, speed + width], -1)
        left, middle, right = rows.explained(places).unbind(-1)
        bend = left - 2 * middle + right
        step = torch.where(bend < 0, width * (left - right) / torch.where(bend < 0, 2 * bend, 1), 0)
        climb = torch.where(right > left, width, -width)
        step = torch.where((bend < 0) | (middle >= left.maximum(right)), step, climb).clamp(-reach, reach)
        sign = torch.sign(start)
        speed = sign * (speed + step).mul(sign).clamp(low, high)
        width = max(width / 2, NARROW)
    return speed


def carried_part(rows: Rows, speed: Float[Tensor, "B R"]) -> Complex[Tensor, "B K R S T"]:
    """What of the modes is carried at the speed of their row."""
    time = torch.arange(rows.modes.shape[-1], dtype=speed.dtype, device=speed.device)
    phase = rows.waves[:, None, None] * speed[:, None, :, None] * time
    carried = rows.carried(-phase)[:, :, :, None]
    return (rows.modes * carried.conj()).sum(-1, keepdim=True) * carried
