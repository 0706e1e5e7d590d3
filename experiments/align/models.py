"""Videos of held-out prompts by every model, from the same noise, and the best of several draws of the base world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from physgen.drawn import ANOTHER
from physgen.experiments.align.asked import held_out
from physgen.experiments.align.cost import Cost
from physgen.experiments.align.options import AlignConfig
from physgen.experiments.align.pool import asked_in, cost_of, draw, run, videos_of
from physgen.experiments.align.select import merit
from physgen.experiments.draw.videos import Task, plan, produce, save_arrays
from physgen.experiments.finetune.train import TrainingArm

BASE, BEST, TRUTH = "base", "best of N", "simulator"
#: other simulator videos of the same prompts, that distances are measured to
REFERENCE = "reference"


@dataclass(frozen=True)
class Model:
    """Where the held-out videos of a model lie, and what drawing them cost, training not counted."""

    name: str
    seed: int
    tasks: list[Task]
    cost: Cost


def draw_models(config: AlignConfig, out: Path, arms: Sequence[TrainingArm], spent: Cost) -> list[Model]:
    """The base world, every finished LoRA, the best of as many draws as `spent` pays for, and simulator videos."""
    asked = held_out(config)
    base = draw(config, out / BASE, asked, None)
    models = [Model(BASE, 0, base, cost_of(base))]
    for arm in arms:
        tasks = draw(config, out / f"{arm.name}-{arm.seed}", asked, arm.file)
        models.append(Model(arm.name, arm.seed, tasks, cost_of(tasks)))
    models.append(best_of_n(config, out, base, draws(config.best_of, cost_of(base), spent)))
    return models + truth(config, out)


def draws(asked: int | None, base: Cost, spent: Cost) -> int:
    """Draws of each prompt: as asked for, or so many that they cost what making the aligned model and drawing cost.

    >>> draws(None, Cost(100), Cost(200, 10))
    4
    """
    return asked or 1 + math.ceil(spent.total / base.total)


def best_of_n(config: AlignConfig, out: Path, base: Sequence[Task], n: int) -> Model:
    """Of ``n`` draws of the base world, the first of which is its own, those that the selecting instruments prefer."""
    asked = asked_in(base)
    every = [list(base)]
    for k in range(1, n):
        further = [replace(prompt, seed=prompt.seed + k * ANOTHER) for prompt in asked]
        every.append(draw(config, out / "draws" / str(k), further, None))
    chosen = [replace(task, path=out / f"best-of-{n}" / task.path.name) for task in base]
    choices = list(zip(chosen, *every, strict=True))
    run(_choose, config, [choice for choice in choices if not choice[0].path.exists()])
    return Model(BEST, 0, chosen, sum((cost_of(tasks) for tasks in every), Cost()))


def _choose(rank: int, processes: int, config: AlignConfig, choices: list[tuple[Task, ...]]) -> None:
    for target, *drawn in tqdm(choices[rank::processes], desc="choose", unit="task", disable=rank != 0):
        videos = np.stack([videos_of(task).numpy() for task in drawn])
        merits = [
            [
                merit(config.world, p, v, config.select)
                for p, v in zip(task.prompts, videos_of(task).split(1), strict=True)
            ]
            for task in drawn
        ]
        best = np.argmax(merits, axis=0)
        target.path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(target.path, {"video": videos[best, np.arange(len(best))], "chosen": best})


def truth(config: AlignConfig, out: Path) -> list[Model]:
    """Simulator videos of the held-out prompts, twice, where there is a simulator of them."""
    if config.family is None:
        return []
    found = []
    for name in (TRUTH, REFERENCE):
        tasks = plan(out / name, (name,), held_out(config), 0)
        produce(config.world, tasks, processes=config.processes, device=config.device)
        found.append(Model(name, 0, tasks, Cost()))
    return found
