"""Points of every arm, paired differences over tasks, the share of each criterion, and its mean percentile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.drawn import GUIDED, UNGUIDED
from physgen.experiments.draw.references import SIMULATOR
from physgen.experiments.instruments.examine import percentile_title
from physgen.experiments.instruments.flow.arms import BEST, NO_JACOBIAN, PROJECTED, THEN
from physgen.experiments.instruments.flow.run import ROWS, column
from physgen.experiments.instruments.scores.scores import IMPOSED
from physgen.experiments.measure.intervals import Interval, mean_interval
from physgen.experiments.measure.recognition import distances, paired_distances
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.microworldbench.scoring.scorecard import normalised
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Criterion, Rubric
from physgen.experiments.runs.progress import Record

ATTRIBUTES = ("direction", "speed", "count")
DISTANCES = ("mmd2", "frechet")
PAIRS = (
    (BEST, UNGUIDED),
    (GUIDED, UNGUIDED),
    (GUIDED, BEST),
    (PROJECTED, UNGUIDED),
    (GUIDED + THEN, UNGUIDED),
    (BEST + THEN, PROJECTED),
    (GUIDED + THEN, PROJECTED),
    (GUIDED + THEN, BEST + THEN),
    (GUIDED + THEN, GUIDED),
    (NO_JACOBIAN, UNGUIDED),
    (NO_JACOBIAN + THEN, BEST + THEN),
    (NO_JACOBIAN + THEN, GUIDED + THEN),
)

Value = Callable[[Record], float]


def points(record: Record, criteria: Sequence[Criterion]) -> float:
    """``max(0, 100 sum of sign * weight over answers 1 / sum of positive weights)`` of those that were answered."""
    given = [(record["answers"][one.measure], one) for one in criteria]
    scored = [(answer, one) for answer, one in given if answer is not None]
    raw = sum((answer * one.sign * one.weight for answer, one in scored), 0.0)
    return normalised(raw, sum((one.weight for _, one in scored if one.sign > 0), 0.0))


def values(rubric: Rubric, family: str) -> dict[str, Value]:
    """What is averaged of a record: points of all criteria, of those not imposed, of those imposed; the classifier."""
    every = [criterion for dimension in DIMENSIONS for criterion in rubric.criteria[dimension]]
    imposed = [one for one in every if one.measure in IMPOSED[family]]
    free = [one for one in every if one.measure not in IMPOSED[family]]
    return {
        "all criteria": lambda record: points(record, every),
        "not imposed": lambda record: points(record, free),
        "imposed": lambda record: points(record, imposed),
        **{f"judge: {name}": partial(recognised, name) for name in ATTRIBUTES},
    }


def recognised(name: str, record: Record) -> float:
    """100 where the classifier sees the attribute that was asked for, else 0."""
    return 100 * float(record["judge"][name])


def per_task(records: Sequence[Record], arm: str, value: Value) -> npt.NDArray[np.float64]:
    """A value of each task, mean over the seeds."""
    found: dict[int, list[float]] = {}
    for record in records:
        if record["arm"] == arm:
            found.setdefault(record["task"], []).append(value(record))
    return np.array([np.mean(found[task]) for task in sorted(found)])


def difference(records: Sequence[Record], first: str, second: str, value: Value) -> Interval:
    """Mean of ``first - second`` over tasks, with its bootstrap interval over tasks."""
    return mean_interval(per_task(records, first, value) - per_task(records, second, value))


def vectors(records: Sequence[Record], arm: str) -> npt.NDArray[np.float64]:
    """What the classifier makes of an arm's videos, ``[N, F]``, in the order of the prompts."""
    return np.array([record["features"] for record in records if record["arm"] == arm])


def distance(records: Sequence[Record], arm: str) -> dict[str, Interval]:
    """MMD^2 and Frechet distance to simulator videos of the same prompts, of the classifier's features."""
    found = distances(vectors(records, arm), vectors(records, SIMULATOR), 0)
    return {name: found[name] for name in DISTANCES}


