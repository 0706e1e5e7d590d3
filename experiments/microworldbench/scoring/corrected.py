"""The score as its authors meant it: every rubric counts, an answer that is none is left out and named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from physgen.experiments.microworldbench.scoring.scorecard import Scorecard, TaskScore, normalised
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Criterion, Rubric

Answers = tuple[int | None, ...]


def score_corrected(results: Any, rubrics: Mapping[int, Rubric], levels: Mapping[int, str]) -> Scorecard:
    """Score with criteria taken by position and unscored answers left out, and note what was wrong.

    raw = sum of sign * weight over answers 1, max = sum of positive weights over answers 0 and 1. A dimension whose
    list has not one answer for each criterion is unscored, for nobody knows which is missing; a task counts when its
    three dimensions are scored; of duplicates the last counts.
    """
    items, notes = usable(results, rubrics)
    per_task, scored = [], 0
    for index, item in sorted(items.items()):
        rubric, sums, unscored = rubrics[index], [], 0
        for dimension in DIMENSIONS:
            criteria = rubric.criteria[dimension]
            given = answers(item.get(f"{dimension}_eval"), len(criteria))
            unscored += given.count(None)
            scored += len(given) - given.count(None)
            sums.append(_sums(given, criteria))
        whole = all(maximum > 0 for _, maximum in sums)
        if unscored:
            notes.append(f"task {index}: {unscored} answers unscored" + ("" if whole else ", task not scored"))
        if whole:
            marks = [normalised(*dimension) for dimension in sums]
            total = normalised(sum(raw for raw, _ in sums), sum(maximum for _, maximum in sums))
            per_task.append(TaskScore(index, levels.get(index, "Unknown"), total, *marks))
    missing = sorted(rubrics.keys() - items.keys())
    if missing:
        notes.append(f"{len(missing)} tasks without a result: {_listed(missing)}")
    criteria_count = sum(len(c) for rubric in rubrics.values() for c in rubric.criteria.values())
    return Scorecard.of(
        per_task, n_tasks=len(levels), scored=scored, criteria=criteria_count, empty=math.nan, notes=notes
    )


def usable(results: Any, rubrics: Mapping[int, Rubric]) -> tuple[dict[int, Mapping[str, Any]], list[str]]:
    """Results by task, and what had to be left out."""
    if not isinstance(results, list | tuple):
        return {}, [f"results are a {type(results).__name__}, not a list: nothing scored"]
    items: dict[int, Mapping[str, Any]] = {}
    notes = []
    for position, item in enumerate(results):
        index: Any = item.get("index") if isinstance(item, Mapping) else None
        if type(index) not in (int, float) or index not in rubrics:
            notes.append(f"result {position}: unknown index {str(index)[:40]!r}")
            continue
        known = rubrics[index].index
        if known in items:
            notes.append(f"task {known}: more than one result, the last counts")
        items[known] = item
    return items, notes


def answers(evaluation: Any, count: int) -> Answers:
    """The answers of one dimension, each 1, 0 or ``None`` for unscored.

    >>> answers({"parsed_result": {"scores": [1, 0, "1", 2, True]}}, 5)
    (1, 0, None, None, 1)
    >>> answers({"parsed_result": {"scores": [1, 0]}}, 3)
    (None, None, None)
    """
    parsed = evaluation.get("parsed_result") if isinstance(evaluation, Mapping) else None
    given = parsed.get("scores") if isinstance(parsed, Mapping) else None
    if not isinstance(given, list | tuple) or len(given) != count:
        return (None,) * count
    return tuple(int(a) if isinstance(a, bool | int | float) and a in (0, 1) else None for a in given)


def _sums(given: Answers, criteria: tuple[Criterion, ...]) -> tuple[float, float]:
    scored = [(answer, c) for answer, c in zip(given, criteria, strict=True) if answer is not None]
    return (
        sum((answer * c.sign * c.weight for answer, c in scored), 0.0),
        sum((c.weight for _, c in scored if c.sign > 0), 0.0),
    )


def _listed(indices: list[int]) -> str:
    return ", ".join(map(str, indices[:10])) + (", …" if len(indices) > 10 else "")
