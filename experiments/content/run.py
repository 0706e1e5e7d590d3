"""All questions, prompts and arms: a file a prompt, so that a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from physgen.drawn import UNGUIDED
from physgen.experiments.content.arms import (
    PRUNED,
    Choice,
    Scouted,
    best_of,
    draw_particles,
    draw_search,
    draw_with_steps,
    prune,
    scout,
)
from physgen.experiments.content.asked import Asked, asked_of
from physgen.experiments.content.questions import estimators, prompts_of
from physgen.experiments.content.rewards import as_reward, is_right, scores, shared
from physgen.experiments.content.table import report
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.runs.progress import Record, read_records, write_records
from physgen.experiments.train.distributed import launch
from physgen.measure import degenerate
from physgen.worlds import World, WorldSpec, world_spec
from physgen.worlds.loading import load

if TYPE_CHECKING:
    from physgen.experiments.content.job import ContentConfig


@dataclass(frozen=True)
class Task:
    """One prompt of a question, with numbers of particles, iterations and factors of steps, and its records' place."""

    question: str
    prompt: Prompt
    particles: tuple[int, ...]
    search: tuple[int, ...]
    steps: tuple[int, ...]
    folder: Path

    @property
    def store(self) -> Path:
        """File of its records."""
        return self.folder / f"{self.question}-{self.prompt.seed:06d}.json"


def run_content(config: ContentConfig, out: Path) -> None:
    """Write ``content.json`` and ``content.md``."""
    spec = world_spec("micro")
    asked = [
        [(question, p) for p in prompts_of(question, config.n, config.seed, spec)] for question in config.questions
    ]
    tasks = [
        Task(question, prompt, tuple(config.particles), tuple(config.search), tuple(config.steps), out / "records")
        for group in zip(*asked, strict=True)
        for question, prompt in group
    ]
    missing = [task for task in tasks if not task.store.is_file()]
    if missing:
        (out / "records").mkdir(parents=True, exist_ok=True)
        launch(_work, min(config.processes, len(missing)), spec, missing)
    report([record for task in tasks for record in read_records(task.store)], config, spec, out)


def _work(rank: int, processes: int, spec: WorldSpec, missing: list[Task]) -> None:
    world = load(spec, "cpu")
    world.pipe.set_progress_bar_config(disable=True)
    for task in tqdm(missing[rank::processes], desc="prompts", disable=None if rank == 0 else True):
        write_records(task.store, records(world, task))


def records(world: World, task: Task) -> list[Record]:
    """One record of each arm and reward, and one of what early estimates say."""
    prompt, names = task.prompt, estimators(task.question)
    asked = asked_of(prompt.caption, world.spec)
    rewards = {name: as_reward(name, asked) for name in names}
    found = scout(world, prompt, rewards)
    read = [_read(world, prompt, asked, video, names) for video in found.videos]
    about: Record = {"question": task.question, "index": prompt.seed, "caption": prompt.caption}
    made: list[Record] = [{**about, "arm": "early", "early": _by_level(found), "final": dict(found.final)}]

    def add(arm: str, reward: str | None, choice: Choice, seen: Record) -> None:
        imposed = [name for name in names if reward and shared([reward], name)]
        cost = {"evaluations": choice.evaluations, "decodes": choice.decodes}
        made.append({**about, "arm": arm, "reward": reward, "imposed": imposed, **cost, **seen})

    add(UNGUIDED, None, Choice(0, found.evaluations, 1), read[0])
    for reward in names:
        for n in (2, 4):
            choice = best_of(found, n, reward)
            add(f"best of {n}", reward, choice, read[choice.candidate])
        for arm in PRUNED:
            choice = prune(found, arm, reward, world.spec.steps)
            add(arm, reward, choice, read[choice.candidate])
    for n in task.particles:
        video, choice = draw_particles(world, prompt, {names[0]: rewards[names[0]]}, n)
        add(f"particles, {n}", names[0], choice, _read(world, prompt, asked, video[0], names))
    for iterations in task.search:
        for climbed in [name for name in names if rewards[name].differentiable]:
            video, choice = draw_search(world, prompt, rewards[climbed], iterations)
            add(f"noise search, {iterations}", climbed, choice, _read(world, prompt, asked, video[0], names))
    for factor in task.steps:
        video, choice = draw_with_steps(world, prompt, factor * world.spec.steps)
        add(f"steps x{factor}", None, choice, _read(world, prompt, asked, video[0], names))
    return made


def _by_level(found: Scouted) -> dict[str, Mapping[str, list[float]]]:
    return {f"{level:g}": values for level, values in found.early.items()}


def _read(
    world: World, prompt: Prompt, asked: Asked, video: Float[Tensor, "3 T H W"], names: tuple[str, ...]
) -> Record:
    values = scores(video, asked, names)
    observable = world.observable(prompt.caption)
    why = degenerate(observable(video[None]), observable.least)[0]
    return {"scores": values, "right": {name: is_right(name, v) for name, v in values.items()}, "degenerate": why}
