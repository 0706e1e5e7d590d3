"""Flows: what the law of transport is worth afterwards, on the way and by choosing, on blood and on vessels."""

from __future__ import annotations

import numpy as np

from physgen.drawn import GUIDED, UNGUIDED
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.flow.arms import BEST, FAMILIES, NO_JACOBIAN, PROJECTED, THEN
from physgen.experiments.instruments.flow.run import column
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

ARMS = {
    SIMULATOR: "simulator",
    RECONSTRUCTION: "reconstruction",
    UNGUIDED: "unguided",
    BEST: BEST,
    PROJECTED: "projected",
    BEST + THEN: f"{BEST}, projected",
    GUIDED: "guided",
    GUIDED + THEN: "guided, projected",
    NO_JACOBIAN: "guided, no Jacobian",
    NO_JACOBIAN + THEN: "guided, no Jacobian, projected",
}
POINTS = ("all criteria", "not imposed", "imposed")
COLUMNS = ("family", "arm", *POINTS, "MMD² to truth, 10⁻³", "evaluations", "time")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a family and arm: points, distance to truth, and cost of an unguided video's."""
    numbers: dict[str, Number] = {"best.n": Number(int(BEST.rpartition(" ")[2]), ("docs/micro/vessel.json",))}
    rows: list[tuple[str, ...]] = []
    for family in FAMILIES:
        data, source = store.documented(f"micro/{family}"), f"docs/micro/{family}.json"
        records = data["records"]
        free, tasks = (column(records, UNGUIDED, key) for key in ("seconds", "task"))
        evaluations = column(records, UNGUIDED, "nfe")
        numbers[f"{family}.videos"] = Number(len(free), (source,))
        numbers[f"{family}.tasks"] = Number(len(set(tasks)), (source,))
        for arm, label in ARMS.items():
            found = {name: Number.read(data["arms"][arm][name], source, len(free)) for name in POINTS}
            if arm in data["distances"]:
                found["mmd2"] = Number.read(data["distances"][arm]["mmd2"], source, len(free), scale=1000.0)
            if np.isfinite(column(records, arm, "seconds")).all():
                found["time"] = Number(float(np.median(column(records, arm, "seconds") / free)), (source,), len(free))
                found["evaluations"] = Number(
                    float(np.median(column(records, arm, "nfe") / evaluations)), (source,), len(free)
                )
            projected = column(records, arm, "law")
            if np.isfinite(projected).all():
                numbers[f"{family}.{arm}.left"] = Number(int((1 - projected).sum()), (source,), len(free))
            numbers |= {f"{family}.{arm}.{name}": number for name, number in found.items()}
            cells = [found[name].text if name in found else "–" for name in (*POINTS, "mmd2")]
            cost = [written(found[name].value) if name in found else "–" for name in ("evaluations", "time")]
            rows.append((family, label, *cells, *cost))
        for pair, values in data["differences"].items():
            for name, entry in values.items():
                numbers[f"{family}.{pair}.{name}"] = Number.read(entry, source, len(free))
            entry = data["distances"][pair]["mmd2"]
            numbers[f"{family}.{pair}.mmd2"] = Number.read(entry, source, len(free), scale=1000.0)
    words = {
        "tasks": numbers["vessel.tasks"].text,
        "videos": numbers["vessel.videos"].text,
        "draws": numbers["best.n"].text,
    }
    return Made(numbers, words, columns=COLUMNS, rows=tuple(rows))
