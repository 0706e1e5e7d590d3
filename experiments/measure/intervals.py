"""Estimates with their intervals: of means, of shares, and of any statistic by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, t

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval."""

    estimate: float
    low: float
    high: float


def plain(found: Any) -> Any:
    """The same with its intervals as dictionaries, at any depth, as JSON has them.

    >>> plain({"mass": {"mean": Interval(0.5, 0.25, 1.0)}, "n": 8})
    {'mass': {'mean': {'estimate': 0.5, 'low': 0.25, 'high': 1.0}}, 'n': 8}
    """
    if isinstance(found, Interval):
        return asdict(found)
    return {key: plain(value) for key, value in found.items()} if isinstance(found, Mapping) else found


def bootstrap(
    statistic: Callable[[Indices], float], count: int, *, seed: int = 0, draws: int = 1000, level: float = 0.95
) -> Interval:
    """Percentile interval of ``statistic(rows)`` over resampled rows, centred on the estimate.

    The percentiles are those of the resampled statistic minus its mean, added to the estimate from all rows: a
    covariance of resampled vectors is too small, which would otherwise push a Frechet distance out of its own interval.
    A paired comparison of two arms is a statistic that looks up both in the same rows.

    Where nothing differs, `Discrepancy` is a degenerate U-statistic, whose variance resampling makes too large: its
    intervals are about 1.5 times too wide there (1.5 for 64 prompts and 1.6 for 32, normal features in 8 dimensions)
    and hold 0 too often. They are 1.2 times too wide where one feature is shifted by half a standard deviation.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap.

    >>> x = np.arange(100.0)
    >>> interval = bootstrap(lambda rows: float(x[rows].mean()), 100)
    >>> interval.low < 49.5 == interval.estimate < interval.high
    True
    """
    rng = np.random.default_rng(seed)
    estimate = statistic(np.arange(count))
    resampled = np.array([statistic(rng.integers(count, size=count)) for _ in range(draws)])
    spread = np.nanquantile(resampled - np.nanmean(resampled), [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(estimate + spread[0]), float(estimate + spread[1]))


def mean_interval(values: Array, *, seed: int = 0, draws: int = 1000, level: float = 0.95) -> Interval:
    """Mean with its bootstrap percentile interval, of the values that are finite; NaN when none is.

    Of few values the interval is too narrow: one of 95 % held the mean of normal values in 0.885 of cases for n = 8,
    0.926 for 16 and 0.945 for 64 (2,000 cases each). Where all values are equal it has no width, and excludes no other
    mean: where 64 of 64 are right, Wilson's interval is [0.94, 1].

    >>> mean_interval(np.array([1.0, 1.0, np.nan])).high
    1.0
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Interval(np.nan, np.nan, np.nan)
    means = finite[np.random.default_rng(seed).integers(len(finite), size=(draws, len(finite)))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(finite.mean()), float(low), float(high))


def interval_of_runs(values: Array) -> Interval:
    """Mean of runs with its 95 % bootstrap interval; one run has no spread.

    >>> interval_of_runs(np.array([2.0]))
    Interval(estimate=2.0, low=nan, high=nan)
    """
    return mean_interval(values) if len(values) != 1 else Interval(float(values[0]), np.nan, np.nan)


def share(hits: int, of: int) -> Interval:
    """Share of hits with its 95 % interval; NaN of none.

    Source: Wilson (1927), J. Am. Stat. Assoc. 22:209.

    >>> found = share(9, 10)
    >>> round(found.estimate, 2), round(found.low, 2), round(found.high, 2)
    (0.9, 0.6, 0.98)
    """
    if of == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    wilson = binomtest(hits, of).proportion_ci(0.95, "wilson")
    return Interval(hits / of, float(wilson.low), float(wilson.high))


def student_interval(values: Array, level: float = 0.95) -> Interval:
    """Mean with Student's interval, mean +- t_(n-1) s / sqrt(n); without bounds where there is one value alone.

    Of normal values it holds the mean as often as it says at every n, where the percentile bootstrap of four holds it
    in 0.79.

    Source: Student (1908), Biometrika 6:1.

    >>> found = student_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(found.low, 3), found.estimate, round(found.high, 3)
    (-0.484, 2.0, 4.484)
    """
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Interval(mean, float("nan"), float("nan"))
    reach = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - reach, mean + reach)
