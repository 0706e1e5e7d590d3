"""The tables of `physgen align`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from physgen.experiments.align.measure import FAULT
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.runs.progress import Record

KINDS = {
    "models": "means over held-out prompts",
    "differences": "paired differences, 95 % intervals over prompts",
    "seeds": "the same by training seed",
}
#: columns of costs: what they are called, and their key
COSTS = {
    "evaluations": "evaluations",
    "with a way back": "trained",
    "seconds": "seconds",
    "making it, in evaluations": "making",
    "a video": "a_video",
    "all in all": "total",
    "pays after, videos": "pays_after",
}


def tables(result: Mapping[str, Any], cost: Sequence[Record], counts: Sequence[Record]) -> list[Table]:
    """Figures by arm, their paired differences, what was drawn and accepted, and what it cost.

    Figures of single instruments are in ``metrics.json`` alone.
    """
    found: list[Table] = []
    for kind, title in KINDS.items():
        for arm, columns in result[kind].items():
            wide = by_seed(columns) if kind == "seeds" else columns
            if wide:
                found.append(Table(f"{arm}: {title}", ["", *wide], figures(wide)))
    drawn: list[list[Cell]] = [
        [str(row[name]) for name in ("arm", "seed", "round", "samples", "degenerate", "accepted")] for row in counts
    ]
    costs: list[list[Cell]] = [
        [row["model"], str(row["seed"]), *(float(row.get(key, float("nan"))) for key in COSTS.values())] for row in cost
    ]
    return [
        *found,
        Table("Own samples of training prompts", ["arm", "seed", "round", "samples", "degenerate", "accepted"], drawn),
        Table("Cost in evaluations of the network", ["model", "seed", *COSTS], costs),
    ]


def by_seed(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One column for each pair of models and training seed."""
    return {f"{pair}, seed {seed}": found for pair, seeds in columns.items() for seed, found in seeds.items()}


def figures(columns: Mapping[str, Mapping[str, Any]]) -> list[list[Cell]]:
    """A row for each figure, a column for each model."""
    names = dict.fromkeys(name for found in columns.values() for name in found if not name.startswith(FAULT))
    return [[name, *(found.get(name, float("nan")) for found in columns.values())] for name in names]
