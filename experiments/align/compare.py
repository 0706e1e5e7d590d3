"""Models against each other, prompt by prompt: 95 % bootstrap intervals over prompts, training seeds averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from physgen.drawn import UNGUIDED
from physgen.experiments.align.models import BASE, REFERENCE, TRUTH
from physgen.experiments.align.options import ALIGNED
from physgen.experiments.evaluate.yardstick.pool import JUDGE, MOTION, RENDERING
from physgen.experiments.finetune.measure import Array, MeasuredModel
from physgen.experiments.finetune.paired import difference, intervals
from physgen.experiments.measure.conditional import ConditionalDiscrepancy, bandwidth_within, same_class
from physgen.experiments.measure.distances import squared_distances
from physgen.experiments.measure.intervals import Interval, bootstrap
from physgen.experiments.measure.recognition import DRAWS
from physgen.experiments.runs.progress import Record

DIVERSITY = "diversity"
#: reading -> what its distance to simulator videos of the same prompts is called
DISTANCES = {name: f"conditional MMD², {name}" for name in (JUDGE, MOTION, RENDERING)}


@dataclass(frozen=True)
class Found:
    """One model's figures of every prompt in one arm, and its feature vectors ``[N, F]`` by reading."""

    measured: MeasuredModel
    readings: dict[str, Array]


def gather(records: Sequence[Record], classes: Sequence[object]) -> dict[tuple[str, str], list[Found]]:
    """Figures by arm and model, one entry a training seed; records of a model come in the order of the prompts.

    ``diversity`` of a video: mean distance of its judge's features to those of the model's other videos of prompts that
    ask for the same; NaN where there is no other, or no judge.
    """
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record["arm"], record["model"], record["seed"]), []).append(record)
    names = dict.fromkeys(name for record in records for name in record["values"])
    found: dict[tuple[str, str], list[Found]] = {}
    for (arm, model, seed), rows in groups.items():
        values = {name: np.array([row["values"].get(name, np.nan) for row in rows], float) for name in names}
        readings = {name: np.array([row["readings"][name] for row in rows], float) for name in rows[0]["readings"]}
        if JUDGE in readings:
            values[DIVERSITY] = spread(readings[JUDGE], classes)
        found.setdefault((arm, model), []).append(Found(MeasuredModel(model, arm, seed, values), readings))
    return found


def spread(vectors: Array, classes: Sequence[object]) -> Array:
    """Mean distance of each of ``[N, F]`` to the others of its class, ``[N]``, NaN where it is the only one.

    >>> spread(np.array([[0.0], [2.0], [7.0]]), ["a", "a", "b"]).tolist()
    [2.0, 2.0, nan]
    """
    same = same_class(classes)
    count = same.sum(1)
    total = (same * np.sqrt(squared_distances(vectors, vectors))).sum(1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1.0), np.nan))


def pairs(models: Sequence[str]) -> list[tuple[str, str]]:
    """Every model less the base world, then the aligned one less every other.

    >>> pairs(["base", "aligned", "data"])
    [('aligned', 'base'), ('data', 'base'), ('aligned', 'data')]
    """
    made = [model for model in models if model not in (BASE, TRUTH, REFERENCE)]
    return [(model, BASE) for model in made] + [(ALIGNED, model) for model in made if model != ALIGNED]


def summarise(found: dict[tuple[str, str], list[Found]], classes: Sequence[object]) -> dict[str, Any]:
    """Every model and pair of models by arm: ``models``, ``differences`` and, of each training seed, ``seeds``."""
    reference = next(iter(found.get((UNGUIDED, REFERENCE), [])), None)
    arms = dict.fromkeys(arm for arm, _ in found)
    result: dict[str, Any] = {
        "models": {arm: {} for arm in arms},
        "differences": {arm: {} for arm in arms},
        "seeds": {arm: {} for arm in arms},
    }
    for (arm, model), mine in found.items():
        if model != REFERENCE:
            distance = {n: near(mine, reference, n, classes) for n in measurable(mine, reference, classes)}
            result["models"][arm][model] = {**intervals(measured(mine), None), **resampled(distance, len(classes))}
    for arm in arms:
        for a, b in pairs([model for where, model in found if where == arm]):
            mine, theirs = found[arm, a], found[arm, b]
            result["differences"][arm][f"{a} - {b}"] = less(mine, theirs, reference, classes)
            if b == BASE and len(mine) > 1:
                each = {str(one.measured.seed): less([one], theirs, reference, classes) for one in mine}
                result["seeds"][arm][f"{a} - {b}"] = each
    return result


def measured(found: Sequence[Found]) -> list[MeasuredModel]:
    """The figures alone."""
    return [one.measured for one in found]


def measurable(found: Sequence[Found], reference: Found | None, classes: Sequence[object]) -> list[str]:
    """Readings in which a distance to the reference can be measured."""
    if reference is None or not same_class(classes).any():
        return []
    return [name for name in DISTANCES if name in found[0].readings and name in reference.readings]


Statistic = Callable[[Any], float]


def near(found: Sequence[Found], reference: Found | None, name: str, classes: Sequence[object]) -> Statistic:
    """Conditional MMD² of a reading to that of the reference on rows of the prompts, the mean over training seeds."""
    assert reference is not None
    truth = reference.readings[name]
    width = bandwidth_within(truth, classes)
    if name != JUDGE:
        width = max(width, 1.0)  # plain readings are in units of what may differ unnoticed
    each = [ConditionalDiscrepancy.gaussian(one.readings[name], truth, classes, width) for one in found]
    return lambda rows: float(np.mean([one(rows) for one in each]))


def resampled(distances: dict[str, Statistic], count: int) -> dict[str, Interval]:
    """Distances with their intervals, by what they are called."""
    return {DISTANCES[name]: bootstrap(distance, count, draws=DRAWS) for name, distance in distances.items()}


def less(
    mine: Sequence[Found], theirs: Sequence[Found], reference: Found | None, classes: Sequence[object]
) -> dict[str, Interval]:
    """One model's figures and distances minus another's, paired by prompt."""
    distances: dict[str, Statistic] = {}
    for name in measurable(mine, reference, classes):
        first, second = near(mine, reference, name, classes), near(theirs, reference, name, classes)
        distances[name] = lambda rows, a=first, b=second: a(rows) - b(rows)  # type: ignore[misc]
    return {**difference(measured(mine), measured(theirs), None), **resampled(distances, len(classes))}
