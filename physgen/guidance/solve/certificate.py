"""Whether finished fields satisfy what they were projected onto."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import Contradiction
from physgen.guidance.problem import Problem, finite_samples, rms

#: what a float32 residual of order one can reach
TOLERANCE = 1e-6
#: the tolerance in units of the most that rounding does to a residual, where that is more
ROUNDINGS = 4


@dataclass(frozen=True)
class Projected:
    """Projected `fields` ``[B, ...]`` and the problem of each sample, its fitted constants fixed to what they were.

    Fields are NaN where there are none; `contradiction` says why no sample has any, where equalities cannot hold
    together.
    """

    fields: Float[Tensor, "B *shape"]
    problems: tuple[Problem, ...]
    contradiction: Contradiction | None = None

    def residuals(
        self, fields: Float[Tensor, "B *shape"], measure: Callable[[Problem, Tensor], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Values of every constraint, flat, over the samples that are finite."""
        pairs = zip(self.problems, fields.split(1), strict=True)
        found = [measure(problem, sample) for problem, sample in pairs if finite_samples(sample)]
        names = self.problems[0].constraints
        return {name: torch.cat([x[name].flatten() for x in found] or [fields.new_empty(0)]) for name in names}

    def violations(self, fields: Float[Tensor, "B *shape"]) -> dict[str, float]:
        """RMS residual of every constraint, with the constants of the projection (NaN for no finite sample)."""
        return {name: rms(part) for name, part in self.residuals(fields, Problem.violated).items()}


@torch.no_grad()
def certificate(
    projected: Projected, seen: Float[Tensor, "B *shape"], rounded: Float[Tensor, "B *shape"]
) -> dict[str, dict[str, Any]]:
    """What the fields that were delivered violate, in float64, with the constants that they were projected with.

    Of every constraint: `kind`; `residual_rms` and `residual_max` (positive parts, of an inequality); `rounding` and
    `rounding_max`, RMS and largest change of the residual when nothing but rounding happens to the exact fields;
    `tolerance`, the larger of 1e-6 and 4 `rounding_max`; whether it is `satisfied`, in the constraint's own sense, by
    every sample; and its fitted `constants`, as `estimate` returns them (those of the delivered fields where the
    constraint cannot fix them).

    Args:
        projected: exact fields and constants.
        seen: fields of what is delivered, read in float64.
        rounded: fields of the exact ones stored as what is delivered, each number rounded to the nearest.

    Source: the contract of this package.

    >>> from physgen.constraints import Equality
    >>> law, x = Equality(lambda x: x.sum(1) - 1.0), torch.full((1, 3), 1 / 3, dtype=torch.float64)
    >>> stored = x.float().double()
    >>> report = certificate(Projected(x, (Problem({"sum": law}),)), stored, stored)["sum"]
    >>> report["satisfied"], report["residual_max"] == report["rounding"]
    (True, True)
    """
    delivered = projected.residuals(seen, Problem.violated)
    exact, inexact = (projected.residuals(fields, Problem.residuals) for fields in (projected.fields, rounded))
    complete = bool(finite_samples(seen).all())
    report = {}
    for name, residual in delivered.items():
        change = inexact[name] - exact[name]
        tolerance = max(TOLERANCE, ROUNDINGS * _largest(change))
        held = [p.only([name]).satisfied(x, tolerance) for p, x in zip(projected.problems, seen.split(1), strict=True)]
        report[name] = {
            "kind": projected.problems[0].constraints[name].kind,
            "residual_rms": rms(residual),
            "residual_max": _largest(residual),
            "rounding": rms(change),
            "rounding_max": _largest(change),
            "tolerance": tolerance,
            "satisfied": complete and all(held),
            "constants": _constants(projected.problems, name, seen),
        }
    return report


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if len(values) else math.nan


def _constants(problems: tuple[Problem, ...], name: str, seen: Tensor) -> dict[str, Any]:
    """Values of each finite sample, one list for each constant."""
    values: dict[str, list[Any]] = {}
    for problem, sample in zip(problems, seen.split(1), strict=True):
        if not finite_samples(sample):
            continue
        constraint = problem.constraints[name]
        found = problem.constants.get(name) or (
            constraint.estimate(sample, problem.grid) if constraint.parameters == "fitted" else {}
        )
        for key, value in found.items():
            values.setdefault(key, []).extend(value if isinstance(value, list) else [value])
    return values
