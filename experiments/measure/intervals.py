"""Intervals of shares."""

from __future__ import annotations

from scipy.stats import binomtest

from physgen.experiments.measure.distances import Interval


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
