"""Models against each other, prompt by prompt: 95 % bootstrap intervals over prompts, training seeds averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from physgen.experiments.finetune.measure import Array, MeasuredModel
from physgen.experiments.measure.distances import Discrepancy, median_bandwidth
from physgen.experiments.measure.intervals import Interval, bootstrap, mean_interval, plain
from physgen.experiments.measure.recognition import DRAWS
from physgen.experiments.measure.tables import Table

PAIRS = (("with", "without"), ("with", "untuned"), ("without", "untuned"))
Statistic = Callable[[Array], float]


def averaged(found: Sequence[MeasuredModel], name: str) -> Array:
    """One figure per prompt, the mean over the training seeds that have it; NaN where none has."""
    values = np.array([one.values[name] for one in found])
    count = np.isfinite(values).sum(0)
    return np.asarray(np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan))


def discrepancy(found: Sequence[MeasuredModel], reference: Array) -> Callable[[Any], float]:
    """MMD^2 to the reference on rows of the prompts, the mean over training seeds."""
    width = median_bandwidth(reference)
    each = [Discrepancy.gaussian(one.vectors, reference, width) for one in found if one.vectors is not None]
    return lambda rows: float(np.mean([one(rows) for one in each]))


def intervals(found: Sequence[MeasuredModel], reference: Array | None) -> dict[str, Interval]:
    """Mean of every figure, and MMD^2, of a model in one arm."""
    means = {name: mean_interval(averaged(found, name)) for name in found[0].values}
    if found[0].vectors is None or reference is None:
        return means
    return means | {"mmd2": bootstrap(discrepancy(found, reference), len(reference), draws=DRAWS)}


def difference(a: Sequence[MeasuredModel], b: Sequence[MeasuredModel], reference: Array | None) -> dict[str, Interval]:
    """Model ``a`` minus model ``b`` in the same arm."""
    means = {name: mean_interval(averaged(a, name) - averaged(b, name)) for name in a[0].values}
    if a[0].vectors is None or reference is None:
        return means
    first, second = discrepancy(a, reference), discrepancy(b, reference)
    return means | {"mmd2": bootstrap(lambda rows: first(rows) - second(rows), len(reference), draws=DRAWS)}


def summarise(measured: Sequence[MeasuredModel], reference: Array | None) -> dict[str, Any]:
    """Every model and pair of models in every arm: ``models``, ``differences`` and, of each seed, ``seeds``."""
    groups: dict[tuple[str, str], list[MeasuredModel]] = {}
    for one in measured:
        groups.setdefault((one.arm, one.model), []).append(one)
    result: dict[str, Any] = {"models": {}, "differences": {}, "seeds": {}}
    for (arm, model), found in groups.items():
        result["models"].setdefault(arm, {})[model] = plain(intervals(found, reference))
    for arm in result["models"]:
        for a, b in PAIRS:
            if (arm, a) in groups and (arm, b) in groups:
                pair = groups[arm, a], groups[arm, b]
                result["differences"].setdefault(arm, {})[f"{a} - {b}"] = plain(difference(*pair, reference))
        if (arm, "with") in groups:
            pairs = zip(groups[arm, "with"], groups[arm, "without"], strict=True)
            result["seeds"][arm] = {str(a.seed): plain(difference([a], [b], reference)) for a, b in pairs}
    return result


def tables(result: dict[str, Any]) -> list[Table]:
    """A table of each arm, and of the differences in it."""
    shown = []
    for kind, title in (
        ("models", "mean"),
        ("differences", "paired differences"),
        ("seeds", "with - without, by seed"),
    ):
        for arm, columns in result[kind].items():
            names = list(next(iter(columns.values())))
            rows = [[name, *(Interval(**found[name]) for found in columns.values())] for name in names]
            shown.append(Table(f"{arm}: {title}", ["", *columns], rows))
    return shown
