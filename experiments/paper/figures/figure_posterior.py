"""Samplers with nothing set against an exact posterior: how many times as far from it as exact draws are."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from physgen.experiments.measure.intervals import Interval
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, sized
from physgen.experiments.posterior.heat.table import FLOOR, REFERENCE

#: name in the benchmark, name in print, kind
ARMS = (
    ("unguided", "unguided, projected afterwards", "free"),
    ("augmented Lagrangian", "augmented Lagrangian", "plain"),
    ("ECI", "ECI", "peer"),
    ("projection", "projection", "plain"),
    ("x0-gradient", "x0-gradient (MPGD, FlowChef)", "plain"),
    ("PCFM", "PCFM", "peer"),
    ("PiGDM", "ΠGDM", "backward"),
    ("DPS", "DPS", "backward"),
    ("DPS, forward", "DPS, forward", "forward"),
    ("conditional mean", "conditional mean", "backward"),
    ("conditional mean, forward", "conditional mean, forward", "forward"),
    ("TFG", "TFG", "backward"),
    ("TFG, forward", "TFG, forward", "forward"),
)
#: colour, marker and name in print of each kind
KINDS = {
    "free": (BLACK, "D", "nothing on the way"),
    "peer": (VERMILION, "X", "peers, no derivative of the network"),
    "plain": (ORANGE, "o", "no derivative of the network"),
    "backward": (BLUE, "v", "derivative by a backward pass"),
    "forward": (GREEN, "^", "derivative by one more evaluation"),
}
SOURCE = ("plain.json",)


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a sampler: every initial condition, and the ratio of the means."""
    records = store.records("plain")
    floor = {one["seed"]: one["sw2"] for one in records if one["arm"] == FLOOR}
    numbers = {
        "conditions": Number(len(floor), SOURCE),
        "evaluations": Number(max(one["nfe"] for one in records), SOURCE),
    }
    numbers["residual"] = Number(max(one["residual"] for one in records if one["arm"] != FLOOR), SOURCE)
    seconds = {one["seed"]: one["seconds"] for one in records if one["arm"] == REFERENCE}
    picture = sized(3.0)
    axes = picture.subplots()
    for height, (arm, _, kind) in enumerate(ARMS):
        mine = [one for one in records if one["arm"] == arm]
        ratios = [one["sw2"] / floor[one["seed"]] for one in mine]
        ratio = sum(one["sw2"] for one in mine) / sum(floor.values())
        numbers[f"{arm}.ratio"] = Number.of(Interval(ratio, min(ratios), max(ratios)), SOURCE, len(mine))
        numbers[f"{arm}.time"] = Number(mean(one["seconds"] / seconds[one["seed"]] for one in mine), SOURCE, len(mine))
        numbers[f"{arm}.vjp"] = Number(max(one["vjp"] for one in mine), SOURCE)
        row(axes, height, ratios, ratio, kind)
    axes.axvline(1, color=BLACK, linewidth=0.9, linestyle="--")
    axes.set(xscale="log", xlim=(0.75, 45), xlabel="distance to the exact posterior (SW2), that of exact draws = 1")
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 40]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(ARMS)), [label for _, label, _ in ARMS])
    axes.set_ylim(len(ARMS) - 0.5, -0.5)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.legend(loc="lower right", handletextpad=0.3, frameon=True, framealpha=1, edgecolor="none")
    return Made(numbers=numbers, picture=picture)


def row(axes: Any, height: int, ratios: Sequence[float], ratio: float, kind: str) -> None:
    """One sampler: a line over its initial conditions, the ratio of the means in bold."""
    colour, marker, label = KINDS[kind]
    known = axes.get_legend_handles_labels()[1]
    axes.plot([min(ratios), max(ratios)], [height] * 2, color=GREY, linewidth=0.8, zorder=1)
    axes.plot(ratios, [height] * len(ratios), marker, color=colour, markerfacecolor="white", markersize=3.6, zorder=2)
    axes.plot(
        [ratio],
        [height],
        marker,
        color=colour,
        markersize=6.5,
        linestyle="none",
        label=None if label in known else label,
        zorder=3,
    )
