"""The released scorer's numbers, its faults included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard, TaskScore, normalised
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Criterion, Rubric

Pairs = list[tuple[Any, Criterion]]


def score_upstream(results: Any, rubrics: Mapping[int, Rubric], levels: Mapping[int, str]) -> Scorecard:
    """Score as the released ``calculate_scores.py`` does.

    raw = sum of sign * weight over answers == 1, max = sum of positive weights over the answers *given*. Answer n is
    looked up as criterion number n, so that malformed rubrics count nothing; a task without three answered dimensions
    is skipped; duplicates count twice.

    Raises: InvalidArgument for what crashes the released scorer.

    Source: github.com/FreedomIntelligence/MicroVerse, eval/.
    """
    per_task, scored = [], 0
    try:
        for item in results:
            index = item.get("index")
            if index not in rubrics:
                continue
            pairs = _matched_by_dimension(item, rubrics[index])
            if pairs is None:
                continue
            sums = [_sums(dimension) for dimension in pairs]
            raw, maximum = 0.0, 0.0
            for part, whole in sums:
                raw += part
                maximum += whole
            marks = [normalised(*dimension) for dimension in sums]
            level = levels.get(index, "Unknown")
            per_task.append(TaskScore(rubrics[index].index, level, normalised(raw, maximum), *marks))
            scored += sum(map(len, pairs))
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidArgument("results", str(error), "what does not crash the released scorer") from error
    criteria = sum(len(c) for rubric in rubrics.values() for c in rubric.criteria.values())
    return Scorecard.of(per_task, n_tasks=len(levels), scored=scored, criteria=criteria, empty=0.0)


def _matched_by_dimension(item: Any, rubric: Rubric) -> list[Pairs] | None:
    """Answers and their criteria; ``None`` at the first dimension that is open, later ones are not looked at."""
    matched = []
    for dimension in DIMENSIONS:
        evaluation = item.get(f"{dimension}_eval", {})
        parsed = evaluation.get("parsed_result") if evaluation else None
        scores = parsed.get("scores", []) if parsed else None
        if not scores:
            return None
        by_number = {criterion.number: criterion for criterion in rubric.criteria[dimension]}
        given = enumerate(scores, 1) if by_number else ()
        matched.append([(answer, by_number[n]) for n, answer in given if n in by_number])
    return matched


def _sums(pairs: Pairs) -> tuple[float, float]:
    raw = maximum = 0.0
    for answer, criterion in pairs:
        if answer == 1:
            raw += criterion.sign * criterion.weight
        if criterion.sign > 0:
            maximum += criterion.weight
    return raw, maximum
