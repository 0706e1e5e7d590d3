"""Points of blood videos: criteria that the law of transport imposes, and those that it does not."""

from __future__ import annotations

from physgen.drawn import GUIDED, UNGUIDED
from physgen.experiments.instruments.blood.arms import BEST, PROJECTED, THEN
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import BLACK, BLUE, VERMILION, legend, sized

ARMS = (UNGUIDED, BEST, PROJECTED, GUIDED, BEST + THEN, GUIDED + THEN)
LOOKS = {
    "all criteria": (BLACK, "o", True),
    "imposed": (BLUE, "v", True),
    "not imposed": (VERMILION, "s", False),
}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm, the three kinds of points with their intervals over tasks."""
    data = store.documented("micro-1/blood")
    picture = sized(2.5)
    axes = picture.subplots()
    for height, arm in enumerate(ARMS):
        for shift, (kind, (colour, marker, filled)) in enumerate(LOOKS.items()):
            one, y = data["arms"][arm][kind], height + 0.22 * (shift - 1)
            axes.plot([one["low"], one["high"]], [y, y], color=colour, linewidth=1.2)
            label = kind if height == 0 else None
            face = colour if filled else "white"
            axes.plot([one["estimate"]], [y], marker, color=colour, markerfacecolor=face, label=label, linestyle="none")
    axes.set_yticks(range(len(ARMS)), ARMS)
    axes.set(ylim=(len(ARMS) - 0.5, -0.5), xlim=(0, 100), xlabel="points of 100")
    for edge in range(1, len(ARMS)):
        axes.axhline(edge - 0.5, color="#dddddd", linewidth=0.5)
    legend(picture, axes, 3)
    return Made(numbers={"n": Number(len(data["records"]), ("docs/micro-1/blood.json",))}, picture=picture)
