"""What guidance on the way does to the distance from truth, beside projecting the finished video."""

from __future__ import annotations

from matplotlib.ticker import MaxNLocator

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.summary import FREE, summaries
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, BLACK, LAWS, sized

#: MMD^2 is small
SCALE = 1000


def make(spec: FigureSpec, store: Store) -> Made:
    """A panel a law, a row an arm; filled where the interval does not hold zero."""
    every = summaries(spec, store)
    found = [one for one in every if one.guidance != FREE]
    laws = list(dict.fromkeys(one.law for one in found))
    names = list(dict.fromkeys(one.guidance for one in found))
    picture = sized(2.0)
    axes = picture.subplots(1, len(laws), sharey=True)
    numbers = {"n": Number(spec.seeds, (spec.sweep,), spec.seeds)}
    numbers |= {f"power.{name}": Number(value, ("figures.yaml",)) for name, value in spec.options["power"].items()}
    free = {one.law: one.distance.value for one in every if one.guidance == FREE}
    for one in every:
        numbers |= {name: x for name, x in one.numbers.items() if name.endswith((".excess", ".distance"))}
        value, low, high = (
            -100 * float(x or 0) / free[one.law] for x in (one.excess.value, one.excess.high, one.excess.low)
        )
        numbers[f"{one.law}.{one.guidance}.nearer"] = Number(value, one.excess.source, one.excess.n, low, high)
        numbers[f"{one.law}.{one.guidance}.farther"] = Number(-value, one.excess.source, one.excess.n, -high, -low)
    for panel, law in zip(axes, laws, strict=True):
        panel.axvline(0, color=BLACK, linewidth=0.8)
        for one in (each for each in found if each.law == law):
            look, height = ARMS[one.guidance], names.index(one.guidance)
            value, low, high = (SCALE * float(x or 0) for x in (one.excess.value, one.excess.low, one.excess.high))
            face = look.colour if low > 0 or high < 0 else "white"
            panel.plot([low, high], [height, height], color=look.colour, linewidth=1.4)
            panel.plot([value], [height], look.marker, color=look.colour, markerfacecolor=face, markersize=5.5)
        panel.set_title(LAWS[law])
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes[0].set_yticks(range(len(names)), [ARMS[name].name for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    picture.supxlabel("MMD² to simulator videos less that of projecting afterwards (10⁻³; right: farther)", fontsize=8)
    return Made(numbers=numbers, picture=picture)
