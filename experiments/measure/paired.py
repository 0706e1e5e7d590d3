"""Arms of an experiment against a baseline, seed by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import permutation_test

from physgen.errors import InvalidArgument
from physgen.experiments.measure.intervals import Interval, interval_of_runs

#: permutations of signs; up to 16 pairs all of them
SIGNS = 2**16
#: metrics that say whether a run's video is degenerate, the newer one first
DEGENERATE = ("degenerate/any", "quality/empty")


@dataclass(frozen=True)
class Difference:
    """One metric of one arm in one group, and what it differs from the baseline's by.

    ``n`` seeds with a finite value in both, ``unpaired`` all others, which are in no mean here; ``p`` from flipping the
    signs of the differences, ``p_holm`` corrected for all comparisons of the metric; ``degenerate`` the share of the
    arm's videos that show nothing or do not move, of the seeds that both have, finite or not (a video that shows
    nothing often has no value); NaN where that was not recorded.
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
    degenerate: float = np.nan
    baseline_degenerate: float = np.nan


def compare(
    rows: Sequence[Mapping[str, Any]], metric: str, *, axis: str, baseline: str, groups: Sequence[str] = ()
) -> list[Difference]:
    """Every value of ``axis`` against ``baseline``, paired by seed, within each combination of the columns ``groups``.

    d_i = arm_i - baseline_i;  mean, 95 % bootstrap interval over seeds, sign-flip p, Holm's p over all comparisons

    Raises:
        InvalidArgument: an unknown metric, axis or group, a baseline that no group has, two runs of an arm and a seed
            with other values.

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
    for option, name in [("axis", axis), *(("groups", group) for group in groups)]:
        if name not in chosen[0]:
            raise InvalidArgument(option, name, ", ".join(key for key in chosen[0] if key not in ("metric", "value")))
    first: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for row in chosen:
        arm = table[tuple(str(row[name]) for name in groups)][str(row[axis])]
        value = np.nan if row["value"] is None else float(row["value"])
        other = first.setdefault(tuple(str(row[name]) for name in (*groups, axis, "seed")), row)
        if arm.setdefault(row["seed"], value) != value and not np.isnan(value):
            raise _two_runs(other, row, metric, axis, groups)
    if not any(baseline in arms for arms in table.values()):
        raise InvalidArgument("baseline", baseline, ", ".join(sorted({arm for arms in table.values() for arm in arms})))
    shows = degenerate_runs(rows)
    empty: dict[tuple[str, ...], dict[int, bool]] = defaultdict(dict)
    for row in chosen:
        if row.get("run") in shows:
            empty[(*(str(row[name]) for name in groups), str(row[axis]))][row["seed"]] = shows[row["run"]]
    found = [
        _difference(
            metric,
            dict(zip(groups, key, strict=True)),
            arm,
            (arms[arm], empty[*key, arm]),
            (arms[baseline], empty[*key, baseline]),
        )
        for key, arms in table.items()
        if baseline in arms
        for arm in arms
        if arm != baseline
    ]
    return corrected(found)


def _two_runs(
    one: Mapping[str, Any], other: Mapping[str, Any], metric: str, axis: str, groups: Sequence[str]
) -> InvalidArgument:
    """Which option tells two runs of an arm and a seed apart."""
    apart = [key for key in other if key not in ("run", "value") and one.get(key) != other[key]]
    runs = (
        f"runs {one.get('run')} and {other.get('run')}, both of {axis}={other[axis]} and seed={other['seed']}, differ"
    )
    said = " and ".join(f"{key} ({one.get(key)} and {other[key]})" for key in apart)
    allowed = f"[{','.join([*groups, *apart])}]: {runs} in {said}" if apart else f"one {metric} a seed: {runs}"
    return InvalidArgument("groups", list(groups), allowed)


def degenerate_runs(rows: Sequence[Mapping[str, Any]]) -> dict[Any, bool]:
    """Whether the video of each run is degenerate, of the runs that say so.

    >>> rows = [{"run": run, "metric": "degenerate/any", "value": run == "a"} for run in "ab"]
    >>> degenerate_runs(rows)
    {'a': True, 'b': False}
    """
    said = {name: {row["run"]: bool(row["value"]) for row in rows if row["metric"] == name} for name in DEGENERATE}
    return said[DEGENERATE[1]] | said[DEGENERATE[0]]


def without_degenerate(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of the runs whose video is not degenerate.

    >>> rows = [{"run": run, "metric": "degenerate/any", "value": run == "a"} for run in "ab"]
    >>> [row["run"] for row in without_degenerate(rows)]
    ['b']
    """
    left_out = {run for run, is_one in degenerate_runs(rows).items() if is_one}
    return [row for row in rows if row.get("run") not in left_out]


#: by seed: the values of an arm, and whether its video is degenerate
Samples = tuple[Mapping[int, float], Mapping[int, bool]]


def _difference(metric: str, group: dict[str, str], arm: str, mine: Samples, theirs: Samples) -> Difference:
    both = np.array(sorted(mine[0].keys() & theirs[0].keys()))
    x, y = (np.array([values[seed] for seed in both], float) for values, _ in (mine, theirs))
    finite = np.isfinite(x - y)
    x, y = x[finite], y[finite]
    delta, p = x - y, 1.0
    if len(delta) > 1 and np.any(delta):
        test = permutation_test(
            (delta,), np.mean, permutation_type="samples", n_resamples=SIGNS, vectorized=True, rng=0
        )
        p = float(test.pvalue)
    unpaired = tuple(sorted({*(mine[0].keys() ^ theirs[0].keys()), *both[~finite].tolist()}))
    return Difference(
        metric,
        group,
        arm,
        len(delta),
        unpaired,
        interval_of_runs(x),
        float(np.median(x)) if len(x) else np.nan,
        interval_of_runs(y),
        interval_of_runs(delta),
        p,
        p,
        _share(both, mine[1]),
        _share(both, theirs[1]),
    )


def _share(seeds: npt.NDArray[Any], degenerate: Mapping[int, bool]) -> float:
    return float(np.mean([degenerate.get(seed, np.nan) for seed in seeds])) if len(seeds) else np.nan


def corrected(found: Sequence[Difference]) -> list[Difference]:
    """The same with Holm's p: the k-th smallest of m times (m - k + 1), and never below the one before."""
    order = sorted(range(len(found)), key=lambda i: found[i].p)
    largest, result = 0.0, list(found)
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, found[i].p * (len(found) - rank)))
        result[i] = Difference(**{**vars(found[i]), "p_holm": largest})
    return result
