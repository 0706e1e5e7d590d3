"""What a guided run says about its constraints: measured, certified, in conflict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from physgen.audit import FLOAT_PRECISION, audit
from physgen.constraints import Constraint
from physgen.experiments.pages.report import number
from physgen.grid import Grid
from physgen.guidance import Guidance
from physgen.observables import Observable
from physgen.sampling.guide import GuidanceLog


def measure(
    video: Float[Tensor, "1 3 T H W"],
    observable: Observable,
    guidance: Guidance | None,
    constraints: Sequence[Constraint],
    grid: Grid,
    log: GuidanceLog,
) -> dict[str, dict[str, Any]]:
    """`audit` of a sample; what was certified is measured with the constants and the tolerance of its certificate."""
    certificate = log.terminal.get("certificate", {})
    named = zip(guidance.names, constraints, strict=True) if certificate and guidance else ()
    laws = [constraint.fixed(certificate[name]["constants"]) for name, constraint in named]
    measured = audit(video, observable, laws or constraints, grid, tolerance=FLOAT_PRECISION)
    for name in measured.keys() & certificate.keys():
        entry = certificate[name]
        agreed = {"tolerance": entry["tolerance"], "satisfied": entry["satisfied"], "parameters": entry["constants"]}
        measured[name].update(agreed)
    return measured


def warnings_of(log: GuidanceLog) -> list[str]:
    """What the constraints did to each other."""
    notes = [f"{pair} pull against each other: mean cosine {cosine:.2f}" for pair, cosine in log.conflicts.items()]
    if "contradiction" in log.terminal:
        notes.append(f"not projected: {log.terminal['contradiction']}")
    return notes


def certified(log: GuidanceLog) -> str:
    """The certificate in one line."""
    entries = log.terminal.get("certificate", {})
    parts = [f"{name} {verdict(entry)}" for name, entry in entries.items()]
    return f"certificate: {'; '.join(parts) or 'none, nothing was projected'}"


def verdict(entry: dict[str, Any] | None) -> str:
    """What a certificate says of one constraint, which may hold in its own sense at a residual above the tolerance."""
    if entry is None:
        return "–"
    word = "satisfied" if entry["satisfied"] else "NOT satisfied"
    if entry["satisfied"] and entry["residual_max"] > entry["tolerance"]:
        return word
    return f"{word}: {number(entry['residual_max'])} of {number(entry['tolerance'])}"
