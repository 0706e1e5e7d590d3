"""Content: what was asked for and no law imposes; and what choosing among four draws could reach at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from physgen.drawn import GUIDED, UNGUIDED
from physgen.experiments.instruments.blood.arms import BEST, PROJECTED, THEN
from physgen.experiments.measure.distances import mean_interval
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

TASKS, BLOOD = "docs/micro-1/instruments-scores.json", "docs/micro-1/blood.json"
#: criteria of the task set that ask for content, instruments answer
ASKED = ("count", "colour", "pattern", "orientation", "speed")
#: what blood videos are asked for, and who answers
SEEN: dict[str, Callable[[dict[str, Any]], bool]] = {
    "blood: count, by instruments": lambda one: one["answers"]["count"] == 1,
    "blood: count, by the classifier": lambda one: one["judge"]["count"] == 1,
    "blood: speed, by the classifier": lambda one: one["judge"]["speed"] == 1,
    "blood: direction, by the classifier": lambda one: one["judge"]["direction"] == 1,
    "blood: not faint, by instruments": lambda one: one["answers"]["presence"] == 0,
}
COLUMNS = ("what is met", "unguided", "projected", "guided", "best of 3 by the law", "best of 4 by an oracle")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a criterion: shares of videos, of blood with intervals over tasks."""
    data, records = store.documented("micro-1/instruments-scores"), store.documented("micro-1/blood")["records"]
    numbers: dict[str, Number] = {}
    rows = []
    for name in ASKED:
        for arm in ("unguided", "afterwards", "guided"):
            met = data[arm]["met"][name]
            numbers[f"{name}.{arm}"] = Number(met["share"], (TASKS,), met["n"])
        shares = (written(numbers[f"{name}.{arm}"].value) for arm in ("unguided", "afterwards", "guided"))
        rows.append((f"tasks: {name}, by instruments", *shares, "–", "–"))
    for name, met_by in SEEN.items():
        shown = {arm: by_task(records, arm, met_by) for arm in (UNGUIDED, PROJECTED, GUIDED + THEN, BEST)}
        for arm, table in shown.items():
            numbers[f"{name}.{arm}"] = Number.of(mean_interval(table.mean(1)), (BLOOD,), table.size)
        oracle = Number.of(mean_interval(shown[UNGUIDED].max(1)), (BLOOD,), shown[UNGUIDED].size)
        numbers[f"{name}.oracle"] = oracle
        gain = mean_interval(shown[BEST].mean(1) - shown[UNGUIDED].mean(1))
        numbers[f"{name}.gain"] = Number.of(gain, (BLOOD,), shown[BEST].size)
        rows.append((name, *(numbers[f"{name}.{arm}"].text for arm in shown), oracle.text))
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def by_task(records: list[dict[str, Any]], arm: str, met: Callable[[dict[str, Any]], bool]) -> np.ndarray:
    """Whether each video meets something, ``[tasks, seeds]``."""
    mine = sorted((one for one in records if one["arm"] == arm), key=lambda one: (one["task"], one["seed"]))
    tasks = len({one["task"] for one in mine})
    return np.array([met(one) for one in mine], float).reshape(tasks, -1)
