"""A world that learned from its own accepted and projected samples, against controls and the best of N."""

from __future__ import annotations

from typing import Any

from physgen.drawn import AFTERWARDS, UNGUIDED
from physgen.experiments.align.models import BASE, BEST, TRUTH
from physgen.experiments.align.options import ALIGNED, DATA, PREFERENCE, RANDOM, SELECTED
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro/alignment.json"
ROWS = {
    "violation: transport": "violation of transport",
    "cell_area_drift": "drift of the cells' area",
    "faults": "instruments that find a fault",
    "attributes": "attributes recognised",
    "sharpness": "sharpness",
    "diversity": "diversity",
    "conditional MMD², judge": "distance, features",
    "conditional MMD², motion": "distance, motion",
    "conditional MMD², rendering": "distance, rendering",
}
#: models that are compared with the untouched one
MODELS = {ALIGNED: "aligned", SELECTED: "not projected", RANDOM: "not selected", DATA: "simulator's videos", BEST: BEST}
COLUMNS = ("as drawn", TRUTH, "untouched", *MODELS.values())


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a figure: its mean in the untouched world, and the paired change that each model makes of it."""
    data = store.documented("micro/alignment")
    prompts = data["prompts"]
    numbers = {
        "n": Number(prompts, (SOURCE,)),
        "seeds": Number(len(data["seeds"]), (SOURCE,)),
        "rounds": Number(data["rounds"], (SOURCE,)),
        **accepted(data),
        **cost(data),
    }
    for arm in (UNGUIDED, AFTERWARDS):
        for name, found in (data["models"][arm] | data["differences"][arm]).items():
            known = [key for key in ROWS if key in found]
            numbers |= {f"{arm}.{name}.{key}": Number.read(found[key], SOURCE, prompts) for key in known}
    rows = [
        (
            label,
            written(numbers[f"{UNGUIDED}.{TRUTH}.{key}"].value),
            numbers[f"{UNGUIDED}.{BASE}.{key}"].text,
            *(numbers[f"{UNGUIDED}.{model} - {BASE}.{key}"].text for model in MODELS),
        )
        for key, label in ROWS.items()
    ]
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def accepted(data: dict[str, Any]) -> dict[str, Number]:
    """Share of own samples that were accepted in each round, over seeds; the first round is the untouched world's."""
    found: dict[str, Number] = {}
    for model in (ALIGNED, SELECTED, RANDOM, PREFERENCE):
        for turn in range(1, data["rounds"] + 1):
            rows = [one for one in data["samples"] if (one["arm"], one["round"]) == (model, turn)]
            drawn = sum(one["samples"] for one in rows)
            found[f"accepted.{model}.{turn}"] = Number(sum(one["accepted"] for one in rows) / drawn, (SOURCE,), drawn)
    return found


def cost(data: dict[str, Any]) -> dict[str, Number]:
    """Evaluations of the network that making the aligned world took, a mean over seeds, and N of the best of N."""
    making = [one["making"] for one in data["cost"] if one["model"] == ALIGNED]
    a_video = {one["model"]: one["a_video"] for one in data["cost"]}
    return {
        "making": Number(sum(making) / len(making), (SOURCE,)),
        "N": Number(round(a_video[BEST] / a_video[BASE]), (SOURCE,)),
    }
