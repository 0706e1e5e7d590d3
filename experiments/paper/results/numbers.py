"""Numbers of the paper, each with what it was computed from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physgen.experiments.measure.intervals import Interval, mean_interval

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Number:
    """A value or an interval around it; ``n`` samples, from ``source``: ids of runs, or a file of results."""

    value: float | int
    source: tuple[str, ...]
    n: int | None = None
    low: float | int | None = None
    high: float | int | None = None

    @classmethod
    def of(cls, interval: Interval, source: Iterable[str], n: int) -> Number:
        """A mean, or a difference, with its interval."""
        return cls(interval.estimate, tuple(source), n, interval.low, interval.high)

    @classmethod
    def range(cls, values: np.ndarray, source: Iterable[str]) -> Number:
        """A mean with the least and the largest of few values.

        >>> Number.range(np.array([1.0, 2.0, 6.0]), ["real.json"]).text
        '3 [1, 6]'
        """
        return cls(float(values.mean()), tuple(source), len(values), float(values.min()), float(values.max()))

    @classmethod
    def read(cls, entry: Mapping[str, float], source: str, n: int | None = None, scale: float = 1.0) -> Number:
        """An interval as results write it, ``{"estimate": ..., "low": ..., "high": ...}``.

        >>> Number.read({"estimate": 0.5, "low": 0.25, "high": 1.0}, "docs/mass.json", scale=100.0).text
        '50 [25, 100]'
        """
        value, low, high = (scale * entry[key] for key in ("estimate", "low", "high"))
        return cls(value, (source,), n, low, high)

    @property
    def text(self) -> str:
        """As it is printed."""
        if self.low is None or self.high is None or not math.isfinite(self.low):
            return written(self.value)
        return f"{written(self.value)} [{written(self.low)}, {written(self.high)}]"

    def record(self) -> dict[str, Any]:
        """For ``results.json``."""
        bounds = {} if self.low is None else {"low": self.low, "high": self.high}
        return {"text": self.text, "value": self.value, **bounds, "n": self.n, "source": list(self.source)}


@dataclass(frozen=True)
class Made:
    """What a figure's module makes: a matplotlib figure or a table, the numbers in it, and words for its caption."""

    numbers: Mapping[str, Number] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    picture: Any = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def written(value: float | int) -> str:
    """Three significant digits, two below 0.01, powers of ten far from 1, a true minus sign.

    >>> written(0.0012), written(-4.2e-8), written(447.0), written(0.9991), written(float("nan"))
    ('0.0012', '−4.2·10⁻⁸', '447', '0.999', '–')
    """
    if not math.isfinite(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e4:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPT)}".replace("-", "−")
    digits = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.2g}"
    return digits.replace("-", "−")


def median_interval(values: np.ndarray) -> Interval:
    """Median with its bootstrap interval of 95 %, of the values that are finite.

    >>> median_interval(np.array([1.0, 1.0, np.nan])).high
    1.0
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return mean_interval(values)
    draws = finite[np.random.default_rng(0).integers(len(finite), size=(1000, len(finite)))]
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return Interval(float(np.median(finite)), float(low), float(high))
