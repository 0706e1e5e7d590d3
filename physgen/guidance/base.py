"""What every guidance shares: when it acts, what it measures, and that it never destroys a sample."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import Contradiction, InvalidArgument
from physgen.grid import Grid
from physgen.guidance.problem import Decode, Problem, finite_samples, named, of_samples, rms
from physgen.guidance.running_fit import RunningFit
from physgen.guidance.solve.certificate import Projected
from physgen.guidance.solve.contradiction import require_consistent
from physgen.guidance.solve.feasible import UNBOUNDED, feasible


@dataclass(frozen=True)
class Correction:
    """A corrected clean sample and what was measured on the way.

    `x0` has the shape and dtype of `x0_hat`; `residuals` are the RMS residuals of the fields of `x0_hat`, one per
    constraint, dimensionless (NaN where no sample could be measured); `norm` is the RMS of `x0 - x0_hat`; `dropped`
    counts the samples whose correction was NaN or infinite and which were left as they were; `cosines` are those
    between the directions in which pairs of constraints descend from `x0_hat`, where the guidance computes them: -1
    where they pull against each other. They are means over the samples that violate both.
    """

    x0: Tensor
    residuals: dict[str, float]
    norm: float
    dropped: int
    cosines: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Where an update takes place: x_t at noise level `sigma`, constraints, and the network's derivative.

    `network_vjp(w)` is (d x0_hat / d x_t)^T w ``[B, ...]``, of guidances that are `through_network`.
    """

    x_t: Tensor
    sigma: float
    problem: Problem
    network_vjp: Callable[[Tensor], Tensor] = field(repr=False)


def keep_finite(new: Float[Tensor, "B *shape"], old: Float[Tensor, "B *shape"]) -> tuple[Tensor, int]:
    """`new` where a sample of it is finite, else `old`; and the number of samples dropped."""
    finite = finite_samples(new)
    return torch.where(of_samples(finite, new), new, old), int((~finite).sum())


