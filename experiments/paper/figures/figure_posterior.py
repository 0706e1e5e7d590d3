"""Samplers against an exact posterior: distance, and distance against cost."""

from __future__ import annotations

from statistics import mean

from matplotlib.ticker import NullFormatter

from physgen.experiments.measure.distances import Interval
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import BLACK, BLUE, ORANGE, VERMILION, sized
from physgen.experiments.posterior.heat.table import FLOOR, REFERENCE

#: kinds of samplers by their names in the benchmark: the free baselines, the peers; all others are the library's
FREE = (REFERENCE, "best of 4")
PEERS = ("ECI, mix 1", "ECI, mix 5", "PCFM")
LOOKS = {"free": (ORANGE, "D", "free baseline"), "peer": (VERMILION, "X", "peer"), "ours": (BLUE, "o", "physgen")}


def make(spec: FigureSpec, store: Store) -> Made:
    """Left every initial condition, right the means against time."""
    records = store.records("heat")
    names = [name for name in dict.fromkeys(one["arm"] for one in records) if name != FLOOR]
    seconds = {one["seed"]: one["seconds"] for one in records if one["arm"] == REFERENCE}
    source = ("heat.json",)
    numbers = {"conditions": Number(len(seconds), source)}
    distance: dict[str, float] = {}
    for name in [FLOOR, *names]:
        mine = [one for one in records if one["arm"] == name]
        for key in ("sw2", "mmse", "smse", "tv"):
            values = [one[key] for one in mine]
            numbers[f"{name}.{key}"] = Number.of(Interval(mean(values), min(values), max(values)), source, len(mine))
        numbers[f"{name}.vjp"] = Number(max(one["vjp"] for one in mine), source)
        numbers[f"{name}.time"] = Number(mean(one["seconds"] / seconds[one["seed"]] for one in mine), source, len(mine))
        distance[name] = numbers[f"{name}.sw2"].value
    numbers["residual"] = Number(max(one["residual"] for one in records if one["arm"] != FLOOR), source)
    names.sort(key=lambda name: -distance[name])
    picture = sized(3.1)
    left, right = picture.subplots(1, 2, width_ratios=[1.15, 1])
    for height, name in enumerate(names):
        colour, marker, _ = LOOKS[kind(name)]
        values = [one["sw2"] for one in records if one["arm"] == name]
        left.plot(values, [height] * len(values), marker, color=colour, markerfacecolor="none", markersize=3.5)
        left.plot([distance[name]], [height], "|", color=BLACK, markersize=9, markeredgewidth=1.5)
        label = LOOKS[kind(name)][2]
        right.plot(
            numbers[f"{name}.time"].value, distance[name], marker, color=colour, markerfacecolor="none", label=label
        )
    for panel, line in ((left, left.axvline), (right, right.axhline)):
        line(distance[FLOOR], color=BLACK, linewidth=0.8, linestyle="--")
        panel.xaxis.set_minor_formatter(NullFormatter())
    left.set(xscale="log", xlabel="SW2 to the exact posterior (field units)")
    left.set_yticks(range(len(names)), names)
    right.set(xscale="log", yscale="log", xlabel="time (unguided = 1)", ylabel="mean SW2 (field units)")
    handles = dict(zip(*right.get_legend_handles_labels()[::-1], strict=True))
    right.legend(handles.values(), handles.keys())
    return Made(numbers=numbers, picture=picture)


def kind(name: str) -> str:
    """Free, peer or ours.

    >>> kind("PCFM"), kind("DPS"), kind("best of 4")
    ('peer', 'ours', 'free')
    """
    return "free" if name in FREE else "peer" if name in PEERS else "ours"
