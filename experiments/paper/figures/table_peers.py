"""Every way to fill in the hidden half of a video, peers included, one sample each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from physgen.experiments.assimilate.arms import AFTER, BEST, BETWEEN, BOTH, FORWARD, FREE, LAW, MODEL, PEERS
from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.paper.results.assimilation import FAMILIES, SOURCE, errors
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.runs.progress import Record

SEEN = "half"
ARMS = {
    BETWEEN: "interpolation",
    LAW: "law alone (4D-Var)",
    FREE: "unguided, joined afterwards",
    BEST: "best of 2, joined afterwards",
    "ECI": "ECI",
    "PCFM": "PCFM",
    "PPR": "PPR",
    "DiffusionPDE": "DiffusionPDE",
    "FlowDAS": "FlowDAS",
    MODEL: "model: DPS",
    FORWARD: "model: DPS, forward",
    AFTER: "model, then law",
    BOTH: "model and law",
}
#: objects are counted apart in families with a law that a video can be joined with, and in the others
GROUPS = {"lawful": FAMILIES[:2], "lawless": FAMILIES[2:]}
COLUMNS = ("sampler", *FAMILIES, "missed", "invented", "time (s)")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm: error of one sample in each family; objects that it misses or invents; seconds."""
    records = store.documented("micro/assimilation")
    numbers, rows = {"n": Number(len(errors(records, FAMILIES[0], SEEN, MODEL)), (SOURCE,))}, []
    for arm, label in ARMS.items():
        cells = []
        for family in FAMILIES:
            found = errors(records, family, SEEN, arm, "single")
            if len(found):
                numbers[f"{family}.{arm}"] = Number.of(mean_interval(found), (SOURCE,), len(found))
                cells.append(numbers[f"{family}.{arm}"].text)
            else:
                cells.append("–")
        mine = [one for one in records if (one["observation"], one["arm"]) == (SEEN, arm)]
        for key in ("missed", "invented"):
            cells.append(" / ".join(objects(numbers, mine, f"{arm}.{key}", key)))
        numbers[f"{arm}.seconds"] = Number(float(np.mean([one["seconds"] for one in mine])), (SOURCE,), len(mine))
        cells.append(written(round(numbers[f"{arm}.seconds"].value, 2)))
        rows.append((label, *cells))
    for family in FAMILIES:
        best = min(float(errors(records, family, SEEN, peer, "single").mean()) for peer in PEERS)
        numbers[f"{family}.best peer"] = Number(best, (SOURCE,))
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def objects(numbers: dict[str, Number], mine: Sequence[Record], name: str, key: str) -> list[str]:
    """Objects a sample in each group of families, as printed; they are added to ``numbers``."""
    cells = []
    for group, families in GROUPS.items():
        counts = [one[key] for one in mine if one["family"] in families]
        if counts:
            numbers[f"{name}.{group}"] = Number(float(np.mean(counts)), (SOURCE,), len(counts))
        cells.append(written(round(float(np.mean(counts)), 2)) if counts else "–")
    return cells
