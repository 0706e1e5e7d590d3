"""Line charts: one description, drawn as inline SVG for pages and with matplotlib for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from physgen.experiments.pages.axes import Axes, ticks

#: Okabe and Ito's colours, told apart with every kind of colour vision, and a dash pattern for print
PALETTE = (
    ("#0072b2", ""),
    ("#d55e00", "7 4"),
    ("#009e73", "2 3"),
    ("#cc79a7", "9 3 2 3"),
    ("#e69f00", "12 4"),
    ("#56b4e9", "4 2"),
)


@dataclass(frozen=True)
class Series:
    """A line with a name, or, what was measured beside what a law says, ``dots``."""

    label: str
    x: Sequence[float | int]
    y: Sequence[float | int]
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over common axes, whose labels carry the units; the axis of amounts begins ``from_zero``."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log: bool = False
    from_zero: bool = False

    def limits(self) -> tuple[float, float]:
        """Range of y: decades, or at least 10 % of the largest value so that rounding does not look like a trend."""
        y = np.array([value for line in self.series for value in line.y if self.shows(value)], float)
        if not y.size:
            return (0.1, 1.0) if self.log else (0.0, 1.0)
        low, high = float(y.min()), float(y.max())
        if self.log:
            return 10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high) + 1e-9)
        if self.from_zero:
            low, high = min(low, 0.0), max(high, 0.0)
            pad = 0.05 * (high - low) or 0.5
            return low - pad * (low < 0), high + pad
        pad = max(0.08 * (high - low), (0.1 * max(abs(low), abs(high)) - (high - low)) / 2) or 0.5
        return low - pad, high + pad

    def shows(self, value: float | int) -> bool:
        """Whether a value has a place on the axis of y."""
        return bool(np.isfinite(value)) and (value > 0 or not self.log)

    def draw(self, axes: Any) -> None:
        """Draw on matplotlib axes."""
        for index, line in enumerate(self.series):
            colour, dash = PALETTE[index % len(PALETTE)][0], dash_of(index)
            dots = line.dots or sum(map(self.shows, line.y)) == 1
            style: dict[str, Any] = (
                {"marker": "o", "markersize": 3, "linestyle": ""} if dots else {"linestyle": _mpl_dash(dash)}
            )
            shown = [value if self.shows(value) else np.nan for value in line.y]
            axes.plot(line.x, shown, color=colour, linewidth=2, label=line.label, **style)
        axes.set(xlabel=self.x_label, ylabel=self.y_label, ylim=self.limits(), yscale="log" if self.log else "linear")
        axes.spines[["top", "right"]].set_visible(False)
        if self.series:
            axes.legend(frameon=False)

    @property
    def key(self) -> list[tuple[Markup, str]]:
        """What each line looks like, 26 x 8 pixels, and its name."""
        x = {True: (4.0, 13.0, 22.0), False: (0.0, 26.0)}
        return [
            (Markup(_line(line, index, [(at, 4.0) for at in x[line.dots]])), line.label)
            for index, line in enumerate(self.series)
        ]

    def svg(self) -> Markup:
        """Inline SVG in the page's own colours (CSS classes ``s0`` …); a line is broken where it has no value."""
        low, high = self.limits()
        x = np.array([value for line in self.series for value in line.x] or [0.0, 1.0], float)
        whole = bool(np.all(x == np.round(x)))
        first, last = float(x.min()), float(x.max()) if np.ptp(x) else float(x.min()) + 1
        axes = Axes(
            title=self.title,
            x=(first, last),
            y=(low, high),
            x_label=self.x_label,
            y_label=self.y_label,
            x_ticks=ticks(first, last, whole=whole),
            y_ticks=ticks(low, high, log=self.log),
            log=self.log,
        )
        body = []
        for index, line in enumerate(self.series):
            for shown, part in groupby(zip(line.x, line.y, strict=True), key=lambda point: self.shows(point[1])):
                if shown:
                    body.append(_line(line, index, [(axes.across(a), axes.down(b)) for a, b in part]))
        return axes.svg(body)


def _line(line: Series, index: int, points: Sequence[tuple[float, float]]) -> str:
    """Points in pixels, joined or each for itself; a single one cannot be joined."""
    colour = index % len(PALETTE)
    if line.dots or len(points) == 1:
        return "".join(f'<circle class="s{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in points)
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="s{colour}" stroke-dasharray="{dash_of(index)}" points="{places}"/>'


def dash_of(index: int) -> str:
    """Dash pattern of a line: where colours come again, each has the pattern of the next one.

    >>> dash_of(1) == PALETTE[1][1], dash_of(len(PALETTE)) == PALETTE[1][1]
    (True, True)
    """
    again, colour = divmod(index, len(PALETTE))
    return PALETTE[(colour + again) % len(PALETTE)][1]


def _mpl_dash(dash: str) -> Any:
    return (0, tuple(float(part) / 2 for part in dash.split())) if dash else "solid"
