"""Tables of the benchmark on the embedded world, law by law, arm by arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.drawn import AFTERWARDS, UNGUIDED
from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.measure.recognition import distances, paired_distances
from physgen.experiments.measure.tables import Cell, Table, publish
from physgen.experiments.micro.arms import ARMS
from physgen.experiments.micro.cases import LAWS
from physgen.experiments.runs.progress import Record, write_records

Array = npt.NDArray[np.float64]

REFERENCE, SIMULATOR = "reference", "simulator"
ROWS = (SIMULATOR, *ARMS)
#: two sets of fewer vectors have no Frechet distance
LEAST = 8


def report(records: Sequence[Record], out: Path) -> None:
    """Write ``micro.json`` and ``micro.md``, and print the tables."""
    write_records(out / "micro.json", list(records))
    publish(out / "micro.md", [table(law, [one for one in records if one["law"] == law]) for law in LAWS])


def column(records: Sequence[Record], arm: str, key: str) -> Array:
    """A figure of every prompt, in their order."""
    rows = sorted((one for one in records if one["arm"] == arm), key=lambda one: one["index"])
    return np.array([one[key] for one in rows], float)


def table(law: str, records: Sequence[Record]) -> Table:
    """Means over prompts with 95 % bootstrap intervals; the violation is a median, the time a median of ratios."""
    count = len(column(records, UNGUIDED, "violation"))
    names = sorted(next(one for one in records if one["arm"] == UNGUIDED)["others"])
    violated = np.median(column(records, UNGUIDED, "violation"))
    clock = column(records, UNGUIDED, "seconds")
    rows = []
    for arm in ROWS:
        violation = column(records, arm, "violation")
        if not len(violation):
            continue
        row: list[Cell] = [arm]
        row += [float(np.median(violation)), float(violated / np.median(violation)), feasible(records, arm)]
        row += [float(np.median(moved(records, arm)))]
        row += closeness(records, arm) if count >= LEAST else ["-", "-"]
        row += [mean_interval(column(records, arm, "attributes"))]
        row += [mean_interval(other(records, arm, name)) for name in names]
        row += [float(column(records, arm, "empty").mean())]
        row += ["-" if arm == SIMULATOR else float(np.median(column(records, arm, "seconds") / clock))]
        rows.append(row)
    heads = ["violation", "unguided / this", "feasible", "moved at the end", "MMD²", f"less that of {AFTERWARDS}"]
    title = f"{law}: {count} prompts; {', '.join(names)} are measured by other estimators and were not guided on"
    return Table(title, ["sampler", *heads, "attributes", *names, "empty", "time"], rows)


def feasible(records: Sequence[Record], arm: str) -> Cell:
    """Share of videos whose phases are in order."""
    found = [one["feasible"] for one in records if one["arm"] == arm]
    return "-" if None in found else float(np.mean(found))


def moved(records: Sequence[Record], arm: str) -> Array:
    """How far the terminal projection moved each video, RMS in [0, 1]."""
    return np.array(
        [(one.get("terminal") or {}).get("moved_rms", np.nan) for one in records if one["arm"] == arm], float
    )


def other(records: Sequence[Record], arm: str, name: str) -> Array:
    """A law that was not guided on."""
    return np.array([one["others"][name] for one in records if one["arm"] == arm], float)


def vectors(records: Sequence[Record], arm: str) -> Array:
    """Feature vectors ``[N, F]`` in the order of the prompts."""
    rows = sorted((one for one in records if one["arm"] == arm), key=lambda one: one["index"])
    return np.array([one["features"] for one in rows], float)


def closeness(records: Sequence[Record], arm: str) -> list[Any]:
    """MMD^2 to the simulator, and its paired difference from projecting afterwards."""
    reference, mine = vectors(records, REFERENCE), vectors(records, arm)
    distance = distances(mine, reference, 0)["mmd2"]
    if arm in (SIMULATOR, AFTERWARDS):
        return [distance, "-"]
    return [distance, paired_distances(mine, vectors(records, AFTERWARDS), reference, 0)["mmd2"]]
