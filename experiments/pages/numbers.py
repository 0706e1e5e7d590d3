"""Numbers as a page and a terminal show them."""

from __future__ import annotations

import math

from physgen.experiments.pages.axes import label


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits and a unit, or a dash for what is not known.

    >>> number(0.20612, "%"), number(1234.0, "s"), number(3e-8), number(None), number(float("nan"))
    ('0.206 %', '1230 s', '3.0e-08', '–', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    text = f"{float(f'{value:.3g}'):g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"
    return f"{text} {unit}" if unit else text


def percent(ratio: float | None) -> str:
    """A ratio in percent, or as it is when that is far below one percent.

    >>> percent(0.0164), percent(3e-8)
    ('1.64 %', '3.0e-08')
    """
    return number(100 * ratio, "%") if ratio is not None and abs(ratio) >= 1e-5 else number(ratio)


def seconds(time: float) -> str:
    """A time in s with three significant digits.

    >>> seconds(14400.0), seconds(1 / 3), seconds(345600.0)
    ('14400 s', '0.333 s', '3.46·10⁵ s')
    """
    return f"{label(float(f'{time:.3g}'))} s"
