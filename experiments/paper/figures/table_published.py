"""Tables 1 and 2 of MicroWorldBench as published, and ours beside them, of other tasks and another judge."""

from __future__ import annotations

import numpy as np

from physgen.experiments.microworldbench.scoring.published import PUBLISHED
from physgen.experiments.microworldbench.tasks.data import LEVELS
from physgen.experiments.paper.figures.table_scores import MARKS
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS

COLUMNS = ("model", "Average", "Scientific", "Visual", "Instruction", "Organ", "Cellular", "Subcellular")


def make(spec: FigureSpec, store: Store) -> Made:
    """The published rows, then a row a guidance of ours."""
    rows = [(one.model, *(f"{mark:.1f}" for mark in (one.average, *one.dimensions, *one.levels))) for one in PUBLISHED]
    _, arms = spec.arms(store)
    by_run = {row["run"]: row for row in store.rows(spec.options["scores"])}
    ids: dict[str, list[str]] = {}
    for arm in arms:
        ids.setdefault(arm.set["guidance"], []).extend(arm.runs)
    for name, runs in ids.items():
        mine = [row for row in (store.one(by_run, run) for run in runs) if row["average"] is not None]
        marks = [float(np.mean([row[key] for row in mine])) for key in MARKS]
        levels = [[row["average"] for row in mine if row["level"] == level] for level in LEVELS]
        figures = [written(mark) for mark in marks] + [written(float(np.mean(x))) if x else "–" for x in levels]
        rows.append((f"micro, {ARMS[name].name}*", *figures))
    return Made(
        {"published": Number(len(PUBLISHED), ("physgen.experiments.microworldbench.scoring.published",))},
        columns=COLUMNS,
        rows=tuple(rows),
    )
