"""What is known of one arm of the protocol: its videos, its answers and its scores, over all seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from physgen.experiments.measure.intervals import Interval, mean_interval
from physgen.experiments.microworldbench.generation.plan import Item, Layout
from physgen.experiments.microworldbench.protocol.apart import met, without_imposed
from physgen.experiments.microworldbench.protocol.arms import records
from physgen.experiments.microworldbench.scoring.results import SUFFIX, read_results
from physgen.experiments.microworldbench.scoring.score import score
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard
from physgen.experiments.microworldbench.tasks.data import Rubric, Task


@dataclass(frozen=True)
class ScoredArm:
    """Records and results of an arm; ``imposed`` are the laws of the guided arm, by task."""

    name: str
    records: Sequence[Mapping[str, Any]]
    results: Sequence[Sequence[Mapping[str, Any]]]
    tasks: Mapping[int, Task]
    rubrics: Mapping[int, Rubric]
    imposed: Mapping[int, Collection[str]]
    mode: str

    @cached_property
    def cards(self) -> list[Scorecard]:
        """A scorecard a seed."""
        return [self._score(results, self.mode) for results in self.results]

    @cached_property
    def cards_apart(self) -> list[Scorecard]:
        """Without the criteria that measure what was imposed on their task; always by the corrected rules."""
        return [
            self._score(without_imposed(results, self.rubrics, self.imposed), "corrected") for results in self.results
        ]

    @cached_property
    def met(self) -> dict[bool, list[int]]:
        """1 or 0 for each answered criterion of the tasks with a law: under True those that measure it."""
        parts = [met(results, self.rubrics, self.imposed) for results in self.results]
        return {about: [one for part in parts for one in part[about]] for about in (True, False)}

    @cached_property
    def degenerate(self) -> set[int]:
        """Tasks of which a video shows nothing, or nothing that moves."""
        return {record["index"] for record in self.records if record["degenerate"]}

    def _score(self, results: Sequence[Mapping[str, Any]], mode: str) -> Scorecard:
        return score(list(results), [*self.rubrics.values()], [*self.tasks.values()], mode)


def read_arm(
    out: Path,
    name: str,
    planned: Sequence[Item],
    data: tuple[Mapping[int, Task], Mapping[int, Rubric]],
    imposed: Mapping[int, Collection[str]],
    mode: str,
) -> ScoredArm:
    """An arm of the folder of a protocol whose videos are judged."""
    layout = Layout(out / name)
    folders = [layout.videos(seed).name for seed in dict.fromkeys(item.seed for item in planned)]
    results = [read_results(out / "scored" / f"{folder}{SUFFIX}", salvage=True)[0] for folder in folders]
    return ScoredArm(name, records(out, name, planned), results, *data, imposed, mode)


def imposed_of(guided: Sequence[Mapping[str, Any]]) -> dict[int, set[str]]:
    """Laws that were imposed on each task, by the records of the guided arm; tasks without one are left out.

    >>> imposed_of([{"index": 1, "guided": True, "chosen": ["mass", "count"], "decision": {"measured": ["count"]}}])
    {1: {'mass'}}
    """
    return {
        record["index"]: {*record["chosen"]} - {*(record["decision"] or {}).get("measured", ())}
        for record in guided
        if record["guided"]
    }


def by_task(cards: Sequence[Scorecard], column: str) -> dict[int, float]:
    """Score of each task, mean over the seeds that have it."""
    found: dict[int, list[float]] = {}
    for card in cards:
        for task in {task.index: task for task in card.per_task}.values():
            found.setdefault(task.index, []).append(getattr(task, column))
    return {index: float(np.mean(values)) for index, values in found.items()}


def mean(cards: Sequence[Scorecard], column: str) -> Interval:
    """Mean over tasks with its bootstrap interval of 95 % over tasks."""
    return mean_interval(np.array([*by_task(cards, column).values()], dtype=float))


def difference(
    first: Sequence[Scorecard], second: Sequence[Scorecard], column: str, tasks: Collection[int] | None = None
) -> tuple[Interval, int]:
    """Mean of ``first - second`` over the tasks that both have, its interval over tasks, and how many they are."""
    a, b = by_task(first, column), by_task(second, column)
    shared = sorted(index for index in a.keys() & b.keys() if tasks is None or index in tasks)
    return mean_interval(np.array([a[index] - b[index] for index in shared], dtype=float)), len(shared)
