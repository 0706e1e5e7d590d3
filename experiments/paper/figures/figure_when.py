"""When a law should act: the window of the guidance, with a projection at the end in every arm."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from physgen.experiments.paper.results.numbers import Made, Number, median_interval
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.summary import FREE, distance, excess, truth
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, BLACK, LAWS, legend, sized

#: MMD^2 is small
SCALE = 1000
#: name in print, and on the axis, of each first fraction of the schedule that is guided
WINDOWS = {"0.9": ("last tenth", "last\ntenth"), "0.5": ("last half", "last\nhalf"), "0.0": ("all", "every\nstep")}

#: both are projected at the end
LABELS = {"projection": "x0-gradient, then projected", "dps": "DPS, then projected"}


def make(spec: FigureSpec, store: Store) -> Made:
    """A panel a law, a column a window, a marker a guidance; filled where the interval does not hold zero."""
    sweep, arms = spec.arms(store)
    free_sweep = store.sweep(spec.options["free"])
    numbers = {"n": Number(spec.seeds, (spec.sweep,), spec.seeds)}
    numbers |= {f"power.{name}": Number(value, ("figures.yaml",)) for name, value in spec.options["power"].items()}
    laws, names = spec.runs["law"], spec.runs["guidance"]
    picture = sized(2.2)
    panels = dict(zip(laws, picture.subplots(1, len(laws)), strict=True))
    for panel in panels.values():
        panel.axhline(0, color=BLACK, linewidth=0.8)
    for arm in arms:
        law, guidance, start = (arm.set[key] for key in ("law", "guidance", "guidance.start"))
        free = free_sweep.arm({"law": law, "guidance": FREE}, range(spec.seeds))
        reference = truth(spec, store, law)
        mine, without = sweep.features(arm), free_sweep.features(free)
        found = excess(mine, without, reference)
        name, runs = f"{law}.{guidance}.{WINDOWS[start][0]}", arm.runs + free.runs
        base = distance(without, reference)
        numbers[f"{law}.distance"] = Number(base, free.runs, spec.seeds)
        numbers[f"{name}.excess"] = Number.of(found, runs, spec.seeds)
        numbers[f"{name}.violation"] = Number.of(
            median_interval(sweep.column(arm, f"violation/{law}")), arm.runs, spec.seeds
        )
        numbers[f"{name}.farther"] = Number(
            100 * found.estimate / base, runs, spec.seeds, 100 * found.low / base, 100 * found.high / base
        )
        look = ARMS[guidance]
        x = list(WINDOWS).index(start) + 0.2 * (names.index(guidance) - 0.5)
        value, low, high = (SCALE * bound for bound in (found.estimate, found.low, found.high))
        face = look.colour if low > 0 or high < 0 else "white"
        label = LABELS[guidance] if start == next(iter(WINDOWS)) else None
        panels[law].plot([x, x], [low, high], color=look.colour, linewidth=1.4)
        panels[law].plot(
            [x], [value], look.marker, color=look.colour, markerfacecolor=face, markersize=5.5, label=label
        )
    for law, panel in panels.items():
        panel.set_title(LAWS[law])
        panel.set_xticks(np.arange(len(WINDOWS)), [short for _, short in WINDOWS.values()])
        panel.yaxis.set_major_locator(MaxNLocator(5))
        panel.set_xlim(-0.5, len(WINDOWS) - 0.5)
        panel.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    next(iter(panels.values())).set_ylabel("MMD² less that of\nprojecting afterwards (10⁻³)")
    legend(picture, panels[laws[0]], 2)
    return Made(numbers=numbers, picture=picture)
