"""Probability of each phase in each frame, by itself, and the phases that are named."""

from __future__ import annotations

import numpy as np

from physgen.constraints.mitosis.classifier import PHASES
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.shown import shown
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, VERMILION, sized


def make(spec: FigureSpec, store: Store) -> Made:
    """A panel a guidance; a step that breaks the order is crossed."""
    (one,) = shown(spec, store)
    by_run: dict[str, list[dict]] = {}
    for row in store.rows("readings"):
        by_run.setdefault(row["run"], []).append(row)
    picture = sized(2.1)
    axes = picture.subplots(1, len(one.runs), sharey=True, squeeze=False)[0]
    numbers = {"n": Number(spec.seeds, (spec.sweep,), spec.seeds), "seed": Number(one.seed, tuple(one.runs.values()))}
    for panel, (guidance, run) in zip(axes, one.runs.items(), strict=True):
        rows = sorted(by_run[run], key=lambda row: row["frame"])
        table = np.array([[row[f"p_{phase}"] for row in rows] for phase in PHASES])
        minutes = np.array([row["time_s"] for row in rows]) / 60
        half = (minutes[1] - minutes[0]) / 2
        extent = (minutes[0] - half, minutes[-1] + half, len(PHASES) - 0.5, -0.5)
        shades = panel.imshow(
            table, cmap="Greys", vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest"
        )
        named = np.array([row["phase"] for row in rows])
        wrong = np.array([row["illegal"] for row in rows], bool)
        panel.plot(minutes, named, "o", color="#0072b2", markersize=2.5)
        panel.plot(minutes[wrong], named[wrong], "x", color=VERMILION, markersize=7, markeredgewidth=1.6)
        panel.set(title=ARMS[guidance].name, xlabel="time (min)")
        numbers[f"{guidance}.illegal"] = Number(int(wrong.sum()), (run,))
    axes[0].set_yticks(range(len(PHASES)), PHASES)
    picture.colorbar(shades, ax=axes, label="probability", pad=0.01)
    return Made(numbers=numbers, picture=picture)
