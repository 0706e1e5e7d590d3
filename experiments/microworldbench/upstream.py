"""The released scorer's numbers, its faults included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.data import DIMENSIONS, Criterion, Rubric
from physgen.experiments.microworldbench.scorecard import Scorecard, TaskScore, normalised


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
            given = _answers(item)
            if given is None:
                continue
            pairs = [list(_matched(given[d], rubrics[index].criteria[d])) for d in DIMENSIONS]
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


def _answers(item: Any) -> dict[str, Any] | None:
    """What the scorer iterates in each dimension; ``None`` at the first that is empty, later ones are not looked at."""
    given = {}
    for dimension in DIMENSIONS:
        evaluation = item.get(f"{dimension}_eval", {})
        parsed = evaluation.get("parsed_result") if evaluation else None
        scores = parsed.get("scores", []) if parsed else None
        if not scores:
            return None
        given[dimension] = scores
    return given


def _matched(scores: Any, criteria: tuple[Criterion, ...]) -> Iterable[tuple[Any, Criterion]]:
    by_number = {criterion.number: criterion for criterion in criteria}
    if by_number:
        for number, answer in enumerate(scores, 1):
            if number in by_number:
                yield answer, by_number[number]


def _sums(pairs: list[tuple[Any, Criterion]]) -> tuple[float, float]:
    raw = maximum = 0.0
    for answer, criterion in pairs:
        if answer == 1:
            raw += criterion.sign * criterion.weight
        if criterion.sign > 0:
            maximum += criterion.weight
    return raw, maximum
