"""Every law with every guidance, in numbers."""

from __future__ import annotations

from physgen.experiments.paper.results.numbers import Made, Number, median_interval, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.summary import FREE, UNGUIDED, summaries, tests
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, LAWS

COLUMNS = (
    "law",
    "sampler",
    "violation",
    "p (Holm)",
    "empty",
    "in order",
    "MMD²",
    "less projected afterwards",
    "attributes",
    "time",
)


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm."""
    found, p_values = summaries(spec, store), tests(spec, store)
    sweep, arms = spec.arms(store)
    moved = {}
    for arm in (one for one in arms if one.set["guidance"] == FREE):
        far, law = sweep.column(arm, "moved_rms"), arm.set["law"]
        moved[f"{law}.moved"] = Number.of(median_interval(far), arm.runs, len(arm.runs))
        moved[f"{law}.moved, most"] = Number(float(far.max()), arm.runs, len(arm.runs))
    numbers = {"n": Number(spec.seeds, (spec.sweep,), spec.seeds)} | moved
    for guidance in dict.fromkeys(one.guidance for one in found):
        times = [one.time for one in found if one.guidance == guidance]
        numbers[f"{guidance}.time, least"] = min(times, key=lambda one: one.value)
        numbers[f"{guidance}.time, most"] = max(times, key=lambda one: one.value)
    rows = []
    for one in found:
        numbers |= one.numbers
        p = "–" if one.guidance == UNGUIDED else written(p_values[one.law, one.guidance])
        excess = "–" if one.guidance == FREE else one.excess.text
        law = LAWS[one.law] if one.guidance == UNGUIDED else ""
        figures = (
            one.violation.text,
            p,
            one.empty.text,
            one.feasible.text,
            one.distance.text,
            excess,
            one.attributes.text,
            "1" if one.guidance == UNGUIDED else one.time.text,
        )
        rows.append((law, ARMS[one.guidance].name, *figures))
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))
