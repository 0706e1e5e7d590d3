"""A model's own samples: which of them the instruments accept, and what those are after projection."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import Constraint
from physgen.drawn import UNGUIDED
from physgen.errors import InvalidArgument
from physgen.experiments.align.cost import Cost
from physgen.experiments.align.options import AlignConfig
from physgen.experiments.align.select import merit, shows_nothing
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.videos import SAMPLED, Task, plan, produce, save_arrays
from physgen.experiments.train.distributed import launch
from physgen.guidance import Projection
from physgen.projected import project_video
from physgen.worlds import World
from physgen.worlds.loading import load


@dataclass(frozen=True)
class SamplePool:
    """Samples of training prompts in latents that the transformer works in, and what was found out about them.

    `projected` is NaN where a sample was not accepted by the instruments, or no video near it keeps the laws.
    """

    prompts: Sequence[Prompt]
    latents: Float[Tensor, "N C T h w"]
    projected: Float[Tensor, "N C T h w"]
    merits: Float[Tensor, "N"]
    degenerate: Bool[Tensor, "N"]
    cost: Cost

    @property
    def accepted(self) -> list[int]:
        """Samples that the instruments accept and that were projected."""
        return self.projected.flatten(1).isfinite().all(1).nonzero()[:, 0].tolist()

    def require_accepted(self, config: AlignConfig) -> None:
        """Refuse to go on without any.

        Raises: InvalidArgument.
        """
        if not self.accepted:
            passed = int((self.merits >= config.alpha).sum())
            best = f"the largest p-value of one is {float(self.merits.max()):.3g}"
            got = f"{config.select}: of {len(self.merits)} samples {passed} pass, none of them can be projected; {best}"
            raise InvalidArgument("select", got, "instruments that accept a sample; more samples=, a smaller alpha=")


def make_pool(config: AlignConfig, folder: Path, asked: Sequence[Prompt], lora: Path | None) -> SamplePool:
    """Draw, select and project; what is in the folder already is not made again."""
    tasks = draw(config, folder, asked, lora)
    run(_read, config, [task for task in tasks if not readings(task).exists()])
    found: dict[str, list[Any]] = {}
    for task in tasks:
        with np.load(readings(task)) as arrays:
            for name in arrays.files:
                found.setdefault(name, []).append(torch.from_numpy(np.atleast_1d(arrays[name])))
    rows = {name: torch.cat(parts) for name, parts in found.items()}
    seconds = float(rows.pop("seconds").sum())
    return SamplePool(asked_in(tasks), cost=cost_of(tasks) + Cost(seconds=seconds), **rows)


def draw(config: AlignConfig, folder: Path, asked: Sequence[Prompt], lora: Path | None) -> list[Task]:
    """Draw what is not there yet, a file for some prompts.

    Raises: InvalidArgument for a folder of a version that did not keep the latents that were sampled.
    """
    tasks = [
        task
        for family in dict.fromkeys(prompt.family for prompt in asked)
        for task in plan(folder, (UNGUIDED,), [p for p in asked if p.family == family], 0)
    ]
    for path in [task.path for task in tasks if task.path.exists()]:
        with np.load(path) as arrays:
            if SAMPLED not in arrays:
                raise InvalidArgument("out", str(path), "a new folder: this one has no latents as they were sampled")
    produce(config.world, tasks, processes=config.processes, device=config.device, lora=lora)
    return tasks


def asked_in(tasks: Sequence[Task]) -> list[Prompt]:
    """The prompts of tasks, in their order."""
    return [prompt for task in tasks for prompt in task.prompts]


def run(job: Any, config: AlignConfig, tasks: Sequence[Any], *more: Any) -> None:
    """Run ``job(rank, processes, config, tasks, *more)`` in as many processes as there is work for."""
    if tasks:
        launch(job, min(config.processes, len(tasks)), config, list(tasks), *more)


def cost_of(tasks: Sequence[Task]) -> Cost:
    """What drawing cost."""
    total = Cost()
    for task in tasks:
        with np.load(task.path) as arrays:
            total += Cost(int(arrays["nfe"]), 0, float(arrays["seconds"]))
    return total


def readings(task: Task) -> Path:
    """Where it is kept what was found out about the samples of a task."""
    return task.path.with_suffix(".read.npz")


def videos_of(task: Task) -> Float[Tensor, "N 3 T H W"]:
    """The videos of a task that was drawn."""
    with np.load(task.path) as arrays:
        return torch.from_numpy(arrays["video"])


def _read(rank: int, processes: int, config: AlignConfig, tasks: list[Task]) -> None:
    world, laws = load(config.world, config.device), config.laws()
    for task in tqdm(tasks[rank::processes], desc="select", unit="task", disable=rank != 0):
        save_arrays(readings(task), read(world, laws, config, task))


def read(world: World, laws: dict[str, Constraint], config: AlignConfig, task: Task) -> dict[str, Any]:
    """Merits, degenerate samples, latents, and of what is accepted the latents after projection."""
    began = time.perf_counter()
    with np.load(task.path) as arrays:
        latents = world.normalise(torch.from_numpy(arrays[SAMPLED]))
    projected, merits, nothing = torch.full_like(latents, torch.nan), [], []
    for i, (prompt, video) in enumerate(zip(task.prompts, videos_of(task).split(1), strict=True)):
        nothing.append(shows_nothing(world.spec, prompt, video))
        merits.append(merit(world.spec, prompt, video, config.select))
        if merits[-1] >= config.alpha and (near := nearest(world, laws, prompt, video)) is not None:
            change = world.encode(near) - world.encode(video)
            projected[i] = latents[i] + change[0]  # the autoencoder's error on the whole sample cancels
    return {
        "latents": latents.numpy(),
        "projected": projected.numpy(),
        "merits": np.array(merits, np.float32),
        "degenerate": np.array(nothing),
        "seconds": time.perf_counter() - began,
    }


def nearest(
    world: World, laws: dict[str, Constraint], prompt: Prompt, video: Float[Tensor, "1 3 T H W"]
) -> Float[Tensor, "1 3 T H W"] | None:
    """The nearest video that keeps the laws, ``None`` where the projection says that there is none."""
    observable, grid = world.observable(prompt.caption), world.grid(prompt.caption)
    found = project_video(video, Projection(laws), observable, grid)
    return None if found.record.dropped or found.record.contradiction else found.video
