"""Time of one way of doing some work over that of another, pair by pair in one process.

Machines are shared and noisy: the two run in turn, and only the ratio of each turn is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Pair:
    """Two ways of doing the same work, run in turn ``repeats`` times."""

    name: str
    ours: Callable[[], object]
    against: str
    other: Callable[[], object]
    repeats: int


def ratios(pair: Pair) -> npt.NDArray[np.float64]:
    """Time of ours over time of the other, turn by turn after one warm-up.

    >>> len(ratios(Pair("sum", lambda: sum(range(9)), "len", lambda: len(range(9)), 3)))
    3
    """
    times = []
    for _ in range(pair.repeats + 1):
        marks = [time.perf_counter()]
        for work in (pair.ours, pair.other):
            work()
            marks.append(time.perf_counter())
        times.append(np.diff(marks))
    return np.array([ours / other for ours, other in times[1:]])
