"""The micro task set's videos: simulator, autoencoder's reconstruction, and the model with and without guidance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import Constraint
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.draw.videos import Prompt, decode, moments
from physgen.experiments.instruments.subject import subject_of
from physgen.experiments.micro.cases import Case
from physgen.experiments.microworldbench.tasks.data import Task
from physgen.guidance import Projection
from physgen.sampling.guide import guide
from physgen.simulators import SIMULATORS
from physgen.video.files import Video, write_mp4
from physgen.worlds import World

SIMULATOR, RECONSTRUCTION, UNGUIDED, PROJECTED, GUIDED = ARMS = (
    "simulator",
    "reconstruction",
    "unguided",
    "unguided + projection",
    "guided",
)


def prompt_of(task: Task, seed: int) -> Prompt:
    """The prompt of a task and the seed of its noise."""
    subject = subject_of(task.task)
    assert subject is not None, task.task
    return Prompt(subject.family, task.index, dict(subject.attributes), task.task, 10_000 * seed + task.index)


def laws(world: World, prompt: Prompt) -> list[Constraint]:
    """The constraints that the family's physics obeys, those of Gray-Scott with the constants of the pattern."""
    return [Case(law, prompt).constraint() for law in world.spec.families[prompt.family].laws]


def draw(world: World, prompt: Prompt) -> dict[str, Float[Tensor, "1 3 T H W"]]:
    """The prompt in every arm; without laws the guided arms are the unguided one."""
    rng = np.random.default_rng([7, prompt.seed])
    shape = {"frames": world.spec.num_frames, "size": world.spec.height}
    clips = SIMULATORS[prompt.family](1, rng=rng, attributes=[prompt.attributes], split="all", **shape)
    simulated = torch.from_numpy(clips.video)
    unguided = world.sample(prompt.caption, seed=prompt.seed)
    found = {
        SIMULATOR: simulated,
        RECONSTRUCTION: decode(world, moments(world, simulated)),
        UNGUIDED: unguided,
        PROJECTED: unguided,
        GUIDED: unguided,
    }
    constraints = laws(world, prompt)
    if constraints:
        found[PROJECTED] = project(world, prompt, constraints, unguided)
        guidance = default_guidance("projection", constraints)
        options: dict[str, Any] = {"observable": world.observable(prompt.caption), "grid": world.grid(prompt.caption)}
        with guide(world.pipe, guidance, **options):
            found[GUIDED] = world.sample(prompt.caption, seed=prompt.seed)
    return found


def project(
    world: World, prompt: Prompt, constraints: Sequence[Constraint], video: Float[Tensor, "1 3 T H W"]
) -> Float[Tensor, "1 3 T H W"]:
    """A finished video, moved onto the constraints; as it was where that has no solution."""
    observable, grid = world.observable(prompt.caption), world.grid(prompt.caption)
    target = Projection(constraints).project(observable(video.double()), grid, observable.bounds)
    return observable.embed(video, target).clamp(0, 1) if target.isfinite().all() else video


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
            for arm, video in draw(world, prompt).items():
                partial = paths[arm].with_name(f".{task.index}.mp4")
                frames = video[0].transpose(0, 1)
                write_mp4(partial, Video(frames, prompt=task.task, **scale), world.fps)
                partial.replace(paths[arm])
