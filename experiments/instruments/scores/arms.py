"""The micro task set's videos: simulator, reconstruction, and the model: unguided, chosen, projected and guided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import Constraint
from physgen.drawn import AFTERWARDS, ANOTHER, GUIDED, UNGUIDED, Request, draw
from physgen.experiments.content.arms import best_of, draw_particles, draw_with_steps, prune, scout
from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.estimators import REWARDS
from physgen.experiments.content.rewards import as_reward
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR, reconstruct, simulate
from physgen.experiments.instruments.subject import subject_of
from physgen.experiments.micro.cases import EXPLAINED, IN_PART, Case
from physgen.experiments.micro.flow import EVERY, START, project_colours
from physgen.experiments.microworldbench.tasks.data import Task
from physgen.experiments.train.distributed import launch
from physgen.guidance import DPS, Guidance, OfVideo, Particles
from physgen.observables import Observable
from physgen.projected import project_video
from physgen.video import Video, write_mp4
from physgen.worlds import World, WorldSpec
from physgen.worlds.loading import load

#: at four times the cost of a sample, and pruned at 1.7 times
MORE, BEST, PARTICLES, PRUNED = "four times the steps", "best of 4", "particles", "pruned best of 4"
#: what chose, projected
THEN = " + projection"
CHOSEN = (BEST, PARTICLES, PRUNED)
#: four draws, or particles, each of which is guided
BEST_GUIDED, TOGETHER = f"{BEST}, {GUIDED}", f"{PARTICLES}, {GUIDED}"
ARMS = (
    *(SIMULATOR, RECONSTRUCTION, UNGUIDED, MORE, *CHOSEN),
    *(AFTERWARDS, GUIDED, *(arm + THEN for arm in CHOSEN), BEST_GUIDED, TOGETHER),
)
#: rewards that choose, of those that the prompt has a reading for
CHOOSING = ("attributes", "phases_by_judge", "count_by_components", "direction")
PRUNING = "pruned best of 4 (1 left at 0.2)"
PROCESSES = 2

Drawn = Float[Tensor, "1 3 T H W"]


def prompt_of(task: Task, seed: int) -> Prompt:
    """The prompt of a task and the seed of its noise."""
    subject = subject_of(task.task)
    assert subject is not None, task.task
    return Prompt(subject.family, task.index, dict(subject.attributes), task.task, 10_000 * seed + task.index)


def laws(world: World, prompt: Prompt) -> dict[str, Constraint]:
    """The constraints that the family's physics obeys, and a nearest video does.

    Those of Gray-Scott have the constants of the pattern.
    """
    named = (*world.spec.families[prompt.family].laws, *IN_PART.get(prompt.family, ()))
    known = {law: Case(law, prompt).constraint() for law in named}
    return {name: law for name, law in known.items() if law.projects}


def guidance_by(constraints: Mapping[str, Constraint]) -> Guidance:
    """By a law of flow `DPS` from early on, by others `Projection` in the last steps, which ends with theirs."""
    if "transport" in constraints:
        return DPS(constraints, start=START, every=EVERY, terminal=False)
    return default_guidance("projection", constraints)


def project(world: World, prompt: Prompt, video: Drawn, constraints: Mapping[str, Constraint]) -> Drawn:
    """The nearest video that obeys the laws: of a law of flow in all colours, else in the fields that are read."""
    grid = world.grid(prompt.caption)
    if "transport" in constraints:
        return project_colours(video, constraints["transport"], grid)[0]
    guidance = default_guidance("projection", constraints)
    return project_video(video, guidance, shown_by(world, prompt), grid).video


def shown_by(world: World, prompt: Prompt) -> Observable:
    """The world's observable, under which a projected video shows its fields alone, where they are all there is."""
    return world.observable(prompt.caption, off_map=0.0 if prompt.family in EXPLAINED else 1.0)


def chooser(world: World, prompt: Prompt) -> OfVideo:
    """The sum of the rewards that choose."""
    asked = asked_of(prompt.caption, world.spec)
    named = [name for name in CHOOSING if REWARDS[name].applies(asked)]
    rewards = [as_reward(name, asked) for name in named]
    uses = tuple(dict.fromkeys(part for name in named for part in REWARDS[name].uses))
    return OfVideo(lambda video: torch.stack([reward(video) for reward in rewards]).sum(0), "content", uses)


def draw_arms(world: World, prompt: Prompt) -> dict[str, Drawn]:
    """The prompt in every arm."""
    steps, content = world.spec.steps, chooser(world, prompt)
    simulated = simulate(prompt, world.spec, [7, prompt.seed])
    scouted = scout(world, prompt, {content.name: content})
    choices = {BEST: best_of(scouted, 4, content.name), PRUNED: prune(scouted, PRUNING, content.name, steps)}
    free = {UNGUIDED: scouted.videos[:1]} | {arm: scouted.videos[one.candidate][None] for arm, one in choices.items()}
    free[PARTICLES] = draw_particles(world, prompt, {content.name: content}, 4)[0]
    found = {SIMULATOR: simulated, RECONSTRUCTION: reconstruct(world, simulated), **free}
    found[MORE] = draw_with_steps(world, prompt, 4 * steps)[0]
    constraints = laws(world, prompt)
    guidance = guidance_by(constraints)
    for arm, video in free.items():
        found[AFTERWARDS if arm == UNGUIDED else arm + THEN] = project(world, prompt, video, constraints)
    # chosen when they are finished, and projected but where a flow is projected below
    guided = torch.cat([draw_guided(world, prompt, guidance, candidate) for candidate in range(4)])
    together = draw_guided(world, prompt, Particles(4, {content.name: content}, inside=guidance))
    best = int(content(guided).argmax())
    for arm, video in {GUIDED: guided[:1], BEST_GUIDED: guided[best : best + 1], TOGETHER: together}.items():
        found[arm] = video if guidance.terminal else project(world, prompt, video, constraints)
    return found


def draw_guided(world: World, prompt: Prompt, guidance: Guidance, candidate: int = 0) -> Drawn:
    """A guided video from the noise of one of the candidates."""
    request = Request(prompt.caption, prompt.seed + ANOTHER * candidate)
    drawn = draw(world, request, guidance, observable=shown_by(world, prompt), arms=[GUIDED]).guided
    assert drawn
    return drawn.video


def write_all(spec: WorldSpec, tasks: Sequence[Task], seeds: int, out: Path) -> None:
    """`write_arms` in two processes."""
    launch(_write_some, PROCESSES, spec, tasks, seeds, out)


def _write_some(rank: int, processes: int, spec: WorldSpec, tasks: Sequence[Task], seeds: int, out: Path) -> None:
    world = load(spec, "cpu")
    world.pipe.set_progress_bar_config(disable=True)
    write_arms(world, tasks[rank::processes], seeds, out)


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
