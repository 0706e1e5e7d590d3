"""What repeats itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from physgen.arguments import finite, whole
from physgen.constraints.base import Constraint, check_fields, given_values, values_of
from physgen.constraints.course.harmonics import Beat, basis_of, find_beat
from physgen.constraints.fit import ENOUGH, Fit
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.measure.degenerate import degenerate, noise_level

#: frames that a period has at least, and periods that a video must show
SHORTEST, PERIODS = 2.2, 2.0
#: part of the fields' size that the scale of the residual is at least, in a dtype whose rounding is no coarser
FLOOR = 1e-6


class Periodic(Constraint):
    """Everything repeats itself with one period: a beat, a wave that goes around.

    c(x, t) = a_0(x) + sum_k (a_k(x) cos(2 pi k t / P) + b_k(x) sin(2 pi k t / P)),  k = 1 ... harmonics
    residual = (c - Q Q' c) / motion

    Q is an orthonormal basis of these waves as the frames show them. Every pixel has a waveform of its own; their
    period and phase are locked. P is fitted to all pixels together (`find_beat`), by the waves below half of the frame
    rate; it makes the squared residual least, so the gradient at given P is the exact one of the loss of a given
    ``motion`` (envelope theorem), and nearly so where a wave is above that. ``motion`` is the root mean square about
    the mean over time and is differentiated; the fields' size times 1e-6, or times the rounding of their dtype where
    that is coarser, is added to it in squares. All is computed in float64.

    Args:
        period: in s, where it is known; fitted when None, between 2.2 frames and the length of the video.
        harmonics: of the waveform.

    Raises:
        InvalidArgument: a period that is not positive, ``harmonics`` that is no whole number of 1 or more.

    Source: harmonic least squares, Quinn and Hannan (2001), The Estimation and Tracking of Frequency.

    >>> grid = Grid(spacing=(1.0, 1.0), dt=0.1)
    >>> beat = torch.exp(torch.cos(2 * torch.pi * torch.arange(30.0, dtype=torch.float64) / 8)).view(1, 1, 30, 1, 1)
    >>> fit = Periodic().fit(beat.expand(1, 1, 30, 4, 4), grid)
    >>> round(fit.values["period"][0], 3), fit.measured
    (0.8, [True])
    >>> Periodic().satisfied(torch.cat([beat[:, :, :12], beat[:, :, 16:]], 2), grid, 0.2).tolist()
    [False]
    """

    name = "periodic"
    true_within = 0.32
    projects = True

    def __init__(self, period: float | int | None = None, harmonics: int = 3) -> None:
        self.period = None if period is None else finite("period", period, "None or a number > 0, s", lambda p: p > 0)
        self.harmonics = whole("harmonics", harmonics)
        self._held: dict[str, Tensor] = {}

    @property
    def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
        """The period, where it is not given."""
        return ("period",) if self.period is None and not self._held else ()

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T N"]:
        """What no waveform of the period explains, of each pixel and frame, relative to the motion.

        Raises:
            InvalidArgument: fewer than five frames, a rank that is not the grid's, NaN or Inf, no grid, a given period
                of less than two frames.
        """
        flat, grid = self._checked(fields, grid)
        near = self._near(flat, grid)
        moving = (flat - flat.mean(2, keepdim=True)).square().mean((1, 2, 3))
        least, dtype = max(FLOOR, torch.finfo(fields.dtype).eps), torch.promote_types(fields.dtype, torch.float32)
        square = (moving + least**2 * flat.square().mean((1, 2, 3)))[:, None, None, None]
        return ((flat - near) / torch.where(square > 0, square, 1).sqrt()).to(dtype)

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples repeat: in no frame the root mean square residual is above the tolerance, beyond noise.

        r^2(t) - (1 - (2 harmonics + 1) / T) noise^2 / motion^2 <= tolerance^2

        with the `noise_level` of each sample, of which waves follow their part.
        """
        tolerance = finite("tolerance", tolerance, "a number >= 0", lambda value: value >= 0)
        square = self.residual(fields.detach(), grid).double().square().mean((1, 3)).amax(1)
        fields = fields.detach().double()
        noise = torch.stack([noise_level(x).square().mean() for x in fields])
        moving = (fields - fields.mean(2, keepdim=True)).square().flatten(1).mean(1)
        left = max(1 - (2 * self.harmonics + 1) / fields.shape[2], 0.0)
        return square - left * noise / torch.where(moving > 0, moving, 1) <= tolerance**2

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """The nearest fields that repeat with the period, in float64, in the dtype of the fields, detached.

        argmin |c' - c|^2 over sums of the harmonics = Q Q' c, in every pixel; of the period that is nearest of all.
        """
        flat, grid = self._checked(fields, grid)
        return self._near(flat, grid).view_as(fields).to(fields.dtype)

    @torch.no_grad()
    def fit(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Fit:
        """``period`` ``[B]`` in s, with its 95 % interval.

        Not measured, with the reason: nothing happens; the video shows fewer than two periods; waves of the period
        explain less than half of the motion.
        """
        if not self.fitted:
            return Fit()
        flat, grid = self._checked(fields, grid)
        beats, frames = [self._beat(x) for x in flat], flat.shape[2]
        periods = [grid.dt / beat.frequency for beat in beats]
        reasons = [_why_unmeasured(*one, frames) for one in zip(degenerate(fields), beats, strict=True)]
        intervals = [[grid.dt / beat.high, grid.dt / beat.low] for beat in beats]
        return Fit(
            {"period": periods},
            {"period": [(high - low) / 3.92 for low, high in intervals]},
            {"period": intervals},
            explained=[beat.explained for beat in beats],
            measured=[reason is None for reason in reasons],
            reason=reasons,
        )

    def with_constants(self, constants: Fit | Mapping[str, Any]) -> Periodic:
        """The law with the period given, ``[B]`` in s."""
        law = copy.copy(self)
        law._held = self._held | given_values(constants, self.fitted)
        return law

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Periodic:
        """The law with the periods of these samples, where they were given."""
        law = copy.copy(self)
        law._held = {name: values_of(name, values, chosen) for name, values in self._held.items()}
        return law

    def _checked(self, fields: Tensor, grid: Grid | None) -> tuple[Float64[Tensor, "B S T N"], Grid]:
        grid = check_fields(fields, grid, frames=5)
        return fields.double().flatten(3), grid

    def _near(self, flat: Float64[Tensor, "B S T N"], grid: Grid) -> Float64[Tensor, "B S T N"]:
        found = []
        for x, frequency in zip(flat, self._frequencies(flat, grid), strict=True):
            basis = basis_of(flat.shape[2], frequency, self.harmonics).to(x)
            found.append(basis @ (basis.T @ x))
        return torch.stack(found)

    def _frequencies(self, flat: Tensor, grid: Grid) -> list[float]:
        """Cycles per frame, of each sample."""
        if self.fitted:
            return [self._beat(x).frequency for x in flat]
        given = self._held.get("period", torch.tensor([self.period or 0.0] * len(flat), dtype=torch.float64))
        if given.shape != flat.shape[:1]:
            raise InvalidArgument("period", list(given.shape), f"one of each sample, {len(flat)}")
        if float(given.min()) < 2 * grid.dt:
            raise InvalidArgument("period", float(given.min()), f"two frames or more, {2 * grid.dt:g} s")
        return (grid.dt / given.double()).tolist()

    def _beat(self, x: Float[Tensor, "S T N"]) -> Beat:
        rows = x.detach().double().transpose(0, 1).flatten(1)
        rows = rows - rows.mean(0)
        frames = len(rows)
        return find_beat(rows @ rows.T, min(self.harmonics, (frames - 3) // 2), 1 / frames, 1 / SHORTEST)


def _why_unmeasured(shown: str | None, beat: Beat, frames: int) -> str | None:
    if shown is not None:
        return f"the fields are {shown}"
    if beat.frequency * frames < PERIODS:
        return f"the video shows {beat.frequency * frames:.1f} periods, fewer than {PERIODS:g}"
    if beat.explained < ENOUGH:
        return f"a period explains {100 * max(beat.explained, 0.0):.0f} % of the motion"
    return None
