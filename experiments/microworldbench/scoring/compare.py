"""Intervals, differences on the same tasks, and agreement of repeated judging."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from physgen.experiments.measure.intervals import Interval, mean_interval
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard


def interval(card: Scorecard, name: str, level: str | None = None) -> Interval:
    """Mean of ``average`` or of a dimension with its bootstrap interval over tasks, of one level where one is named."""
    tasks = [task for task in card.per_task if level in (None, task.level)]
    return mean_interval(np.array([getattr(task, name) for task in tasks], dtype=float))


def difference(first: Scorecard, second: Scorecard, name: str = "average") -> tuple[Interval, int]:
    """Mean of ``first - second`` over the tasks that are valid in both, with its interval, and their number.

    A task that one side holds more than once is taken as that side's last.
    """
    a, b = ({task.index: getattr(task, name) for task in card.per_task} for card in (first, second))
    shared = sorted(a.keys() & b.keys())
    return mean_interval(np.array([a[index] - b[index] for index in shared], dtype=float)), len(shared)


def fleiss_kappa(answers: Sequence[Sequence[int]]) -> float:
    """Agreement of raters beyond chance, from one row of 0 and 1 for each criterion; NaN where all answers are equal.

    (P - P_e) / (1 - P_e), P the share of agreeing pairs, P_e that of independent raters with the same shares.

    Source: Fleiss (1971), Psychological Bulletin 76:378.

    >>> fleiss_kappa([[1, 1], [0, 0], [1, 0], [0, 1]]), fleiss_kappa([[1, 1], [0, 0]])
    (0.0, 1.0)
    """
    table = np.asarray(answers, dtype=float)
    if table.size == 0:
        return math.nan
    raters, ones = table.shape[1], table.sum(1)
    agree = (ones * (ones - 1) + (raters - ones) * (raters - ones - 1)) / (raters * (raters - 1))
    share = ones.sum() / table.size
    chance = share**2 + (1 - share) ** 2
    return float((agree.mean() - chance) / (1 - chance)) if chance < 1 else math.nan
