"""What every guidance shares: when it acts, what it measures, and that it never destroys a sample."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid

Decode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Correction:
    """A corrected clean sample and what was measured on the way.

    `x0` has the shape and dtype of `x0_hat`; `residuals` are the RMS residuals of the fields of `x0_hat`, one per
    constraint, dimensionless (NaN where no sample could be measured); `norm` is the RMS of `x0 - x0_hat`; `dropped`
    counts the samples whose correction was NaN or infinite and which were left as they were.
    """

    x0: Tensor
    residuals: dict[str, float]
    norm: float
    dropped: int


def finite_samples(x: Float[Tensor, "B *shape"]) -> Bool[Tensor, "B"]:
    """Which samples of a batch hold neither NaN nor infinity."""
    return torch.isfinite(x).flatten(1).all(1)


def keep_finite(new: Float[Tensor, "B *shape"], old: Float[Tensor, "B *shape"]) -> tuple[Tensor, int]:
    """`new` where a sample of it is finite, else `old`; and the number of samples dropped."""
    finite = finite_samples(new)
    return torch.where(finite.view(-1, *[1] * (new.ndim - 1)), new, old), int((~finite).sum())


def rms(x: Tensor) -> float:
    """Root mean square over all elements, NaN for none."""
    return float(x.detach().double().square().mean().sqrt())


class Guidance(ABC):
    """An algorithm that turns constraints into a corrected clean sample.

    Subclasses implement `update` and `citation`. `start` and `stop` are fractions of the schedule, counted in steps
    from the noise (0) to the video (1); every `every`-th step inside them is corrected, the last one always, with
    `steps` inner iterations; `terminal` asks the adapter to project the finished video as well.

    Raises:
        InvalidArgument: no constraints, an empty or reversed window, fewer than one step, or `terminal` with a
            constraint that has no closed-form projection.
    """

    def __init__(
        self,
        constraints: Sequence[Constraint],
        *,
        start: float = 0.0,
        stop: float = 1.0,
        every: int = 1,
        steps: int = 1,
        terminal: bool,
    ) -> None:
        if not constraints:
            raise InvalidArgument("constraints", constraints, "one or more constraints")
        if not 0 <= start < stop <= 1:
            raise InvalidArgument("start, stop", (start, stop), "0 <= start < stop <= 1")
        for name, count in {"every": every, "steps": steps}.items():
            if count < 1:
                raise InvalidArgument(name, count, "1 or more")
        self.constraints = tuple(constraints)
        names = [constraint.name for constraint in constraints]
        self.names = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]
        self.start, self.stop, self.every, self.steps, self.terminal = start, stop, every, steps, terminal
        if terminal:
            self.require_projections()

    def require_projections(self) -> None:
        """Refuse constraints without a closed-form projection."""
        if missing := [constraint.name for constraint in self.constraints if not constraint.projects]:
            raise InvalidArgument("constraints", missing, "constraints with a closed-form projection")

    def active(self, step: int, total: int) -> bool:
        """Whether step `step` (from 0) of `total` is corrected: at least one is, however short the schedule."""
        window = [i for i in range(total) if self.start <= i / total < self.stop]
        window = window or [math.ceil(self.stop * total) - 1]
        return step in window and (window[-1] - step) % self.every == 0

    def correct(
        self,
        x0_hat: Float[Tensor, "B *shape"],
        *,
        x_t: Float[Tensor, "B *shape"],
        sigma: float | Float[Tensor, ""],
        decode: Decode | None = None,
        grid: Grid | None = None,
    ) -> Float[Tensor, "B *shape"]:
        """The corrected clean sample: `correction` without the measurements."""
        return self.correction(x0_hat, x_t=x_t, sigma=sigma, decode=decode, grid=grid).x0

    def correction(
        self,
        x0_hat: Float[Tensor, "B *shape"],
        *,
        x_t: Float[Tensor, "B *shape"],
        sigma: float | Float[Tensor, ""],
        decode: Decode | None = None,
        grid: Grid | None = None,
    ) -> Correction:
        """Correct the estimate `x0_hat = x_t - sigma v` of the clean sample, each sample of the batch by itself.

        `sigma` in [0, 1] is the flow-matching noise level. `decode` maps samples to fields [B, S, T, *space]; without
        it the constraints act on the sample itself. Works in float32 or better and under `no_grad`, `inference_mode`
        and `autocast`; only the sample gets gradients, never the parameters of `decode`.

        Raises:
            InvalidArgument: `sigma` outside [0, 1], or `decode` not returning one field per sample.
        """
        sigma = float(sigma)
        if not 0 <= sigma <= 1:
            raise InvalidArgument("sigma", sigma, "noise levels in [0, 1]")
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(x0_hat.device.type, enabled=False):
            x0 = x0_hat.detach().to(torch.promote_types(x0_hat.dtype, torch.float32), copy=True)
            update, residuals = self.update(x0, x_t=x_t, sigma=sigma, decode=decode, grid=grid)
            x0_star, dropped = keep_finite(update.detach(), x0)
        return Correction(x0_star.to(x0_hat.dtype), residuals, rms((x0_star - x0).nan_to_num()), dropped)

    @abstractmethod
    def update(
        self, x0: Tensor, *, x_t: Tensor, sigma: float, decode: Decode | None, grid: Grid | None
    ) -> tuple[Tensor, dict[str, float]]:
        """The update rule: the corrected sample, NaN where there is none, and the RMS residuals at `x0`."""

    def fields(self, x0: Float[Tensor, "B *shape"], decode: Decode | None) -> Tensor:
        """The fields that the constraints act on.

        Raises:
            InvalidArgument: `decode` returned something else than floating-point fields [B, S, T, *space].
        """
        if decode is None:
            return x0
        fields = decode(x0)
        if fields.ndim < 3 or len(fields) != len(x0) or not fields.is_floating_point():
            got = f"{fields.dtype}{list(fields.shape)}"
            raise InvalidArgument("decode", got, f"floating-point fields [{len(x0)}, S, T, *space]")
        return fields

    def measure(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> tuple[Tensor, dict[str, float]]:
        """Loss [B], the sum over constraints of 1/2 ||residual||^2 (NaN where fields are not finite), RMS residuals."""
        loss = fields.new_full((len(fields),), math.nan, dtype=torch.promote_types(fields.dtype, torch.float32))
        finite = finite_samples(fields)
        if not finite.any():
            return loss, dict.fromkeys(self.names, math.nan)
        usable = fields if finite.all() else fields[finite]
        residuals = [constraint.residual(usable, grid).reshape(len(usable), -1) for constraint in self.constraints]
        violations = [
            residual.clamp(min=0) if constraint.kind == "inequality" else residual
            for constraint, residual in zip(self.constraints, residuals, strict=True)
        ]
        loss[finite] = (torch.cat(violations, 1).square().sum(1) / 2).to(loss.dtype)
        return loss, {name: rms(violation) for name, violation in zip(self.names, violations, strict=True)}

    def project(self, fields: Float[Tensor, "B *shape"], grid: Grid | None = None) -> Float[Tensor, "B *shape"]:
        """The constraints' closed-form projections, one after the other, of the samples that are finite."""
        finite = finite_samples(fields)
        if not finite.any():
            return fields
        usable = fields[finite]
        for constraint in self.constraints:
            usable = constraint.project(usable, grid)
        projected = fields.clone()
        projected[finite] = usable
        return projected

    @abstractmethod
    def citation(self) -> str:
        """BibTeX of the works to cite."""
