"""Arms of an experiment against a baseline, seed by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import permutation_test

from physgen.errors import InvalidArgument
from physgen.experiments.measure.distances import Array, Interval, mean_interval

#: permutations of signs; up to 16 pairs all of them
SIGNS = 2**16


@dataclass(frozen=True)
class Difference:
    """One metric of one arm in one group, and what it differs from the baseline's by.

    ``n`` seeds that both have, ``unpaired`` those that only one of them has and that are in no figure here; ``p`` from
    flipping the signs of the differences, ``p_holm`` corrected for all comparisons of the metric.
    """

    metric: str
    group: dict[str, str]
    arm: str
    n: int
    unpaired: tuple[int, ...]
    mean: Interval
    median: float
    baseline: Interval
    difference: Interval
    p: float
    p_holm: float


def compare(
    rows: Sequence[Mapping[str, Any]], metric: str, *, axis: str, baseline: str, groups: Sequence[str] = ()
) -> list[Difference]:
    """Every value of ``axis`` against ``baseline``, paired by seed, within each combination of the columns ``groups``.

    d_i = arm_i - baseline_i;  mean, 95 % bootstrap interval over seeds, sign-flip p, Holm's p over all comparisons

    Raises:
        InvalidArgument: an unknown metric or axis, a baseline that no group has, a run that is there twice with other
            values.

    Source: Holm (1979), Scand. J. Statist. 6:65; Good (2005), Permutation, Parametric and Bootstrap Tests.

    >>> rows = [{"seed": s, "arm": a, "metric": "m", "value": s + (a == "b")} for s in range(8) for a in "ab"]
    >>> (found,) = compare(rows, "m", axis="arm", baseline="a")
    >>> found.arm, found.n, found.difference.estimate, found.p
    ('b', 8, 1.0, 0.0078125)
    """
    table: dict[tuple[str, ...], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    chosen = [row for row in rows if row["metric"] == metric]
    if not chosen:
        raise InvalidArgument("metric", metric, ", ".join(sorted({row["metric"] for row in rows})))
    for name in (axis, *groups):
        if name not in chosen[0]:
            raise InvalidArgument("axis", name, ", ".join(key for key in chosen[0] if key not in ("metric", "value")))
    for row in chosen:
        arm = table[tuple(str(row[name]) for name in groups)][str(row[axis])]
        value = np.nan if row["value"] is None else float(row["value"])
        if arm.setdefault(row["seed"], value) != value and not np.isnan(value):
            raise InvalidArgument("run", row.get("run"), f"one value of {metric} a seed; two runs differ")
    if not any(baseline in arms for arms in table.values()):
        raise InvalidArgument("baseline", baseline, ", ".join(sorted({arm for arms in table.values() for arm in arms})))
    found = [
        _difference(metric, dict(zip(groups, key, strict=True)), arm, arms[arm], arms[baseline])
        for key, arms in table.items()
        if baseline in arms
        for arm in arms
        if arm != baseline
    ]
    return corrected(found)


def _difference(
    metric: str, group: dict[str, str], arm: str, mine: Mapping[int, float], theirs: Mapping[int, float]
) -> Difference:
    both = sorted(mine.keys() & theirs.keys())
    x, y = (np.array([values[seed] for seed in both], float) for values in (mine, theirs))
    finite = np.isfinite(x - y)
    x, y = x[finite], y[finite]
    delta, p = x - y, 1.0
    if len(delta) > 1 and np.any(delta):
        test = permutation_test(
            (delta,), np.mean, permutation_type="samples", n_resamples=SIGNS, vectorized=True, rng=0
        )
        p = float(test.pvalue)
    unpaired = tuple(sorted(mine.keys() ^ theirs.keys()))
    return Difference(
        metric,
        group,
        arm,
        len(delta),
        unpaired,
        _interval(x),
        float(np.median(x)) if len(x) else np.nan,
        _interval(y),
        _interval(delta),
        p,
        p,
    )


def _interval(values: Array) -> Interval:
    """Mean with its interval; one value has no spread."""
    return mean_interval(values) if len(values) != 1 else Interval(float(values[0]), np.nan, np.nan)


def corrected(found: Sequence[Difference]) -> list[Difference]:
    """The same with Holm's p: the k-th smallest of m times (m - k + 1), and never below the one before."""
    order = sorted(range(len(found)), key=lambda i: found[i].p)
    largest, result = 0.0, list(found)
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, found[i].p * (len(found) - rank)))
        result[i] = Difference(**{**vars(found[i]), "p_holm": largest})
    return result
