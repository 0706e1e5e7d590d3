"""Constants that were imposed, measured back by estimators that no constraint uses."""

from __future__ import annotations

import numpy as np

from physgen.drawn import UNGUIDED
from physgen.experiments.micro.dial_table import SIMULATOR, lines, truths
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import BLACK, BLUE, GREY, ORANGE, legend, sized

LOOKS = {
    UNGUIDED: (GREY, "x", "prompt alone"),
    "afterwards": (ORANGE, "s", "projected afterwards"),
    "projection": (BLUE, "o", "projection"),
    SIMULATOR: (BLACK, "+", "simulator"),
}
#: unit in print, and how many of it are one of the benchmark's
UNITS = {"D": ("µm²/s", 1.0), "front speed": ("nm/s", 1e3), "F": ("10⁻³/s", 1e3)}

#: axes beyond the settings, as a part of their range
ROOM = 0.25


def make(spec: FigureSpec, store: Store) -> Made:
    """A panel a constant, with the slope and R² of each sampler among the numbers."""
    records = store.records("dial")
    dials = list(dict.fromkeys(one["dial"] for one in records))
    picture = sized(2.6)
    axes = picture.subplots(1, len(dials), squeeze=False)[0]
    source = ("dial.json",)
    numbers = {"seeds": Number(len({one["seed"] for one in records}), source)}
    outside = 0
    for panel, dial in zip(axes, dials, strict=True):
        mine = [one for one in records if one["dial"] == dial]
        truth = truths(mine)
        numbers["settings"] = Number(len(truth), source)
        unit, scale = UNITS[dial]
        least, most = min(truth.values()), max(truth.values())
        room = ROOM * (most - least)
        low, high = scale * max(0.0, least - room), scale * (most + room)
        panel.plot([low, high], [low, high], color=BLACK, linewidth=0.7)
        for arm, line in lines(mine).items():
            colour, marker, label = LOOKS[arm]
            found = np.array([(truth[one["setting"]], one["reading"]) for one in mine if one["arm"] == arm], float)
            x, y = scale * found.T
            outside += int(((y > high) | (y < low)).sum()) if arm == UNGUIDED else 0
            panel.plot(x, y, marker, color=colour, markerfacecolor="none", label=label, linestyle="none")
            numbers[f"{dial}.{arm}.slope"] = Number.of(line.slope, source, line.count)
            numbers[f"{dial}.{arm}.r2"] = Number(line.r2, source, line.count)
            numbers[f"{dial}.{arm}.worst"] = Number(float(np.abs(y / x - 1).max()), source, len(x))
        panel.set(title=dial, xlabel=f"imposed ({unit})", ylabel=f"measured ({unit})")
        panel.set(xlim=(low, high), ylim=(low, high))
    numbers["outside"] = Number(outside, source)
    legend(picture, axes[0], 4)
    return Made(numbers=numbers, picture=picture)