class Guidance(ABC):
    """An algorithm that turns constraints into a corrected clean sample.

    Subclasses implement `update` and `citation`. Constants that a constraint fits are fitted at every correction and
    averaged over the run, see `RunningFit`.

    Args:
        constraints: what the fields of the sample obey.
        start, stop: fractions of the schedule, counted in steps from the noise (0) to the video (1).
        every: every so many steps inside them are corrected, the last one always.
        steps: inner iterations.
        renoise: eta, the part of the noise of x0* that is drawn anew on the way to the next noise level.
        terminal: whether the finished video is projected onto the constraints, see `project`.

    Attributes:
        through_network: whether x0_hat must come with its graph from x_t.
        recurrence: how often each noise level is visited; more than once only in `sample_flow`.

    Raises:
        InvalidArgument: no constraints, an empty or reversed window, fewer than one step, renoise outside [0, 1].
    """

    through_network: ClassVar[bool] = False
    recurrence: int = 1

    def __init__(
        self,
        constraints: Sequence[Constraint],
        *,
        start: float = 0.0,
        stop: float = 1.0,
        every: int = 1,
        steps: int = 1,
        renoise: float = 0.0,
        terminal: bool = False,
    ) -> None:
        if not constraints:
            raise InvalidArgument("constraints", constraints, "one or more constraints")
        if not 0 <= start < stop <= 1:
            raise InvalidArgument("start, stop", (start, stop), "0 <= start < stop <= 1")
        for name, count in {"every": every, "steps": steps}.items():
            if count < 1:
                raise InvalidArgument(name, count, "1 or more")
        if not 0 <= renoise <= 1:
            raise InvalidArgument("renoise", renoise, "0 to 1")
        self.constraints = tuple(constraints)
        self.names = list(named(constraints))
        self.start, self.stop, self.every, self.steps = start, stop, every, steps
        self.renoise, self.terminal = renoise, terminal
        self._fit, self._consistent = RunningFit(), False

    @property
    def parts(self) -> tuple[Guidance, ...]:
        """What it is composed of: itself, unless it is a `Composition`."""
        return (self,)

    def reset(self) -> None:
        """Forget what the last run left behind. Samplers call it before the first step of each."""
        self._fit, self._consistent = RunningFit(), False

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
            InvalidArgument: `sigma` outside [0, 1], an `x0_hat` of which no sample is finite, `decode` not returning
                one field per sample, or, for a guidance `through_network`, an `x0_hat` without a graph from `x_t`.
            Contradiction: at the first correction of a `terminal` guidance, equalities that cannot hold together.
        """
        sigma = float(sigma)
        if not 0 <= sigma <= 1:
            raise InvalidArgument("sigma", sigma, "noise levels in [0, 1]")
        if not bool(finite_samples(x0_hat.detach()).any()):
            raise InvalidArgument("x0_hat", "NaN or Inf in every sample", "finite predictions of the model")
        if self.through_network and not (x0_hat.requires_grad and x_t.requires_grad):
            raise InvalidArgument("x0_hat", "no graph", "x0_hat computed from x_t, both with requires_grad")

        def network_vjp(w: Tensor) -> Tensor:
            (product,) = torch.autograd.grad(x0_hat, x_t, w.to(x0_hat.dtype), retain_graph=True)
            return product.to(w.dtype)

        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(x0_hat.device.type, enabled=False):
            x0 = x0_hat.detach().to(torch.promote_types(x0_hat.dtype, torch.float32), copy=True)
            problem = self.problem(grid, decode)
            if self.terminal and not self._consistent:
                require_consistent(problem, x0)
                self._consistent = True
            problem = self._fit.settled(problem, x0)
            update, residuals = self.update(x0, Step(x_t.detach().to(x0.dtype), sigma, problem, network_vjp))
            x0_star, dropped = keep_finite(update.detach(), x0)
        return Correction(
            x0_star.to(x0_hat.dtype), residuals, rms((x0_star - x0).nan_to_num()), dropped, problem.cosines
        )

    @abstractmethod
    def update(self, x0: Tensor, step: Step) -> tuple[Tensor, dict[str, float]]:
        """The update rule: the corrected sample, NaN where there is none, and the RMS residuals at `x0`."""

    def problem(self, grid: Grid | None = None, decode: Decode | None = None) -> Problem:
        """Its constraints by name, on the fields of `decode`."""
        return Problem(dict(zip(self.names, self.constraints, strict=True)), decode, grid)

    def project(
        self,
        fields: Float[Tensor, "B *shape"],
        grid: Grid | None = None,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> Float[Tensor, "B *shape"]:
        """Fields that satisfy the constraints, near those given, see `feasible`; samples that are not finite stay.

        Raises:
            Contradiction: equalities that no sample can satisfy together.
        """
        projected = self.projection(fields, grid, bounds)
        if projected.contradiction:
            raise projected.contradiction
        return projected.fields

    def projection(
        self,
        fields: Float[Tensor, "B *shape"],
        grid: Grid | None = None,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> Projected:
        """`project`, and the constants that were fitted to the fields, once, and that the result obeys."""
        problem = self.problem(grid)
        problems, projected, refused = [problem] * len(fields), fields.clone(), []
        chosen = finite_samples(fields).nonzero()[:, 0]
        with torch.inference_mode(False), torch.autocast(fields.device.type, enabled=False):
            parts = chosen.split(1) if problem.fitted else (chosen,) if len(chosen) else ()
            for part in parts:
                samples = fields[part].clone()
                settled = problem.settled(samples)
                for i in part.tolist():
                    problems[i] = settled
                try:
                    projected[part] = feasible(settled, samples, bounds=bounds)
                except Contradiction as error:
                    refused.append(error)
                    projected[part] = math.nan
        return Projected(projected, tuple(problems), refused[0] if refused and len(refused) == len(parts) else None)

    @abstractmethod
    def citation(self) -> str:
        """BibTeX of the works to cite."""
