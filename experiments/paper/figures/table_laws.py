"""Laws of what moves where the truth is known: faultless videos that they hold, and planted faults that they find."""

from __future__ import annotations

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = ("laws.json",)
NAMES = {
    "transport": "carried by a steady flow",
    "permanence": "nothing appears or vanishes",
    "static": "the coarse layer stays",
    "progression": "an amount only grows",
    "periodic": "everything repeats",
    "count": "as many objects as said",
}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a law."""
    records = store.records("laws")
    rows, totals = [], {"holds": [0, 0], "found": [0, 0]}
    for law, label in NAMES.items():
        mine = [one for one in records if one["law"] == law]
        cells = []
        for kind in ("exact", "simulator", "planted"):
            some = [one for one in mine if one["kind"] == kind]
            good = sum(one["holds"] is (kind != "planted") for one in some)
            total = totals["found" if kind == "planted" else "holds"]
            total[0], total[1] = total[0] + good, total[1] + len(some)
            cells.append(f"{good} of {len(some)}")
        faults = dict.fromkeys(one["what"] for one in mine if one["what"])
        rows.append((law, label, *cells, "; ".join(faults)))
    numbers = {
        "alarms": Number(totals["holds"][1] - totals["holds"][0], SOURCE, totals["holds"][1]),
        "faultless": Number(totals["holds"][1], SOURCE),
        "found": Number(totals["found"][0], SOURCE, totals["found"][1]),
        "planted": Number(totals["found"][1], SOURCE),
    }
    columns = ("law", "what it says", "exact, held", "simulated, held", "planted, found", "planted faults")
    return Made(numbers, columns=columns, rows=tuple(rows))
