"""A small benchmark in the published schema, and results for it."""

from __future__ import annotations

from typing import Any

from physgen.experiments.microworldbench import Rubric

NAMES = ("scientific", "visual", "instruction")
LEVELS = ("Organ-level", "Cellular-level", "Subcellular-level")


def block(*, malformed: bool = False) -> dict[str, Any]:
    """Four merits and a penalty, with the weights of the published files."""
    weights = (1.0, "0.5", 0.2, "1.", 0.5)
    signs = ("+1", "+1", "+1", "+1", "-1")
    return {
        f"{key}{str(n) * (2 if malformed else 1)}": value
        for n, (sign, weight) in enumerate(zip(signs, weights, strict=True), 1)
        for key, value in (("d", f"criterion {n}"), ("s", sign), ("w", weight))
    }


def small_benchmark(count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tasks and rubrics of so many tasks; every fifth has a malformed instruction rubric."""
    tasks = [
        {"index": i, "任务": f"task {i}", "具体要求": f"requirement {i}", "final_label": LEVELS[i % 3]}
        for i in range(1, count + 1)
    ]
    rubrics = [
        {"index": i, **{f"rubrics_{name}": block(malformed=i % 5 == 0 and name == "instruction") for name in NAMES}}
        for i in range(1, count + 1)
    ]
    return tasks, rubrics


def evaluated(index: Any, *scores: Any) -> dict[str, Any]:
    """One result; scores of the three dimensions, or one for all."""
    given = scores * 3 if len(scores) == 1 else scores
    return {
        "index": index,
        **{
            f"{name}_eval": {"raw_response": "", "parsed_result": {"scores": s}}
            for name, s in zip(NAMES, given, strict=True)
        },
    }


def perfect(rubrics: tuple[Rubric, ...]) -> list[dict[str, Any]]:
    """Every merit, no fault."""
    return [
        evaluated(rubric.index, *([int(c.sign > 0) for c in rubric.criteria[name]] for name in NAMES))
        for rubric in rubrics
    ]
