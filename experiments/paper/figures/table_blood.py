"""Blood videos under the law of transport: points, what the classifier sees, what failed, what it costs."""

from __future__ import annotations

import numpy as np

from physgen.drawn import GUIDED, UNGUIDED
from physgen.experiments.instruments.blood.arms import BEST, PROJECTED, THEN
from physgen.experiments.instruments.blood.run import column
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro-1/blood.json"
ARMS = ("simulator", "reconstruction", UNGUIDED, BEST, PROJECTED, GUIDED, BEST + THEN, GUIDED + THEN)
KINDS = ("all criteria", "not imposed", "imposed")
JUDGED = ("direction", "speed", "count")
COLUMNS = ("arm", *KINDS, "direction, speed, count", "faint", "not projected", "time")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm."""
    data = store.documented("micro-1/blood")
    records, rows = data["records"], []
    per_arm = len(column(records, UNGUIDED, "seconds"))
    numbers = {
        "videos": Number(per_arm, (SOURCE,)),
        "tasks": Number(len({one["task"] for one in records}), (SOURCE,)),
        "criteria": Number(len(records[0]["answers"]), (SOURCE,)),
    }
    for name, kinds in data["differences"].items():
        numbers |= {f"{name}.{kind}": Number.read(entry, SOURCE, per_arm) for kind, entry in kinds.items()}
    for arm in ARMS:
        numbers |= {f"{arm}.{kind}": Number.read(entry, SOURCE, per_arm) for kind, entry in data["arms"][arm].items()}
        mine = [one for one in records if one["arm"] == arm]
        faint = sum(one["answers"]["presence"] == 1 for one in mine)
        numbers[f"{arm}.faint"] = Number(faint, (SOURCE,), per_arm)
        seconds, projected = column(records, arm, "seconds"), column(records, arm, "law")
        if np.isfinite(seconds).all():
            ratio = float(np.median(seconds / column(records, UNGUIDED, "seconds")))
            numbers[f"{arm}.time"] = Number(ratio, (SOURCE,), per_arm)
        if np.isfinite(projected).any():
            numbers[f"{arm}.left"] = Number(int(np.nansum(1 - projected)), (SOURCE,), per_arm)
        judged = ", ".join(f"{numbers[f'{arm}.judge: {name}'].value:.0f}" for name in JUDGED)
        left = str(numbers[f"{arm}.left"].value) if f"{arm}.left" in numbers else "–"
        time = written(round(numbers[f"{arm}.time"].value, 1)) if f"{arm}.time" in numbers else "–"
        points = (numbers[f"{arm}.{kind}"].text for kind in KINDS)
        rows.append((arm, *points, judged, str(faint), left, time))
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))
