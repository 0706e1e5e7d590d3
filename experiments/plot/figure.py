"""A figure of points with their intervals: a panel a facet; a colour, a marker and a dash for each value of one key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from physgen.experiments.measure.intervals import Interval
from physgen.experiments.plot.axis import Axis, scale
from physgen.experiments.plot.columns import label
from physgen.experiments.plot.points import Point
from physgen.experiments.plot.style import Look, looks, sized, value_name

#: panels in a row; inches of a row, and of what is above and below all rows
ACROSS, ROW, AROUND = 3, 2.2, 1.2


def draw(points: Sequence[Point], *, sweep: str, x: str, y: str, colour: str | None, facets: Sequence[str]) -> Figure:
    """Draw every point with its interval, and the runs behind it as small dots.

    Raises: InvalidArgument for more colours than can be told apart.
    """
    panels = list(dict.fromkeys(one.facet for one in points))
    shades = looks(list(dict.fromkeys(one.colour for one in points)))
    columns = 2 if len(panels) == 4 else min(ACROSS, len(panels))
    rows = math.ceil(len(panels) / columns)
    picture = sized(ROW * rows + AROUND)
    grid = picture.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    axis = Axis.of(points)
    for number, axes in enumerate(grid):
        axes.set_visible(number < len(panels))
        if number + columns >= len(panels):
            axes.set_xlabel(label(x))
            axes.tick_params(labelbottom=True)
        if number % columns == 0:
            axes.set_ylabel(label(y))
    for axes, facet in zip(grid, panels, strict=False):
        for rank, (value, look) in enumerate(shades.items()):
            mine = [one for one in points if (one.facet, one.colour) == (facet, value)]
            if mine:
                series(axes, mine, look, axis, ((rank + 0.5) / len(shades) - 0.5, 0.25 / len(shades)))
        axes.set_title(", ".join(f"{key} = {value_name(name)}" for key, name in zip(facets, facet, strict=True)))
        axis.mark(axes, columns)
    scale(grid[0], np.concatenate([one.y for one in points]))
    picture.suptitle(f"{sweep}: {about(points)}", fontsize=8)
    if colour:
        explain(picture, list(grid[: len(panels)]), label(colour))
    return picture


def series(axes: Any, points: Sequence[Point], look: Look, axis: Axis, shifts: tuple[float, float]) -> None:
    """Points of one colour: means with intervals, single runs to their left, a line where ``x`` is a set number."""
    middle, aside = shifts
    for one in points:
        place = np.broadcast_to(axis.place(one.x, middle - aside), one.y.shape)
        axes.plot(place, one.y, ".", color=look.colour, alpha=0.4, markersize=4, markeredgewidth=0, zorder=1)
    means = sorted(((axis.span(one, middle + aside), one.up) for one in points), key=lambda mean: mean[0].estimate)
    axes.errorbar(
        [across.estimate for across, _ in means],
        [up.estimate for _, up in means],
        xerr=whiskers([across for across, _ in means]),
        yerr=whiskers([up for _, up in means]),
        linestyle=look.dash if axis.values else "none",
        label=look.name,
        color=look.colour,
        marker=look.marker,
        markerfacecolor="white",
        elinewidth=1.0,
        capsize=2.0,
    )


def whiskers(found: Sequence[Interval]) -> Any:
    """Lengths below and above, ``[2, n]``; nothing is drawn where they are NaN, all of them: ``None``."""
    lengths = np.array([[one.estimate - one.low, one.high - one.estimate] for one in found]).T
    return None if np.isnan(lengths).all() else np.abs(lengths)


def explain(picture: Figure, panels: Sequence[Any], title: str) -> None:
    """One legend below all panels, of what any of them shows."""
    shown = {name: line for axes in panels for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    options: dict[str, Any] = {"loc": "outside lower center", "ncols": 4, "handlelength": 2.6, "title": title}
    picture.legend(shown.values(), shown.keys(), **options)


def about(points: Sequence[Point]) -> str:
    """What points and bars are.

    >>> about([Point((), "", "a", np.zeros(3)), Point((), "", "b", np.zeros(5))])
    'mean of n = 3 to 5 runs, 95 % bootstrap interval; dots are single runs'
    """
    counts = sorted({len(one.y) for one in points})
    if counts == [1]:
        return "single runs (n = 1: no interval)"
    between = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    return f"mean of n = {between} runs, 95 % bootstrap interval; dots are single runs"
