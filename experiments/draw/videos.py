"""The videos that a suite compares, made by several processes and kept on disk.

Arms: ``reference`` and ``simulator`` (other draws of the same prompts), with the latents and the autoencoder's
reconstruction of the latter; ``unguided`` and ``guided`` samples from the same noise, the former with the latents that
were `SAMPLED` and those that their videos are encoded to.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import MassConservation
from physgen.drawn import UNGUIDED, Arm, Request, draw
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.train.distributed import launch
from physgen.sampling.swap import replaced
from physgen.simulators import SIMULATORS
from physgen.worlds import World, WorldSpec, load_checkpoint
from physgen.worlds.loading import load

CHUNK = 4
#: latents of unguided samples as the sampler ends with them
SAMPLED = "sampled"


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


def make_arrays(world: World, task: Task) -> dict[str, Any]:
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
            latents = world.encode(torch.from_numpy(clips.video), normalised=False)
            seen = world.decode(latents, normalised=False)
            arrays |= {"latents": latents.numpy(), "reconstruction": seen.numpy()}
        return arrays
    guidance = default_guidance("x0_gradient", {"mass": MassConservation()})
    drawn: list[Arm] = []
    with decoded(world.pipe.vae) as sampled:
        for p in task.prompts:
            drawn += draw(world, Request(p.caption, p.seed), guidance, arms=[task.arm]).arms.values()
    video = torch.cat([arm.video for arm in drawn])
    cost: dict[str, Any] = {"nfe": sum(arm.nfe for arm in drawn), "seconds": sum(arm.seconds for arm in drawn)}
    if task.arm == UNGUIDED:
        latents = world.encode(video, normalised=False)
        cost |= {"latents": latents.numpy(), SAMPLED: torch.cat(sampled).numpy()}
    return {"video": video.numpy(), **cost}


@contextmanager
def decoded(vae: Any) -> Iterator[list[Tensor]]:
    """What an autoencoder is given to decode: the latents that a sampler ends with, not normalised."""
    seen: list[Tensor] = []
    decode = vae.decode

    def seeing(latents: Tensor, *more: Any, **options: Any) -> Any:
        seen.append(latents.detach().float().cpu())
        return decode(latents, *more, **options)

    with replaced(vae, "decode", seeing):
        yield seen


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays so that a kill leaves the whole file or none."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(stream, **arrays)
    partial.replace(path)


def _produce(
    rank: int, processes: int, spec: WorldSpec, tasks: list[Task], device: str | None, lora: Path | None
) -> None:
    world = load(spec, device)
    if lora is not None:
        load_checkpoint(world.pipe, lora)
    for task in tqdm(tasks[rank::processes], desc="videos", unit="task", disable=rank != 0):
        if not task.path.exists():
            save_arrays(task.path, make_arrays(world, task))


def produce(
    spec: WorldSpec, tasks: Sequence[Task], *, processes: int, device: str | None = "cpu", lora: Path | None = None
) -> None:
    """Make the videos that are not there yet; those of a model with a LoRA on top of the world's own weights."""
    missing = [task for task in tasks if not task.path.exists()]
    if missing:
        missing[0].path.parent.mkdir(parents=True, exist_ok=True)
        launch(_produce, min(processes, len(missing)), spec, missing, device, lora)


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