def nearer(records: Sequence[Record], first: str, second: str) -> dict[str, Interval]:
    """Distance of ``first`` to the simulator's videos minus that of ``second``, prompts resampled together."""
    one, other, truth = (vectors(records, arm) for arm in (first, second, SIMULATOR))
    return paired_distances(one, other, truth, 0)


def tables(records: Sequence[Record], rubric: Rubric, family: str) -> list[Table]:
    """Points and cost; paired differences; distances to truth; shares of criteria met; mean percentiles."""
    of = values(rubric, family)
    clock, count = column(records, UNGUIDED, "seconds"), len(column(records, UNGUIDED, "seconds"))
    rows: list[list[Cell]] = []
    for arm in ROWS:
        row: list[Cell] = [arm, *(mean_interval(per_task(records, arm, value)) for value in of.values())]
        seconds, projected = column(records, arm, "seconds"), column(records, arm, "law")
        row += [
            float(np.median(seconds)),
            float(np.median(seconds / clock)),
            float(np.median(column(records, arm, "nfe"))),
        ]
        rows.append([*row, f"{int(np.nansum(1 - projected))} of {count}" if np.isfinite(projected).any() else "-"])
    tasks = len(per_task(records, UNGUIDED, of["all criteria"]))
    names = sorted({name for record in records for name in record["answers"]})
    ranked = sorted({name for record in records for name in record["ranks"]})
    away: list[list[Cell]] = [[arm, *distance(records, arm).values()] for arm in ROWS[1:]]
    away += [[f"{a} − {b}", *nearer(records, a, b).values()] for a, b in PAIRS]
    heads = ["seconds, median", "times unguided", "evaluations", "not projected"]
    return [
        Table(
            f"{family.capitalize()}, points of 100: {tasks} tasks, {count // tasks} seeds each", ["", *of, *heads], rows
        ),
        Table(
            "Paired differences over tasks, points",
            ["", *of],
            [[f"{a} − {b}", *(difference(records, a, b, value) for value in of.values())] for a, b in PAIRS],
        ),
        Table(
            "Distance to simulator videos of the same prompts, by the classifier's features",
            ["", *DISTANCES],
            away,
        ),
        Table(
            "Share of criteria met (faults: not seen), of those that were measured",
            ["", *names],
            [[arm, *(share(records, rubric, arm, name) for name in names)] for arm in ROWS],
        ),
        Table(
            percentile_title(
                [r for one in records if one["arm"] == SIMULATOR for r in one["ranks"].values() if r is not None]
            ),
            ["", *ranked],
            [
                [
                    arm,
                    *(
                        _mean(record["ranks"].get(name) for record in records if record["arm"] == arm)
                        for name in ranked
                    ),
                ]
                for arm in ROWS
            ],
        ),
    ]


def share(records: Sequence[Record], rubric: Rubric, arm: str, name: str) -> float:
    """Share of an arm's videos, of those that could be measured, that meet a criterion."""
    sign = next(one.sign for dimension in DIMENSIONS for one in rubric.criteria[dimension] if one.measure == name)
    return _mean(
        None if (answer := record["answers"][name]) is None else float(answer == (sign > 0))
        for record in records
        if record["arm"] == arm
    )


def _mean(found: Any) -> float:
    known = [one for one in found if one is not None]
    return float(np.mean(known)) if known else float("nan")


def summary(records: Sequence[Record], rubric: Rubric, family: str) -> Mapping[str, Any]:
    """Records, means and paired differences with intervals, and distances to the simulator's videos, as JSON."""
    of = values(rubric, family)
    apart = {f"{a} - {b}": (a, b) for a, b in PAIRS}
    return {
        "records": [{key: value for key, value in one.items() if key != "features"} for one in records],
        "arms": {arm: {n: asdict(mean_interval(per_task(records, arm, v))) for n, v in of.items()} for arm in ROWS},
        "differences": {
            name: {n: asdict(difference(records, *pair, v)) for n, v in of.items()} for name, pair in apart.items()
        },
        "distances": {
            **{arm: {n: asdict(v) for n, v in distance(records, arm).items()} for arm in ROWS[1:]},
            **{name: {n: asdict(v) for n, v in nearer(records, *pair).items()} for name, pair in apart.items()},
        },
    }
