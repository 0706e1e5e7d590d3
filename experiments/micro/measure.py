"""What is measured on a finished video: its law, laws that no arm was guided on, and what it still shows."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, PhaseOrder
from physgen.experiments.measure.laws import law
from physgen.experiments.measure.recognition import features, phase_order, recognised
from physgen.experiments.micro.cases import Case
from physgen.experiments.runs.progress import Record
from physgen.guidance.problem import Problem
from physgen.measure import degenerate
from physgen.worlds import WorldSpec
from physgen.worlds.micro.judge import Judge

#: videos that show nothing
NOTHING = ("empty", "uniform")


def measure(
    spec: WorldSpec, judge: Judge, case: Case, constraint: Constraint, video: Float[Tensor, "1 3 T H W"]
) -> Record:
    """One video's record: ``violation`` (RMS residual, constants fitted where they are), ``feasible``, ``others``."""
    caption = case.prompt.caption
    observable, grid = spec.observable(caption), spec.grid(caption)
    fields = observable(video)
    vectors = features(judge, video)
    seen = recognised(judge, [case.prompt], vectors)
    return {
        "violation": Problem({case.law: constraint}, grid=grid).violations(fields)[case.law],
        "feasible": legal(constraint, fields, grid),
        "others": others(judge, case, video),
        "family": float(seen["family"][0]),
        "attributes": float(seen["attributes"][0]),
        "empty": degenerate(fields, observable.least)[0] in NOTHING,
        "features": vectors[0].tolist(),
    }


def legal(constraint: Constraint, fields: Tensor, grid: Any) -> bool | None:
    """Whether the named phases are in order; None for laws whose residual says it all."""
    if not isinstance(constraint, PhaseOrder):
        return None
    return not constraint.violations(fields, grid)[0].illegal


def others(judge: Judge, case: Case, video: Tensor) -> dict[str, float]:
    """Laws of the family by estimators of their own; the order of phases by the judge."""
    if case.prompt.family == "mitosis":
        return {name: float(values[0]) for name, values in phase_order(judge, video).items()}
    return law(case.prompt.family, case.prompt.attributes, video[0])
