"""Where values lie along a figure: names side by side, numbers on a line or on a logarithm."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from physgen.experiments.measure.intervals import Array, Interval
from physgen.experiments.plot.points import Point
from physgen.experiments.plot.style import value_name

#: numbers that differ by more than this factor get a logarithm
WIDE = 30.0
#: below this factor a logarithm is marked with plain numbers
PLAIN = 1000.0
#: share of the room between two neighbours that the colours of one take: a name is a place, a number is a value
BESIDE_NAMES, BESIDE_NUMBERS = 0.7, 0.2
#: names side by side that are written flat
FLAT = 7
#: values that are each written below the axis; letters of a name in a line
MARKED, LETTERS = 8, 12


@dataclass(frozen=True)
class Axis:
    """The horizontal axis: ``names`` in order, or ``values`` that were set; neither for a number that was measured."""

    names: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    log: bool = False

    @classmethod
    def of(cls, points: Sequence[Point]) -> Axis:
        """The axis on which all points lie."""
        if any(isinstance(one.x, str) for one in points):
            return cls(names=tuple(dict.fromkeys(str(one.x) for one in points)))
        numbers = np.concatenate([one.x for one in points if not isinstance(one.x, str)])
        was_set = all(np.ptp(one.x) == 0 for one in points if not isinstance(one.x, str))
        if not was_set:
            return cls(log=is_wide(numbers))
        values = np.unique(numbers)
        return cls(values=tuple(values), log=bool(values[0] > 0 and uneven(values) > 2 * uneven(np.log(values))))

    def place(self, x: Array | str, shift: float) -> Any:
        """Position of a name or of numbers, moved by a share of the room so that colours lie side by side.

        ``shift`` is from -0.5 to 0.5; there is no room where ``x`` was measured.

        >>> Axis(names=("a", "b")).place("b", 0.5), Axis(values=(5.0, 10.0, 20.0)).place(np.array([10.0]), 0.5)
        (1.35, array([10.5]))
        """
        if isinstance(x, str):
            return self.names.index(x) + shift * BESIDE_NAMES
        if len(self.values) < 2:
            return x
        room = shift * BESIDE_NUMBERS * np.diff(np.log(self.values) if self.log else self.values).min()
        return x * math.exp(room) if self.log else x + room

    def span(self, point: Point, shift: float) -> Interval:
        """Mean of a point along the axis, with its interval where there is one."""
        if isinstance(point.x, str):
            return Interval(self.place(point.x, shift), math.nan, math.nan)
        found = point.across
        return Interval(*map(float, self.place(np.array([found.estimate, found.low, found.high]), shift)))

    def mark(self, axes: Any, panels: int) -> None:
        """Write names, or the values that were set, below it; ``panels`` lie side by side."""
        if self.log:
            axes.set_xscale("log")
            decades(axes.xaxis)
        if self.names:
            names = [value_name(name) for name in self.names]
            if panels * len(names) > FLAT:
                axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
            else:
                axes.set_xticks(range(len(names)), [textwrap.fill(name, LETTERS) for name in names])
            axes.set_xlim(-0.6, len(names) - 0.4)
        elif 0 < len(self.values) <= MARKED:
            axes.set_xticks(self.values, [f"{value:g}" for value in self.values])
            axes.set_xticks([], minor=True)


def uneven(values: Array) -> float:
    """Largest gap between neighbours over the smallest; 1 for fewer than three.

    >>> uneven(np.array([1.0, 2.0, 4.0]))
    2.0
    """
    gaps = np.diff(values)
    return float(gaps.max() / gaps.min()) if len(gaps) > 1 else 1.0


def is_wide(values: Array) -> bool:
    """Whether numbers ask for a logarithm.

    >>> is_wide(np.array([1.0, 100.0])), is_wide(np.array([0.0, 100.0]))
    (True, False)
    """
    return bool(values.min() > 0 and values.max() > WIDE * values.min())


def scale(axes: Any, values: Array) -> None:
    """The vertical axis: a logarithm where values differ widely, else from 0 where none is below."""
    if is_wide(values):
        axes.set_yscale("log")
        decades(axes.yaxis)
    elif values.min() >= 0:
        axes.set_ylim(bottom=0)


def decades(axis: Any) -> None:
    """Few and plain numbers on a logarithm: 1, 2 and 5 of each power of ten where there are few powers."""
    low, high = axis.get_data_interval()
    if high / low < PLAIN:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
