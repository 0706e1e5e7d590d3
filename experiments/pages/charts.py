"""Line charts: one description, drawn as inline SVG for pages and with matplotlib for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape

#: Okabe and Ito's colours, told apart with every kind of colour vision, and a dash pattern for print
PALETTE = (
    ("#0072b2", ""),
    ("#d55e00", "7 4"),
    ("#009e73", "2 3"),
    ("#cc79a7", "9 3 2 3"),
    ("#e69f00", "12 4"),
    ("#56b4e9", "4 2"),
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 240, 84, 10, 12, 46


@dataclass(frozen=True)
class Series:
    """A line with a name."""

    label: str
    x: Sequence[float | int]
    y: Sequence[float | int]


@dataclass(frozen=True)
class Chart:
    """Lines over common axes, whose labels carry the units."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log: bool = False

    def limits(self) -> tuple[float, float]:
        """Range of y: decades, or at least 10 % of the largest value so that rounding does not look like a trend."""
        y = np.concatenate([np.asarray(line.y, float) for line in self.series])
        y = y[np.isfinite(y) & ((y > 0) | (not self.log))]
        if not y.size:
            return (0.1, 1.0) if self.log else (0.0, 1.0)
        low, high = float(y.min()), float(y.max())
        if self.log:
            return 10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high) + 1e-9)
        pad = max(0.08 * (high - low), (0.1 * max(abs(low), abs(high)) - (high - low)) / 2) or 0.5
        return low - pad, high + pad

    def draw(self, axes: Any) -> None:
        """Draw on matplotlib axes."""
        for index, line in enumerate(self.series):
            colour, dash = PALETTE[index % len(PALETTE)]
            axes.plot(line.x, line.y, color=colour, linestyle=_mpl_dash(dash), linewidth=2, label=line.label)
        axes.set(xlabel=self.x_label, ylabel=self.y_label, ylim=self.limits(), yscale="log" if self.log else "linear")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)

    def svg(self) -> Markup:
        """Inline SVG in the page's own colours (CSS classes ``grid``, ``axis``, ``s0`` …)."""
        low, high = self.limits()
        x = np.concatenate([np.asarray(line.x, float) for line in self.series])
        whole = bool(np.all(x == np.round(x)))
        first, last = float(x.min()), float(x.max()) if np.ptp(x) else float(x.min()) + 1

        def across(value: float | int) -> float:
            return LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT)

        def down(value: float | int) -> float:
            part = np.log(value / low) / np.log(high / low) if self.log else (value - low) / (high - low)
            return float(TOP + (1 - part) * (HEIGHT - TOP - BOTTOM))

        def text(kind: str, x: float | int, y: float | int, anchor: str, content: str, turn: str = "") -> str:
            place = f'transform="translate({x:.1f} {y:.1f}){turn}"'
            return f'<text class="{kind}" {place} text-anchor="{anchor}">{escape(content)}</text>'

        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">']
        for tick in _ticks(low, high, log=self.log):
            parts.append(f'<path class="grid" d="M{LEFT} {down(tick):.1f}H{right}"/>')
            parts.append(text("tick", LEFT - 8, down(tick) + 4, "end", _label(tick)))
        parts += [
            text("tick", across(tick), bottom + 18, "middle", _label(tick)) for tick in _ticks(first, last, whole=whole)
        ]
        parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
        parts.append(text("label", (LEFT + right) / 2, HEIGHT - 6, "middle", self.x_label))
        parts.append(text("label", 14, (TOP + bottom) / 2, "middle", self.y_label, " rotate(-90)"))
        for index, line in enumerate(self.series):
            points = " ".join(
                f"{across(a):.1f},{down(b):.1f}"
                for a, b in zip(line.x, line.y, strict=True)
                if np.isfinite(b) and (b > 0 or not self.log)
            )
            dash = PALETTE[index % len(PALETTE)][1]
            parts.append(f'<polyline class="s{index % len(PALETTE)}" stroke-dasharray="{dash}" points="{points}"/>')
        return Markup("".join(parts) + "</svg>")


def _ticks(low: float, high: float, *, log: bool = False, whole: bool = False) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    if log:
        low, high = np.log10(low), np.log10(high)
    locator = MaxNLocator(6, integer=log or whole, steps=[1, 2, 2.5, 5, 10])
    ticks = [t for t in locator.tick_values(low, high) if low - 1e-9 <= t <= high + 1e-9]
    return [float(10**t if log else t) for t in ticks]


def _label(value: float) -> str:
    """Short number, powers of ten where it is far from 1.

    >>> _label(0.25), _label(1e-8), _label(-12000.0)
    ('0.25', '10⁻⁸', '−12000')
    """
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.2e}".split("e")
        power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        digits = mantissa.rstrip("0").rstrip(".")
        return (power if digits == "1" else f"{digits}·{power}").replace("-", "−")
    return f"{0.0 if abs(value) < 1e-12 else value:.6g}".replace("-", "−")


def _mpl_dash(dash: str) -> Any:
    return (0, tuple(float(part) / 2 for part in dash.split())) if dash else "solid"
