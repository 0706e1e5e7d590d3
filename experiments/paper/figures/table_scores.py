"""MicroWorldBench's columns on the micro task set, by instruments: every guidance, and what could be reached."""

from __future__ import annotations

import numpy as np

from physgen.experiments.measure.distances import mean_interval
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS

MARKS = ("average", "scientific", "visual", "instruction")
COLUMNS = ("sampler", "videos", "Average", "Scientific", "Visual", "Instruction", "Average less unguided")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a guidance over all laws' prompts; the difference is paired, video by video."""
    _, arms = spec.arms(store)
    by_run = {row["run"]: row for row in store.rows(spec.options["scores"])}
    ids: dict[str, list[str]] = {}
    for arm in arms:
        ids.setdefault(arm.set["guidance"], []).extend(arm.runs)
    numbers: dict[str, Number] = {}
    rows = []
    marks = {
        name: np.array([[store.one(by_run, run)[key] for key in MARKS] for run in runs], float)
        for name, runs in ids.items()
    }
    for name, runs in ids.items():
        for key, values in zip(MARKS, marks[name].T, strict=True):
            numbers[f"{name}.{key}"] = Number.of(mean_interval(values), runs, len(runs))
        less = mean_interval(marks[name][:, 0] - marks["none"][:, 0])
        numbers[f"{name}.less"] = Number.of(less, runs + ids["none"], len(runs))
        figures = [numbers[f"{name}.{key}"].text for key in MARKS]
        rows.append(
            (
                ARMS[name].name,
                str(int(np.isfinite(marks[name][:, 0]).sum())),
                *figures,
                "–" if name == "none" else numbers[f"{name}.less"].text,
            )
        )
    answered = [by_run[run]["answered"] for runs in ids.values() for run in runs]
    numbers["answered"] = Number(100 * float(np.mean(answered)), (f"{spec.options['scores']}.parquet",), len(answered))
    numbers["n"] = Number(spec.seeds, (spec.sweep,), spec.seeds)
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))
