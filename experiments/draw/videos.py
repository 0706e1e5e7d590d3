"""The videos that a suite compares, made by several processes and kept on disk.

Arms: ``reference`` and ``simulator`` (other draws of the same prompts), with the latents and the autoencoder's
reconstruction of the latter; ``unguided`` and ``guided`` samples from the same noise.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import MassConservation
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.train.distributed import launch
from physgen.sampling.guide import guide
from physgen.simulators import GRAMMARS, SIMULATORS
from physgen.simulators.captions import Split
from physgen.worlds import World, WorldSpec

CHUNK = 4


@dataclass(frozen=True)
class Prompt:
    """A caption, what it asks for, and the seed of its samples."""

    family: str
    index: int
    attributes: dict[str, str]
    caption: str
    seed: int


def prompts(family: str, count: int, split: Split, seed: int) -> list[Prompt]:
    """``count`` prompts that go round the combinations of a split, kind by kind.

    >>> [p.attributes["kind"] for p in prompts("dye", 4, "held_out", 0)]
    ['drop', 'frap', 'drop', 'frap']
    """
    rng = np.random.default_rng([seed, zlib.crc32(family.encode())])
    kinds = GRAMMARS[family]
    turns = {kind: itertools.cycle(grammar.combinations(split)) for kind, grammar in kinds.items()}
    found = []
    for index, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        attributes = {"kind": kind, **next(turns[kind])}
        noise = (seed * len(GRAMMARS) + list(GRAMMARS).index(family)) * 10_000 + index
        found.append(Prompt(family, index, attributes, kinds[kind].caption(attributes, rng), noise))
    return found


@dataclass(frozen=True)
class Task:
    """Some prompts of one family in one arm, and the file that their videos go to."""

    arm: str
    prompts: Sequence[Prompt]
    path: Path
    seed: int


def plan(out: Path, arms: Sequence[str], asked: Sequence[Prompt], seed: int) -> list[Task]:
    """The tasks of some arms over prompts of one family, in order."""
    return [
        Task(arm, asked[start : start + CHUNK], out / "videos" / f"{arm}-{asked[0].family}-{start:04d}.npz", seed)
        for arm in arms
        for start in range(0, len(asked), CHUNK)
    ]


def moments(world: World, video: Tensor) -> Tensor:
    """Latents of videos ``[B, 3, T, H, W]`` in [0, 1], as the autoencoder has them, not normalised."""
    with torch.no_grad():
        return world.pipe.vae.encode(2.0 * video - 1.0).latent_dist.mode()


def decode(world: World, latents: Tensor) -> Tensor:
    """Videos ``[B, 3, T, H, W]`` in [0, 1] of latents that are not normalised."""
    with torch.no_grad():
        return (world.pipe.vae.decode(latents).sample / 2.0 + 0.5).clamp(0.0, 1.0)


def draw(world: World, task: Task) -> dict[str, Any]:
    """The arrays of a task."""
    spec = world.spec
    if task.arm in ("reference", "simulator"):
        family = task.prompts[0].family
        rng = np.random.default_rng([task.seed, zlib.crc32(task.path.name.encode())])
        clips = SIMULATORS[family](
            len(task.prompts),
            rng=rng,
            frames=spec.num_frames,
            size=spec.height,
            attributes=[p.attributes for p in task.prompts],
            split="all",
        )
        arrays: dict[str, Any] = {"video": clips.video, "parameters": json.dumps(clips.parameters)}
        if task.arm == "simulator":
            latents = moments(world, torch.from_numpy(clips.video))
            arrays |= {"latents": latents.numpy(), "reconstruction": decode(world, latents).numpy()}
        return arrays
    if task.arm == "unguided":
        video = torch.cat([world.sample(p.caption, seed=p.seed) for p in task.prompts])
        return {"video": video.numpy(), "latents": moments(world, video).numpy()}
    guidance = default_guidance("x0_gradient", [MassConservation()])
    videos = []
    for p in task.prompts:
        options: dict[str, Any] = {"observable": world.observable(p.caption), "grid": world.grid(p.caption)}
        with guide(world.pipe, guidance, **options):
            videos.append(world.sample(p.caption, seed=p.seed))
    return {"video": torch.cat(videos).numpy()}


def _produce(rank: int, processes: int, spec: WorldSpec, tasks: list[Task]) -> None:
    world = spec.load("cpu")
    for task in tqdm(tasks[rank::processes], desc="videos", unit="task", disable=rank != 0):
        if not task.path.exists():
            partial = task.path.with_suffix(".partial")
            with partial.open("wb") as stream:
                np.savez(stream, **draw(world, task))
            partial.replace(task.path)


def produce(spec: WorldSpec, tasks: Sequence[Task], *, processes: int) -> None:
    """Make the videos that are not there yet."""
    missing = [task for task in tasks if not task.path.exists()]
    if missing:
        missing[0].path.parent.mkdir(parents=True, exist_ok=True)
        launch(_produce, min(processes, len(missing)), spec, missing)


@dataclass(frozen=True)
class Arms:
    """Everything that was made for the prompts of one family: ``[N, 3, T, H, W]`` per arm, and more."""

    prompts: list[Prompt]
    videos: dict[str, Tensor]
    latents: dict[str, Tensor]
    parameters: list[Mapping[str, float]]


def collect(tasks: Sequence[Task]) -> Arms:
    """Read the files of one family's tasks."""
    parts: dict[str, list[np.ndarray]] = {}
    latents: dict[str, list[np.ndarray]] = {}
    parameters: list[Mapping[str, float]] = []
    for task in tasks:
        with np.load(task.path) as arrays:
            parts.setdefault(task.arm, []).append(arrays["video"])
            if "latents" in arrays:
                latents.setdefault(task.arm, []).append(arrays["latents"])
            if "reconstruction" in arrays:
                parts.setdefault("reconstruction", []).append(arrays["reconstruction"])
                parameters += json.loads(str(arrays["parameters"]))
    return Arms(
        [prompt for task in tasks if task.arm == tasks[0].arm for prompt in task.prompts],
        {arm: torch.from_numpy(np.concatenate(p)) for arm, p in parts.items()},
        {arm: torch.from_numpy(np.concatenate(p)) for arm, p in latents.items()},
        parameters,
    )
