"""What residuals are normal: quantiles by constraint and level, with intervals that assume no distribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import quantile_test

from physgen.experiments.measure.intervals import mean_interval

QUANTILES = (0.5, 0.9, 0.95, 0.99)
CONFIDENCE = 0.95
#: the level of all clips together
ALL = "all"


def summarise(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Mean and quantiles of clips' residuals, each with its 95 % interval.

    The q-quantile lies between the order statistics ``x_(l)`` and ``x_(u)`` whose ranks a binomial (n, q) gives; a side
    that n is too small to bound is NaN. Clips are taken as independent.

    Source: Conover (1999), Practical Nonparametric Statistics, section 3.2.

    >>> found = summarise(np.arange(1.0, 101.0))["quantiles"]
    >>> found["0.5"], found["0.99"]["high"]
    ({'estimate': 50.0, 'low': 40.0, 'high': 61.0}, nan)
    """
    quantiles = {}
    for q in QUANTILES:
        bounds = quantile_test(values, p=q).confidence_interval(CONFIDENCE)
        estimate = float(np.quantile(values, q, method="inverted_cdf"))
        quantiles[str(q)] = {"estimate": estimate, "low": float(bounds.low), "high": float(bounds.high)}
    return {"mean": asdict(mean_interval(values)), "quantiles": quantiles}


def by_level(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """For every constraint and level, and for all levels together: clips, share satisfied, residuals.

    A residual that is not finite is not counted.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    names = dict.fromkeys(name for record in records for name in record["constraints"])
    for name in names:
        measured = [
            (record["level"], record["constraints"][name]) for record in records if name in record["constraints"]
        ]
        levels = [ALL, *sorted({level for level, _ in measured if level is not None})]
        result[name] = {}
        for level in levels:
            chosen = [found for of, found in measured if level in (ALL, of)]
            rms, largest = _finite(f["residual_rms"] for f in chosen), _finite(f["residual_max"] for f in chosen)
            if len(rms):
                result[name][level] = {
                    "clips": len(rms),
                    "satisfied": sum(found["satisfied"] for found in chosen) / len(chosen),
                    "residual_rms": summarise(rms),
                    "residual_max": summarise(largest),
                }
    return result


def _finite(values: Iterable[float | None]) -> npt.NDArray[np.float64]:
    array = np.array(list(values), dtype=np.float64)  # None, which JSON has for NaN, becomes NaN
    return array[np.isfinite(array)]
