"""What is hidden, filled in from what was seen: by interpolation, the law, the model, and model and law."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from physgen.experiments.assimilate.arms import BEST, BETWEEN, BOTH, LAW, MODEL
from physgen.experiments.paper.results.assimilation import FAMILIES, OBSERVATIONS, SOURCE, errors
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import BLACK, BLUE, GREY, ORANGE, VERMILION, legend, sized

#: colour, marker, whether it is filled, and name in print
LOOKS = {
    BETWEEN: (GREY, "x", True, "interpolation"),
    LAW: (ORANGE, "D", False, "law alone (4D-Var)"),
    BEST: (BLACK, "o", False, "best of 2, joined afterwards"),
    MODEL: (VERMILION, "^", True, "model, guided on the way"),
    BOTH: (BLUE, "s", True, "model and law"),
}

#: distance of two markers of a column; ratio of errors from which a panel has few ticks
SLOT, WIDE = 0.16, 20


def make(spec: FigureSpec, store: Store) -> Made:
    """A panel a family, a column an observation; a line from the least to the largest error over prompts."""
    records = store.documented("micro/assimilation")
    picture = sized(4.3)
    axes = picture.subplots(2, 2, sharex=True)
    for panel, family in zip(axes.flat, FAMILIES, strict=True):
        for shift, (arm, (colour, marker, filled, label)) in enumerate(LOOKS.items()):
            x = np.arange(len(OBSERVATIONS)) + SLOT * (shift - 2)
            found = [errors(records, family, observation, arm) for observation in OBSERVATIONS]
            if not len(found[0]):
                continue
            panel.vlines(x, [one.min() for one in found], [one.max() for one in found], color=colour, linewidth=0.9)
            face = colour if filled else "white"
            mean = [one.mean() for one in found]
            panel.plot(x, mean, marker, color=colour, markerfacecolor=face, markersize=5, label=label, zorder=3)
        panel.set(title=family, yscale="log", xlim=(-0.5, len(OBSERVATIONS) - 0.5))
        low, high = panel.dataLim.intervaly
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 3) if high / low > WIDE else (1, 1.5, 2, 3, 5, 7)))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter("{x:g}")
        panel.grid(axis="y", color="#e6e6e6", linewidth=0.5)
        for edge in range(1, len(OBSERVATIONS)):
            panel.axvline(edge - 0.5, color="#cccccc", linewidth=0.5)
    for panel in axes[1]:
        panel.set_xticks(range(len(OBSERVATIONS)), OBSERVATIONS)
        panel.tick_params(axis="x", length=0)
    for panel in axes[:, 0]:
        panel.set_ylabel("RMSE on what is hidden")
    legend(picture, axes[0, 0], 3)
    prompts = len(errors(records, FAMILIES[0], OBSERVATIONS[0], MODEL))
    return Made(numbers={"n": Number(prompts, (SOURCE,), prompts)}, picture=picture)
