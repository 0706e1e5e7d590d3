"""Kernels as they compile for one GPU, the bytes they move, and what they cost on a CPU."""

from __future__ import annotations

import numpy as np

from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

COLUMNS = ("kernel", "system", "registers", "spilled (bytes)", "shared (bytes)", "instructions per element")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a kernel, for ``options.target``, float32 and no-flux walls."""
    compiled = store.records("kernels")
    mine = [
        one
        for one in compiled
        if (one["target"], one["dtype"]) == (spec.options["target"], "fp32") and one["boundary"] in ("no-flux", "-")
    ]
    rows = [
        (
            one["kernel"].replace("_", " "),
            one["system"].replace("_", " "),
            *(str(one[key]) for key in ("registers", "spill_bytes", "shared_bytes")),
            written(one["instructions_per_element"]),
        )
        for one in mine
    ]
    numbers = {
        "compiled": Number(len(compiled), ("kernels.json",)),
        "targets": Number(len({one["target"] for one in compiled}), ("kernels.json",)),
        "spilled": Number(sum(one["spill_bytes"] for one in compiled), ("kernels.json",)),
        "registers": Number(max(one["registers"] for one in mine), ("kernels.json",)),
    }
    for one in store.records("bench"):
        if "ratios" in one:
            ratios = np.array(one["ratios"])
            key = f"{one['work']} / {one['against']}"
            bounds = {"low": float(ratios.min()), "high": float(ratios.max())}
            numbers[key] = Number(float(np.median(ratios)), ("bench.json",), len(ratios), **bounds)
        elif "bytes_per_element" in one:
            numbers[f"bytes / {one['way']}"] = Number(one["bytes_per_element"], ("bench.json",))
        else:
            numbers[f"peak / {one['way']}"] = Number(one["peak_bytes"] / 2**20, ("bench.json",))
    return Made(numbers=numbers, columns=COLUMNS, rows=tuple(rows))
