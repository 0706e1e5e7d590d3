"""How often bands of an ensemble hold the truth in the embedded world."""

from __future__ import annotations

import numpy as np

from physgen.experiments.assimilate.arms import BOTH, FORWARD, FREE, MODEL
from physgen.experiments.paper.results.assimilation import FAMILIES, SOURCE
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

ARMS = {
    MODEL: "model: DPS",
    FORWARD: "model: DPS, forward (of half)",
    BOTH: "model and law",
    FREE: "unguided, joined afterwards",
}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm: share of hidden values in wide bands, and in those that four samples have as they are."""
    records = store.documented("micro/assimilation")
    numbers, rows = {}, []
    for arm, label in ARMS.items():
        cells = []
        for family in FAMILIES:
            mine = [one for one in records if (one["family"], one["arm"]) == (family, arm) and "wide90" in one]
            lawless = arm == BOTH and not mine
            for key in ("wide90", "cover90"):
                if not lawless:
                    value = float(np.mean([one[key] for one in mine]))
                    numbers[f"{family}.{arm}.{key}"] = Number(value, (SOURCE,), len(mine))
            shares = ("wide90", "cover90")
            cells.append(
                "–" if lawless else ", ".join(written(numbers[f"{family}.{arm}.{key}"].value) for key in shares)
            )
        rows.append((label, *cells))
    numbers["due"] = Number(float(np.mean([one["due90"] for one in records if "due90" in one])), (SOURCE,))
    return Made(numbers, columns=("sampler", *FAMILIES), rows=tuple(rows))
