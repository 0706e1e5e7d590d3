"""Real movies, which the embedded world was not trained on: the model, and the family's law, against interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from physgen.experiments.measure.intervals import student_interval
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.runs.progress import Record

SOURCE = ("real.json",)
SEEN = ("half", "pixels", "forecast")
ARMS = {
    "interpolation": "interpolation",
    "law alone": "law alone",
    "model": "model: DPS",
    "model and law": "model and law",
}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a movie and an arm; how often wide bands hold the truth."""
    records = store.records("real")
    numbers = {"pieces": Number(len({one["index"] for one in records if one["movie"] == "nuclei"}), SOURCE)}
    rows = []
    for movie in dict.fromkeys(one["movie"] for one in records):
        for arm, label in ARMS.items():
            mine = [one for one in records if (one["movie"], one["arm"]) == (movie, arm)]
            if not mine:  # the family has no law that a video could be joined with
                continue
            cells = []
            for seen in SEEN:
                values = errors(records, movie, seen, arm)
                numbers[f"{movie}.{arm}.{seen}"] = Number.range(values, SOURCE)
                cells.append(numbers[f"{movie}.{arm}.{seen}"].text)
            known = [[one["wide90"] for one in mine if one["observation"] == seen and "wide90" in one] for seen in SEEN]
            wide = [float(np.mean(one)) for one in known if one]
            held = f"{min(wide):.2f} to {max(wide):.2f}" if wide else "–"
            first = arm == "interpolation"
            rows.append((movie if first else "", mine[0]["family"] if first else "", label, *cells, held))
    numbers |= counted(records)
    return Made(numbers, columns=("movie", "read as", "sampler", *SEEN, "in 90 % bands"), rows=tuple(rows))


def counted(records: Sequence[Record]) -> dict[str, Number]:
    """Cases where the model has less, or more, error than interpolation; and model and law than either of the two.

    A difference counts where its interval, paired by piece, does not hold zero; of model and law means are compared.
    """
    counts = dict.fromkeys(("cases", "better", "worse", "lawful", "joined better", "joined worse"), 0)
    for movie in dict.fromkeys(one["movie"] for one in records):
        for seen in SEEN:
            found = {arm: errors(records, movie, seen, arm) for arm in ARMS}
            change = student_interval(found["model"] - found["interpolation"])
            counts["cases"] += 1
            counts["better"] += change.high < 0
            counts["worse"] += change.low > 0
            if len(found["law alone"]):
                joined, *alone = (found[arm].mean() for arm in ("model and law", "model", "law alone"))
                counts["lawful"] += 1
                counts["joined better"] += joined < min(alone)
                counts["joined worse"] += joined > max(alone)
    return {name: Number(int(count), SOURCE) for name, count in counts.items()}


def errors(records: Sequence[Record], movie: str, seen: str, arm: str) -> np.ndarray:
    """Of every piece of a movie, in their order; none where the arm did not run."""
    mine = [one for one in records if (one["movie"], one["observation"], one["arm"]) == (movie, seen, arm)]
    return np.array([one["rmse"] for one in sorted(mine, key=lambda one: one["index"])])
