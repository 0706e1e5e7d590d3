"""A frame with ticks and labels, as inline SVG in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT, RIGHT, TOP, BOTTOM = 480, 240, 10, 12, 46


@dataclass(frozen=True)
class Axes:
    """Ranges of x and y, labels that carry the units, and where ticks are.

    Attributes:
        y_ticks: positions and what is written there.
        left: width of what is written there, px.
    """

    title: str
    x: tuple[float | int, float | int]
    y: tuple[float | int, float | int]
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float | int, str]]
    y_ticks: Sequence[tuple[float | int, str]]
    log: bool = False
    left: int = 84

    def across(self, value: float | int) -> float:
        """Pixels from the left."""
        first, last = self.x
        return self.left + (value - first) / (last - first) * (WIDTH - self.left - RIGHT)

    def down(self, value: float | int) -> float:
        """Pixels from the top."""
        low, high = self.y
        part = np.log(value / low) / np.log(high / low) if self.log else (value - low) / (high - low)
        return float(TOP + (1 - part) * (HEIGHT - TOP - BOTTOM))

    def svg(self, body: Sequence[str]) -> Markup:
        """The frame around what is drawn in it (CSS classes ``grid``, ``axis``, ``tick``, ``label``)."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">']
        for position, words in self.y_ticks:
            parts.append(f'<path class="grid" d="M{self.left} {self.down(position):.1f}H{right}"/>')
            parts.append(_text("tick", self.left - 8, self.down(position) + 4, "end", words))
        parts += [_text("tick", self.across(at), bottom + 18, "middle", words) for at, words in self.x_ticks]
        parts.append(f'<path class="axis" d="M{self.left} {bottom}H{right}"/>')
        parts.append(_text("label", (self.left + right) / 2, HEIGHT - 6, "middle", self.x_label))
        parts.append(_text("label", 14, (TOP + bottom) / 2, "middle", self.y_label, " rotate(-90)"))
        return Markup("".join([*parts, *body]) + "</svg>")


def ticks(low: float | int, high: float | int, *, log: bool = False, whole: bool = False) -> list[tuple[float, str]]:
    """At most seven round positions in a range, and what is written there.

    >>> ticks(0.0, 1.0)[:2], ticks(1e-3, 1.0, log=True)[-1]
    ([(0.0, '0'), (0.2, '0.2')], (1.0, '1'))
    """
    from matplotlib.ticker import MaxNLocator

    if log:
        low, high = np.log10(low), np.log10(high)
    locator = MaxNLocator(6, integer=log or whole, steps=[1, 2, 2.5, 5, 10])
    found = [t for t in locator.tick_values(low, high) if low - 1e-9 * (high - low) <= t <= high + 1e-9 * (high - low)]
    return [(value, label(value)) for value in (float(10**t if log else t) for t in found)]


def label(value: float | int) -> str:
    """Short number, powers of ten where it is far from 1.

    >>> label(0.25), label(1e-8), label(-12000.0)
    ('0.25', '10⁻⁸', '−12000')
    """
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.2e}".split("e")
        power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        digits = mantissa.rstrip("0").rstrip(".")
        return (power if digits == "1" else f"{digits}·{power}").replace("-", "−")
    return f"{0.0 if abs(value) < 1e-12 else value:.6g}".replace("-", "−")


def _text(kind: str, x: float | int, y: float | int, anchor: str, content: str, turn: str = "") -> str:
    place = f'transform="translate({x:.1f} {y:.1f}){turn}"'
    return f'<text class="{kind}" {place} text-anchor="{anchor}">{escape(content)}</text>'
