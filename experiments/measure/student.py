"""Student's interval, for the few values for which a bootstrap interval is too narrow."""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from physgen.experiments.measure.distances import Array, Interval


def student_interval(values: Array, level: float = 0.95) -> Interval:
    """Mean with Student's interval, mean +- t_(n-1) s / sqrt(n); without bounds where there is one value alone.

    Of normal values it holds the mean as often as it says at every n, where the percentile bootstrap of four holds it
    in 0.79.

    Source: Student (1908), Biometrika 6:1.

    >>> student_interval(np.array([1.0, 2.0, 3.0]))
    Interval(estimate=2.0, low=-0.4841377117895, high=4.4841377117895)
    """
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Interval(mean, float("nan"), float("nan"))
    reach = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - reach, mean + reach)
