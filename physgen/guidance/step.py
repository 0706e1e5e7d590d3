"""One correction: where it takes place, what an update rule finds there, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from physgen.guidance.problem import Problem


@dataclass(frozen=True)
class Step:
    """Where an update takes place.

    Attributes:
        x0: the estimate of the clean sample ``[B, ...]``, a leaf that requires gradients.
        fields: what the constraints see of it, decoded once, with its graph to `x0`; the graph serves one update.
        x_t: the noisy sample.
        sigma: its noise level in [0, 1].
        problem: the constraints, their fitted constants held.
        network_vjp: w -> (d x0_hat / d x_t)^T w ``[B, ...]``, of guidances that are `through_network`.
        position: number of the step and of all steps, where the sampler says so.
    """

    x0: Tensor
    fields: Tensor = field(repr=False)
    x_t: Tensor
    sigma: float
    problem: Problem
    network_vjp: Callable[[Tensor], Tensor] = field(repr=False)
    position: tuple[int, int] | None = None


@dataclass(frozen=True)
class Update:
    """What an update rule found.

    Attributes:
        x0: the corrected sample ``[B, ...]``, NaN where there is none.
        residuals: RMS residual of the fields before the correction, of each constraint (NaN where no sample could be
            measured).
        cosines: between the directions in which pairs of constraints descend, -1 where they pull against each other;
            means over the samples that violate both. Empty where the rule does not compute them.
        dropped: samples that the rule itself left as they were, one by one where several act.
    """

    x0: Tensor
    residuals: dict[str, float]
    cosines: dict[str, float] = field(default_factory=dict)
    dropped: int = 0


@dataclass(frozen=True)
class Correction:
    """A corrected clean sample and what was measured on the way.

    Attributes:
        x0: of the shape and dtype of `x0_hat`.
        residuals, cosines: see `Update`.
        norm: RMS of ``x0 - x0_hat``.
        dropped: samples whose correction was NaN or infinite and which were left as they were.
    """

    x0: Tensor
    residuals: dict[str, float]
    norm: float
    dropped: int
    cosines: dict[str, float] = field(default_factory=dict)
