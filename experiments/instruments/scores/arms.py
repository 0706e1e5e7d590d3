"""The micro task set's videos: simulator, autoencoder's reconstruction, and the model with and without guidance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import Constraint
from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED, Request, draw
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR, reconstruct, simulate
from physgen.experiments.instruments.subject import subject_of
from physgen.experiments.micro.cases import Case
from physgen.experiments.microworldbench.tasks.data import Task
from physgen.video import Video, write_mp4
from physgen.worlds import World

ARMS = (SIMULATOR, RECONSTRUCTION, UNGUIDED, AFTERWARDS, GUIDED)


def prompt_of(task: Task, seed: int) -> Prompt:
    """The prompt of a task and the seed of its noise."""
    subject = subject_of(task.task)
    assert subject is not None, task.task
    return Prompt(subject.family, task.index, dict(subject.attributes), task.task, 10_000 * seed + task.index)


def laws(world: World, prompt: Prompt) -> dict[str, Constraint]:
    """The constraints that the family's physics obeys, if there is a nearest video that does.

    Those of Gray-Scott have the constants of the pattern.
    """
    known = {law: Case(law, prompt).constraint() for law in world.spec.families[prompt.family].laws}
    return {name: law for name, law in known.items() if law.projects}


def draw_arms(world: World, prompt: Prompt) -> dict[str, Float[Tensor, "1 3 T H W"]]:
    """The prompt in every arm; without laws the arms that impose them are the unguided one."""
    simulated = simulate(prompt, world.spec, [7, prompt.seed])
    constraints = laws(world, prompt)
    guidance = default_guidance("projection", constraints) if constraints else None
    drawn = draw(world, Request(prompt.caption, prompt.seed), guidance).arms
    found = {SIMULATOR: simulated, RECONSTRUCTION: reconstruct(world, simulated)}
    return found | {arm: drawn.get(arm, drawn[UNGUIDED]).video for arm in (UNGUIDED, AFTERWARDS, GUIDED)}


def write_arms(world: World, tasks: Sequence[Task], seeds: int, out: Path) -> None:
    """Write ``out/SEED/ARM/INDEX.mp4`` for every arm, those that are not there yet."""
    for seed in range(seeds):
        for arm in ARMS:
            (out / str(seed) / arm).mkdir(parents=True, exist_ok=True)
        for task in tqdm(tasks, desc=f"videos, seed {seed}", disable=None):
            paths = {arm: out / str(seed) / arm / f"{task.index}.mp4" for arm in ARMS}
            if all(path.exists() for path in paths.values()):
                continue
            prompt = prompt_of(task, seed)
            grid = world.grid(task.task)
            scale: dict[str, Any] = {"spacing": tuple(grid.spacing), "dt": grid.dt}
            for arm, video in draw_arms(world, prompt).items():
                partial = paths[arm].with_name(f".{task.index}.mp4")
                frames = video[0].transpose(0, 1)
                write_mp4(partial, Video(frames, prompt=task.task, **scale), world.fps)
                partial.replace(paths[arm])
