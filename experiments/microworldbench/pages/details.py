"""A page for each model: every task with its frames, every criterion with its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from physgen.experiments.microworldbench.scoring.corrected import answers, usable
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard, TaskScore
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Criterion, Rubric, Task


@dataclass(frozen=True)
class Judged:
    """A dimension of a task: each criterion with 1, 0 or ``None`` for unscored, and the judge's own words."""

    dimension: str
    rows: list[tuple[Criterion, int | None]]
    words: str


@dataclass(frozen=True)
class Detail:
    """A task of a model; ``score`` is ``None`` where it is not valid, ``frames`` are names in the folder of frames."""

    task: Task
    score: TaskScore | None
    frames: list[str]
    dimensions: list[Judged]


def details(
    results: Any, card: Scorecard, tasks: Mapping[int, Task], rubrics: Mapping[int, Rubric]
) -> Iterable[Detail]:
    """Tasks that have a result, in order."""
    scores = {score.index: score for score in card.per_task}
    for index, item in sorted(usable(results, rubrics)[0].items()):
        judged = []
        for dimension in DIMENSIONS:
            criteria, evaluation = rubrics[index].criteria[dimension], item.get(f"{dimension}_eval")
            given = answers(evaluation, len(criteria))
            judged.append(Judged(dimension, list(zip(criteria, given, strict=True)), _words(evaluation)))
        frames = item.get("frames")
        names = [name for name in frames if isinstance(name, str)] if isinstance(frames, list) else []
        yield Detail(tasks.get(index) or Task(index, "Unknown", "", ""), scores.get(index), names, judged)


def _words(evaluation: Any) -> str:
    if not isinstance(evaluation, Mapping):
        return "no answer"
    parsed = evaluation.get("parsed_result")
    reasoning = parsed.get("reasoning") if isinstance(parsed, Mapping) else None
    return str(reasoning or evaluation.get("raw_response") or "")[:4000]
