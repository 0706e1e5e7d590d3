"""Smaller sweeps: number of steps, scheduler, size of the model, wrong law, several laws."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.paper.results.numbers import Made, Number, median_interval, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

COLUMNS = ("sweep", "setting", "n", "unguided", "projection", "empty", "attributes")
SCHEDULERS = {
    "own": "Euler",
    "heun": "Heun",
    "unipc": "UniPC",
    "dpm_solver": "DPM-Solver++",
    "deis": "DEIS",
}
#: weights of transformers that were trained on the same clips with the same batches, in millions
SIZES = {"xs": "0.17", "s": "1.1", "m": "6.2"}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a setting: median violation of the law without guidance and projected; what shows nothing."""
    numbers: dict[str, Number] = {}
    rows = []
    for law, label in (("mass", "mass"), ("fisher_kpp", "growth")):
        for steps in ("5", "10", "20", "40"):
            where = {"law": law, "steps": steps}
            rows.append(row(store, numbers, "cost", where, law, f"{label}, {steps} steps"))
    for scheduler, label in SCHEDULERS.items():
        rows.append(row(store, numbers, "transfer", {"scheduler": scheduler}, "mass", f"mass, {label}"))
    for law, label in (("mass", "mass"), ("fisher_kpp", "growth")):
        for size, weights in SIZES.items():
            where = {"law": law, "world.path": f"models/{size}/world"}
            rows.append(row(store, numbers, "model_size", where, law, f"{label}, {weights} M weights"))
        numbers |= larger(store, law, label)
    sweep = store.sweep("conflict")
    free, wrong = (
        sweep.arm({"constraint": "mass", "guidance": guidance}, range(8)) for guidance in ("none", "projection")
    )
    growth = [sweep.column(arm, "violation/fisher_kpp") for arm in (free, wrong)]
    for name, values, runs in zip(("before", "after"), growth, (free.runs, wrong.runs), strict=True):
        numbers[f"conflict.{name}"] = Number.of(mean_interval(values), runs, len(runs))
    change = mean_interval(growth[1] - growth[0])
    numbers["conflict.change"] = Number.of(change, free.runs + wrong.runs, len(free.runs))
    both = store.sweep("which_constraint")
    for name in ("none", "mass", "diffusion", "[mass,diffusion]"):
        arm = both.arm({"constraint": name}, range(16))
        for law in ("mass", "diffusion"):
            values = both.column(arm, f"violation/{law}")
            numbers[f"which.{name}.{law}"] = Number.of(median_interval(values), arm.runs, len(arm.runs))
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def larger(store: Store, law: str, label: str) -> dict[str, Number]:
    """By how much unguided videos of a larger transformer violate a law more, paired by seeds."""
    sweep = store.sweep("model_size")
    arms = {
        weights: sweep.arm({"law": law, "world.path": f"models/{size}/world", "guidance": "none"}, range(8))
        for size, weights in SIZES.items()
    }
    values = {weights: sweep.column(arm, f"violation/{law}") for weights, arm in arms.items()}
    return {
        f"model_size.{label}, {one} to {other} M": Number.of(
            mean_interval(values[other] - values[one]), arms[one].runs + arms[other].runs, len(arms[one].runs)
        )
        for one, other in combinations(SIZES.values(), 2)
    }


def row(
    store: Store, numbers: dict[str, Number], name: str, where: Mapping[str, str], law: str, label: str
) -> tuple[str, ...]:
    """Numbers of one setting, and its row."""
    sweep = store.sweep(name)
    free, hard = (sweep.arm({**where, "guidance": guidance}, range(8)) for guidance in ("none", "projection"))
    found = {
        "unguided": Number.of(median_interval(sweep.column(free, f"violation/{law}")), free.runs, len(free.runs)),
        "projection": Number.of(median_interval(sweep.column(hard, f"violation/{law}")), hard.runs, len(hard.runs)),
        "empty": Number(float(np.nanmean(sweep.column(free, "quality/empty"))), free.runs, len(free.runs)),
        "attributes": Number.of(mean_interval(sweep.column(hard, "quality/attributes")), hard.runs, len(hard.runs)),
    }
    numbers |= {f"{name}.{label}.{key}": number for key, number in found.items()}
    cells = (found["unguided"].text, found["projection"].text, written(found["empty"].value), found["attributes"].text)
    return (name.replace("_", " "), label, str(len(free.runs)), *cells)
