"""What was seen of this video: values of its fields, or of a reading of them, with their noise."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import floating, function
from physgen.constraints.base import Constraint, values_of
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.tensors import single

#: from fields ``[B, S, T, *space]`` to what an instrument shows of them ``[B, ...]``, differentiable
Reading = Callable[[Tensor], Tensor]
#: standard deviations of the norm of noise by which it may be above its mean in fields that hold an observation
ALLOWED = 3.0


class Observed(Constraint):
    """Values that were observed, where and when they were.

    residual = (reading(fields) - values)[mask] / noise

    Of noise the norm of N values is about sqrt(N), with a standard deviation of 1/sqrt(2) whatever N is. So guidance
    stops at sqrt(N), which is `noise_floor`, in place of fitting the noise; and the observation is `satisfied` up to
    sqrt(N) + 3/sqrt(2). Where ``noise`` is 0 it is hard: the residual is in units of the RMS of what was observed (1
    where that is 0), and has to vanish.

    `project`, which there is without a reading, sets hard values, and takes noisy ones along the straight line to those
    observed, to a norm of sqrt(N): the nearest point in units of the noise.

    Args:
        values: ``[S, T, H, W]``, or ``[B, S, T, H, W]`` with those of each sample; what `reading` gives of a sample has
            any shape of up to four axes. Volumes always have B.
        mask: of the same shape, or one that broadcasts to it, the same for every sample: where something was observed.
            None: wherever ``values`` are finite in all samples.
        noise: standard deviation in the unit of the values; a number, or one for each value. 0: hard.
        reading: what was observed of fields ``[B, S, T, *space]``: a blur, sums of pixels, a mean over an exposure, a
            species. None: the fields themselves.

    Raises:
        InvalidArgument: values that are no floating-point tensor, a mask of another shape, of one that differs between
            samples or that hides everything, values that are not finite where observed, noise that is negative, not
            finite, or 0 for some values only.

    Source: discrepancy principle, Morozov (1966), Soviet Math. Dokl. 7:414.

    >>> values, mask = torch.tensor([[[0.0, 1.0], [2.0, 4.0]]]), torch.tensor([[[True, False], [False, True]]])
    >>> seen = Observed(values, mask, noise=0.5)
    >>> seen.residual(torch.zeros(1, 1, 2, 2), None).tolist(), round(seen.noise_floor, 3)
    ([[0.0, -8.0]], 1.414)
    >>> Observed(values, mask).project(torch.zeros(1, 1, 2, 2), None).tolist()
    [[[[0.0, 0.0], [0.0, 4.0]]]]
    """

    name = "observed"
    needs_constant_dt = False

    def __init__(
        self,
        values: Float[Tensor, "*shape"],
        mask: Tensor | None = None,
        noise: float | int | Tensor = 0.0,
        reading: Reading | None = None,
    ) -> None:
        if not isinstance(values, Tensor) or not values.is_floating_point() or not values.ndim:
            raise InvalidArgument("values", values, "floating point [S, T, H, W] or [B, S, T, H, W]")
        values = single(values.detach())
        self.values = values if values.ndim > 4 else values[None]
        self.reading = None if reading is None else function("reading", reading, "a function of fields, or None")
        self.mask = self._read_mask(mask)
        self.noise = self._read_noise(noise)
        self.hard = not bool(self.noise.any())
        self.tolerates, self.projects = self.hard, reading is None
        self.noise_floor = 0.0 if self.hard else math.sqrt(int(self.mask.sum()))
        seen = self.values[:, self.mask]
        self.scale = self.noise if not self.hard else (seen.square().mean().sqrt() if bool(seen.any()) else 1.0)

    def _read_mask(self, mask: Tensor | None) -> Bool[Tensor, "*shape"]:
        finite, shape = self.values.isfinite().all(0), self.values.shape[1:]
        if mask is None:
            if not bool(finite.any()):
                raise InvalidArgument("values", "NaN or Inf everywhere", "at least one finite value")
            return finite
        allowed = f"{list(shape)}, the shape of the values of a sample, or one that broadcasts to it"
        try:
            found = torch.as_tensor(mask, device=self.values.device).bool().broadcast_to(self.values.shape)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidArgument("mask", list(getattr(mask, "shape", [])) or mask, allowed) from error
        if not bool((found == found[:1]).all()):
            raise InvalidArgument("mask", "not the same for every sample", allowed)
        if not bool(found.any()):
            raise InvalidArgument("mask", "False everywhere", "True where something was observed")
        if not bool(finite[found[0]].all()):
            raise InvalidArgument("values", "NaN or Inf where the mask is True", "finite values, or no mask")
        return found[0]

    def _read_noise(self, noise: float | int | Tensor) -> Float[Tensor, "*shape"]:
        allowed = "finite and > 0, of all values or of each; or 0: hard"
        try:
            found = torch.as_tensor(noise).to(self.values).broadcast_to(self.mask.shape)[self.mask]
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidArgument("noise", noise, allowed) from error
        if not bool((found.isfinite() & (found >= 0)).all()) or (bool(found.any()) and not bool(found.all())):
            raise InvalidArgument("noise", noise, allowed)
        return found

    def residual(self, fields: Float[Tensor, "B *shape"], grid: Grid | None = None) -> Float[Tensor, "B N"]:
        """Deviations from the observed values in units of the noise, ``[B, N]``; ``grid`` plays no part.

        In float32 or finer: half precision rounds a value by more than many an instrument.

        Raises:
            InvalidArgument: fields, or a reading of them, of another shape than the values.
        """
        if not len(floating("fields", fields, "[B, ...]")):
            raise InvalidArgument("fields", fields, "one sample or more")
        fields = single(fields)
        read = fields if self.reading is None else self.reading(fields)
        if read.shape[1:] != self.values.shape[1:] or len(self.values) not in (1, len(read)):
            got = f"{list(read.shape)}" + ("" if self.reading is None else " as `reading` gives them")
            allowed = f"{['B' if len(self.values) == 1 else len(self.values), *self.values.shape[1:]]}"
            raise InvalidArgument("fields", got, f"the shape of the observed values, {allowed}")
        mask = self.mask.to(read.device)
        seen = self.values.to(read)[:, mask]
        return (read[:, mask] - seen) / torch.as_tensor(self.scale).to(read)

    def satisfied(
        self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float = 0.0
    ) -> Bool[Tensor, "B"]:
        """Which samples keep to what was observed: to the tolerance where it is hard, to its noise where it is not."""
        if self.hard:
            return super().satisfied(fields, grid, tolerance)
        return self._norm(fields) <= math.sqrt(int(self.mask.sum())) * self.largest_deviation

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Observed:
        """The observation of these samples alone, in the unit of that of all."""
        if len(self.values) == 1:
            return self
        law = copy.copy(self)
        law.values = values_of("values", self.values, chosen)
        return law

    @property
    def largest_deviation(self) -> float:
        """RMS of the residual, in units of the noise, up to which fields keep to a noisy observation."""
        return 1 + ALLOWED / math.sqrt(2 * int(self.mask.sum()))

    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """The nearest fields that keep to what was observed, in units of the noise."""
        if self.reading is not None:
            return super().project(fields, grid)
        size = self._norm(fields)
        mask, moved = self.mask.to(fields.device), single(fields).clone()
        ratio = torch.zeros_like(size) if self.hard else (self.noise_floor / size).clamp(max=1)
        seen = self.values.to(moved)[:, mask]
        moved[:, mask] = seen + ratio.to(moved)[:, None] * (moved[:, mask] - seen)
        return moved.to(fields.dtype)

    def describe(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> dict[str, Any]:
        """``deviation``: RMS of the residual ``[B]``; of noise it is 1."""
        return {"deviation": (self._norm(fields) / math.sqrt(int(self.mask.sum()))).tolist()}

    @torch.no_grad()
    def _norm(self, fields: Tensor) -> Float[Tensor, "B"]:
        return self.residual(fields).norm(dim=1)
