"""Whether finished fields satisfy what they were projected onto."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.fit import Fit, unexplained
from physgen.guidance.problem import Problem
from physgen.guidance.solve.projected_fields import ProjectedFields
from physgen.measure.degenerate import degenerate
from physgen.tensors import finite_samples, rms

#: what a float32 residual of order one can reach
TOLERANCE = 1e-6
#: the tolerance in units of the most that rounding does to a residual, where that is more
ROUNDINGS = 4
#: tolerance beyond which rounding is most of what is left, and nothing is certified
LOOSEST = 0.05
#: what a fit says of each sample
LISTS = ("condition", "identifiable", "explained", "measured", "reason")


@dataclass(frozen=True)
class Certificate:
    """What delivered fields violate of one constraint, in float64, with the constants of their projection.

    Attributes:
        kind: of the constraint.
        residual_rms, residual_max: dimensionless (positive parts, of an inequality).
        rounding, rounding_max: RMS and largest change of the residual when nothing but rounding happens to the exact
            fields.
        tolerance: the larger of 1e-6 and 4 `rounding_max`; None of constraints that hold without one, see
            `Constraint.tolerates`.
        satisfied: whether every sample holds it, in the constraint's own sense, is not degenerate, and, of physical
            fields, moves by so much more than rounding that the tolerance is at most `LOOSEST`.
        degenerate: why the first degenerate sample is one, see `physgen.audit.Measurement`.
        fit: its fitted constants, of each finite sample (those of the delivered fields where none were held).
        reading: what else it reads off the delivered fields, see `Constraint.describe`.
    """

    kind: str
    residual_rms: float
    residual_max: float
    rounding: float
    rounding_max: float
    tolerance: float | None
    satisfied: bool
    degenerate: str | None = None
    fit: Fit = field(default_factory=Fit)
    reading: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The certificate as ``metrics.json`` has it: a fit of nothing is null."""
        return asdict(self) | {"fit": asdict(self.fit) if self.fit.values else None}


@torch.no_grad()
def certify(
    projected: ProjectedFields,
    seen: Float[Tensor, "B *shape"],
    rounded: Float[Tensor, "B *shape"],
    least: float | None = None,
) -> dict[str, Certificate]:
    """The certificate of each constraint.

    Args:
        projected: exact fields and constants.
        seen: fields of what is delivered, read in float64.
        rounded: fields of the exact ones stored as what is delivered, each number rounded to the nearest.
        least: spread of the fields that is something, see `degenerate`; None where they are no physical fields.

    Source: the contract of this package.

    >>> from physgen.constraints import Equality
    >>> law, x = Equality(lambda x: x.sum(1) - 1.0), torch.full((1, 3), 1 / 3, dtype=torch.float64)
    >>> stored = x.float().double()
    >>> found = certify(ProjectedFields(x, (Problem({"sum": law}),)), stored, stored)["sum"]
    >>> found.satisfied, found.residual_max == found.rounding
    (True, True)
    """
    delivered = projected.residuals(seen, Problem.violated)
    exact, inexact = (projected.residuals(fields, Problem.residuals) for fields in (projected.fields, rounded))
    pairs = list(zip(projected.problems, seen.split(1), strict=True))
    usable = [(problem, x) for problem, x in pairs if finite_samples(x)]
    nothing = [] if least is None else [why for _, x in usable if (why := degenerate(x, least)[0])]
    found = {}
    for name, residual in delivered.items():
        constraint = projected.problems[0].constraints[name]
        change = inexact[name] - exact[name]
        tolerance = max(TOLERANCE, ROUNDINGS * _largest(change))
        fit = _joined([_fit(p, name, x) for p, x in usable])
        why = next(iter(nothing), None) or unexplained(fit)
        exact_enough = not constraint.tolerates or tolerance <= LOOSEST
        held = all(p.only([name]).satisfied(x, tolerance) for p, x in usable)
        found[name] = Certificate(
            kind=constraint.kind,
            residual_rms=rms(residual),
            residual_max=_largest(residual),
            rounding=rms(change),
            rounding_max=_largest(change),
            tolerance=tolerance if constraint.tolerates else None,
            satisfied=held and len(usable) == len(pairs) and why is None and (least is None or exact_enough),
            degenerate=why,
            fit=fit,
            reading=_concatenated([p.constraints[name].describe(x, p.grid) for p, x in usable]),
        )
    return found


def _fit(problem: Problem, name: str, seen: Tensor) -> Fit:
    return problem.fits.get(name) or problem.constraints[name].fit(seen, problem.grid)


def _joined(fits: list[Fit]) -> Fit:
    """Fits of single samples as that of all of them."""
    parts = [asdict(fit) for fit in fits]
    return Fit(
        _concatenated([part["values"] for part in parts]),
        _concatenated([part["errors"] for part in parts]),
        _concatenated([part["intervals"] for part in parts]),
        *([value for part in parts for value in part[key]] for key in LISTS),
    )


def _concatenated(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Lists of each sample as lists of all, by name."""
    return {name: [value for part in parts for value in part[name]] for name in (parts[0] if parts else {})}


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if len(values) else math.nan
