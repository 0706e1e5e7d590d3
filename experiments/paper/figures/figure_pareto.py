"""Violation, and distance to truth, against cost: every guidance beside the free baselines."""

from __future__ import annotations

import numpy as np

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.summary import summaries
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, LAWS, legend, log_where_wide, sized


def make(spec: FigureSpec, store: Store) -> Made:
    """A column of panels a law: violation above, excess distance below, time along."""
    found = summaries(spec, store)
    laws = list(dict.fromkeys(one.law for one in found))
    picture = sized(4.1)
    axes = picture.subplots(2, len(laws), sharex=True, squeeze=False)
    for column, law in enumerate(laws):
        above, below = axes[:, column]
        above.set(title=LAWS[law], xscale="log")
        below.axhline(0, color="#bbbbbb", linewidth=0.8)
        below.set_xlabel("time (unguided = 1)")
        for one in (each for each in found if each.law == law):
            look = ARMS[one.guidance]
            style = {"color": look.colour, "marker": look.marker, "markerfacecolor": "none", "elinewidth": 0.8}
            for panel, number in ((above, one.violation), (below, one.excess)):
                panel.errorbar(
                    one.time.value,
                    number.value,
                    xerr=whiskers(one.time),
                    yerr=whiskers(number),
                    linestyle="none",
                    label=look.name,
                    **style,
                )
        log_where_wide(above)
    for panel in axes[1]:
        panel.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        panel.minorticks_off()
    axes[0, 0].set_ylabel("violation (dimensionless)")
    axes[1, 0].set_ylabel("MMD² to simulator,\nless projected afterwards")
    legend(picture, axes[0, 0], 4)
    return Made(numbers={"n": Number(spec.seeds, (spec.sweep,), spec.seeds)}, picture=picture)


def whiskers(number: Number) -> np.ndarray:
    """Lengths below and above a point, ``[2, 1]``."""
    if number.low is None or number.high is None:
        return np.zeros((2, 1))
    return np.abs(np.array([[number.value - number.low], [number.high - number.value]]))
