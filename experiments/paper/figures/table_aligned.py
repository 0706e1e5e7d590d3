"""What a world learns from its own samples that instruments accept: figures of the base world, and what others add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physgen.drawn import AFTERWARDS, UNGUIDED
from physgen.experiments.align.compare import DISTANCES, DIVERSITY
from physgen.experiments.align.measure import FAULTS, VIOLATION
from physgen.experiments.align.models import BASE, BEST, TRUTH
from physgen.experiments.align.options import ALIGNED, DATA, PREFERENCE, RANDOM, SELECTED
from physgen.experiments.evaluate.yardstick.pool import JUDGE
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro/alignment.json"
ROWS = {
    f"{VIOLATION}transport": "violation of transport",
    "cell_area_drift": "drift of the cells' area",
    FAULTS: "instruments that find a fault",
    "attributes": "attributes recognised",
    "sharpness": "sharpness",
    DIVERSITY: "diversity",
    DISTANCES[JUDGE]: "conditional MMD²",
}
MODELS = {
    ALIGNED: "aligned",
    SELECTED: "selected",
    RANDOM: "random",
    PREFERENCE: "preference",
    DATA: "simulator's videos",
    BEST: "best of N",
}


#: figures of the table; attributes are recognised in all models alike
SHOWN = {key: label for key, label in ROWS.items() if key != "attributes"}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a model: means of the base world and of the simulator, and paired differences of all others to base."""
    data = store.documented("micro/alignment")
    prompts = data["prompts"]
    numbers = {"n": Number(prompts, (SOURCE,)), "seeds": Number(len(data["training_seeds"]), (SOURCE,))} | costs(data)
    for arm in (UNGUIDED, AFTERWARDS):
        for key in ROWS:
            for model, found in data["models"][arm].items():
                if key in found:
                    numbers[f"{arm}.{model}.{key}"] = Number.read(found[key], SOURCE, prompts)
            for pair, found in data["differences"][arm].items():
                if key in found:
                    numbers[f"{arm}.{pair}.{key}"] = Number.read(found[key], SOURCE, prompts)
    numbers |= {f"power.{name}": Number(value, ("figures.yaml",)) for name, value in spec.options["power"].items()}
    numbers |= {f"accepted.{name}": number for name, number in accepted(data).items()}
    rows = [
        ("base", *(three(numbers[f"{UNGUIDED}.{BASE}.{key}"]) for key in SHOWN)),
        *(
            (f"{label} − base", *(three(numbers[f"{UNGUIDED}.{model} - {BASE}.{key}"]) for key in SHOWN))
            for model, label in MODELS.items()
        ),
        ("simulator", *(three(numbers[f"{UNGUIDED}.{TRUTH}.{key}"]) for key in SHOWN)),
    ]
    columns = ("as drawn", *SHOWN.values())
    return Made(numbers, columns=columns, rows=tuple(rows))


def three(number: Number) -> str:
    """With three decimal places, which all figures here need and most of their intervals carry."""
    values = [f"{value:.3f}" for value in (number.value, number.low, number.high) if value is not None]
    return f"{values[0]} [{', '.join(values[1:])}]".replace("-", "−")


def accepted(data: Mapping[str, Any]) -> dict[str, Number]:
    """Share of samples that instruments accept: of the base world, and of every model that draws the second round."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in data["samples"]:
        rows.setdefault(BASE if row["round"] == 1 else row["arm"], []).append(row)
    each = {name: {row["seed"]: row["accepted"] / row["samples"] for row in found} for name, found in rows.items()}
    return {
        name: Number(
            sum(shares.values()) / len(shares), (SOURCE,), len(shares), min(shares.values()), max(shares.values())
        )
        for name, shares in each.items()
    }


def costs(data: Mapping[str, Any]) -> dict[str, Number]:
    """Draws of the best of N, and what making the aligned model cost, in evaluations of the network."""
    base, best = (next(row for row in data["cost"] if row["model"] == name) for name in (BASE, BEST))
    made = [row["making"] for row in data["cost"] if row["model"] == ALIGNED]
    return {
        "draws": Number(round(best["a_video"] / base["a_video"]), (SOURCE,)),
        "making": Number(sum(made) / len(made), (SOURCE,), len(made)),
        "making, videos": Number(sum(made) / len(made) / base["a_video"], (SOURCE,), len(made)),
    }
