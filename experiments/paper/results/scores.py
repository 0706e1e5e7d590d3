"""What `physgen instruments scores` left: points of each task in each arm, and shares of the criteria that were met."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.scores.arms import ARMS
from physgen.experiments.instruments.scores.scores import FREE
from physgen.experiments.instruments.subject import subject_of
from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.microworldbench.tasks.data import read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.experiments.paper.results.numbers import Number
from physgen.experiments.paper.results.store import Store

FILE = "micro/instruments-scores"
SOURCE = f"docs/{FILE}.json"
#: kinds of points, and where a file has them task by task
MARKS = {"average": "per_task", FREE: "free_per_task"}
MODEL = [arm for arm in ARMS if arm not in (SIMULATOR, RECONSTRUCTION)]


@dataclass(frozen=True)
class Scores:
    """The file of a store; ``data[arm]`` as `physgen.experiments.instruments.scores.scores.record` writes it."""

    data: Mapping[str, Any]

    @classmethod
    def read(cls, store: Store) -> Scores:
        """Raises: InvalidArgument, see `Store.documented`."""
        return cls(store.documented(FILE))

    @property
    def tasks(self) -> int:
        """How many tasks were scored."""
        return len(self.data[SIMULATOR]["per_task"])

    @property
    def videos(self) -> int:
        """How many videos an arm has; every task asks whether there is anything to see."""
        return int(self.data[SIMULATOR]["met"]["presence"]["n"])

    @property
    def seeds(self) -> int:
        """How many videos each task has in an arm.

        >>> Scores({"simulator": {"per_task": {"1": 100.0}, "met": {"presence": {"share": 1.0, "n": 2}}}}).seeds
        2
        """
        return self.videos // self.tasks

    @cached_property
    def families(self) -> dict[str, list[str]]:
        """Tasks of each family."""
        found: dict[str, list[str]] = {}
        for task in read_tasks(named_tasks("micro")[0]):
            if subject := subject_of(task.task):
                found.setdefault(subject.family, []).append(str(task.index))
        return found

    def points(self, family: str, arm: str, mark: str) -> Number:
        """Mean over the tasks of a family that the arm has, with its interval."""
        return self._mean([family], mark, arm)

    def difference(self, family: str, first: str, second: str, mark: str) -> Number:
        """The same of ``first - second``, over the tasks that both have."""
        return self._mean([family], mark, first, second)

    def difference_without(self, families: Collection[str], first: str, second: str, mark: str) -> Number:
        """The same over the tasks of all other families."""
        others = [name for name in self.families if name not in families]
        return self._mean(others, mark, first, second)

    def _mean(self, families: Iterable[str], mark: str, *arms: str) -> Number:
        scored = [self.data[arm][MARKS[mark]] for arm in arms]
        asked = [task for family in families for task in self.families[family]]
        tasks = [task for task in asked if all(task in each for each in scored)]
        first, *second = (np.array([each[task] for task in tasks]) for each in scored)
        return Number.of(mean_interval(first - sum(second)), (SOURCE,), len(tasks))
