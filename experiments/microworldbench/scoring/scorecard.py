"""What a model scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from physgen.experiments.microworldbench.tasks.data import LEVELS


@dataclass(frozen=True)
class TaskScore:
    """Scores of one task, 0 to 100; ``average`` pools the three dimensions before it divides."""

    index: int
    level: str
    average: float
    scientific: float
    visual: float
    instruction: float


@dataclass(frozen=True)
class Scorecard:
    """Means over the valid tasks, 0 to 100, by dimension and by level.

    ``scored`` of ``criteria`` answers counted; ``notes`` says what was wrong with the results (``corrected`` only).
    """

    average: float
    scientific: float
    visual: float
    instruction: float
    levels: dict[str, float]
    valid_tasks: int
    n_tasks: int
    per_task: tuple[TaskScore, ...]
    scored: int
    criteria: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        per_task: Sequence[TaskScore],
        *,
        n_tasks: int,
        scored: int,
        criteria: int,
        empty: float,
        notes: Sequence[str] = (),
    ) -> Scorecard:
        """Average over tasks; ``empty`` is the mean of none."""

        def mean(values: list[float]) -> float:
            return sum(values) / len(values) if values else empty

        return cls(
            average=mean([task.average for task in per_task]),
            scientific=mean([task.scientific for task in per_task]),
            visual=mean([task.visual for task in per_task]),
            instruction=mean([task.instruction for task in per_task]),
            levels={level: mean([task.average for task in per_task if task.level == level]) for level in LEVELS},
            valid_tasks=len(per_task),
            n_tasks=n_tasks,
            per_task=tuple(per_task),
            scored=scored,
            criteria=criteria,
            notes=tuple(notes),
        )

    @property
    def coverage(self) -> float:
        """Share of the tasks that are valid.

        >>> Scorecard.of([], n_tasks=459, scored=0, criteria=6884, empty=0.0).coverage
        0.0
        """
        return self.valid_tasks / self.n_tasks if self.n_tasks else math.nan


def normalised(raw: float, maximum: float) -> float:
    """``max(0, 100 raw / maximum)``, 0 without a positive maximum.

    >>> normalised(1.0, 2.0), normalised(-1.0, 2.0), normalised(1.0, 0.0)
    (50.0, 0.0, 0.0)
    """
    return 0.0 if maximum <= 0 else max(0.0, raw / maximum * 100)
