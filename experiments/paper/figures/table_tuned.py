"""Mass in the loss of fine-tuning, and mass imposed on 64 prompts: single figures that the text quotes."""

from __future__ import annotations

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro/finetuning.json"
ROWS = {
    "mass_drift": "drift of mass",
    "heat_fitted": "residual of diffusion, D fitted",
    "attributes": "attributes recognised",
    "mmd2": "MMD²",
    "degenerate": "empty or uniform",
}
MODELS = {"untuned": "not tuned", "without": "tuned without the law", "with": "tuned with mass in the loss"}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a figure of unguided samples: three models, and the paired difference that the law makes."""
    data = store.documented("micro/finetuning")
    prompts, numbers, rows = data["prompts"], {"n": Number(data["prompts"], (SOURCE,))}, []
    for key, label in ROWS.items():
        for model in MODELS:
            numbers[f"{model}.{key}"] = Number.read(data["models"]["unguided"][model][key], SOURCE, prompts)
        change = Number.read(data["differences"]["unguided"]["with - without"][key], SOURCE, prompts)
        numbers[f"change.{key}"] = change
        rows.append((label, *(numbers[f"{model}.{key}"].text for model in MODELS), change.text))
    loss = data["differences"]["held-out clips"]["with - without"]["flow_loss"]
    numbers["change.flow_loss"] = Number.read(loss, SOURCE, data["clips"])
    columns = ("unguided samples", *MODELS.values(), "difference of the last two, paired")
    return Made(numbers, columns=columns, rows=tuple(rows))
