"""Samplers that are given a few noisy values, against the exact posterior, and how sure they are."""

from __future__ import annotations

from statistics import mean

from physgen.experiments.measure.intervals import Interval
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = ("seen.json",)
KEYS = {
    "sw2": "SW2",
    "mean": "error of the mean",
    "spread": "spread, exact = 1",
    "cover90": "in 90 % bands",
}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a sampler: means, least and largest over the draws of the observation."""
    records = store.records("seen")
    numbers = {"draws": Number(len({one["seed"] for one in records}), SOURCE)}
    numbers["evaluations"] = Number(max(one["nfe"] + 2 * one["vjp"] for one in records), SOURCE)
    rows = []
    for arm in dict.fromkeys(one["arm"] for one in records):
        mine = [one for one in records if one["arm"] == arm]
        for key in KEYS:
            found = [one[key] for one in mine]
            number = Number.of(Interval(mean(found), min(found), max(found)), SOURCE, len(mine))
            numbers[f"{arm}.{key}"] = number
        calls = f"{mine[0]['nfe']} + {mine[0]['vjp']} back" if mine[0]["vjp"] else str(mine[0]["nfe"] or "–")
        rows.append((arm, *(numbers[f"{arm}.{key}"].text for key in KEYS), calls))
    return Made(numbers, columns=("sampler", *KEYS.values(), "evaluations"), rows=tuple(rows))
