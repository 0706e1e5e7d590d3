"""All prompts, all observations, all arms: a file a prompt and observation, so that a killed run goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from physgen.ensemble import INFLATION, INFLATION_JOINED
from physgen.experiments.assimilate.arms import (
    BOTH,
    FREE_SCALE,
    INSIDE,
    MODEL,
    TUNED_BOTH,
    Made,
    ObservedCase,
    arms_of_movie,
    every_arm,
    joined,
    observed,
    pool,
    timed,
    unguided,
)
from physgen.experiments.assimilate.cases import Case, Source, crop_of, read_case
from physgen.experiments.assimilate.filled import write_filled
from physgen.experiments.assimilate.observations import OBSERVATIONS, Observation
from physgen.experiments.assimilate.scores import scores
from physgen.experiments.assimilate.table import report
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.runs.progress import Record, read_records, write_records
from physgen.experiments.train.distributed import launch
from physgen.worlds import World, WorldSpec, world_spec
from physgen.worlds.loading import load

if TYPE_CHECKING:
    from physgen.experiments.assimilate.job import AssimilateConfig

#: samples of the arms whose bands are examined
MANY = 16
#: arms whose samples share the errors of a law
JOINED = (BOTH, f"{BOTH}, {MANY} samples", INSIDE, TUNED_BOTH)


@dataclass(frozen=True)
class Task:
    """One prompt, the observations of it, and whether its bands are examined."""

    prompt: Prompt
    observations: tuple[str, ...]
    thorough: tuple[str, ...]
    samples: int
    calibrated: bool
    folder: Path
    source: Source | None = None

    def store(self, observation: str) -> Path:
        """Where the records of one observation are kept."""
        return self.folder / f"{self.prompt.family}-{self.prompt.seed:06d}-{observation}.json"


def run_assimilate(config: AssimilateConfig, out: Path) -> None:
    """Write ``assimilate.json`` and ``assimilate.md``, and pictures of what is filled in of a movie."""
    asked = [prompts(family, config.n, "held_out", config.seed) for family in config.families]
    tasks = [
        Task(
            prompt,
            tuple(config.observations),
            tuple(config.thorough),
            config.samples,
            index < config.calibrate,
            out / "records",
            config.source(),
        )
        for index, group in enumerate(zip(*asked, strict=True))
        for prompt in group
    ]
    missing = [task for task in tasks if not all(task.store(name).is_file() for name in task.observations)]
    if missing:
        (out / "records").mkdir(parents=True, exist_ok=True)
        launch(_work, min(config.processes, len(missing)), world_spec("micro"), missing, config.lora)
    report([one for task in tasks for name in task.observations for one in read_records(task.store(name))], out)


def _work(rank: int, processes: int, spec: WorldSpec, missing: list[Task], lora: str | None) -> None:
    world = _frozen(spec)
    tuned = None if lora is None else _frozen(replace(spec, checkpoint=str(Path(lora).expanduser())))
    movie = None if missing[0].source is None else missing[0].source.open()
    for task in tqdm(missing[rank::processes], desc="prompts", disable=rank != 0):
        if task.source is None or movie is None:
            _simulated(world, task)
        else:
            _cut(world, tuned, task, crop_of(movie, task.source.cut, task.source.caption, task.prompt, spec))


def _frozen(spec: WorldSpec) -> World:
    world = load(spec, "cpu")
    for network in (world.pipe.transformer, world.pipe.vae):
        network.eval().requires_grad_(False)
    return world


def _cut(world: World, tuned: World | None, task: Task, case: Case) -> None:
    for name in task.observations:
        if task.store(name).is_file():
            continue
        observation = OBSERVATIONS[name](case.truth, case.generator(name))
        found = arms_of_movie(ObservedCase(world, case, observation.seen, task.samples, name), tuned)
        write_filled(task.store(name).with_suffix(".png"), case, observation, found)
        write_records(task.store(name), [_record(case, observation, name, arm, made) for arm, made in found.items()])


def _simulated(world: World, task: Task) -> None:
    case = read_case(task.prompt, world.spec)
    free: tuple[Made, ...] = ()
    for name in task.observations:
        if task.store(name).is_file():
            continue
        observation = OBSERVATIONS[name](case.truth, case.generator(name))
        asked = ObservedCase(world, case, observation.seen, task.samples, name)
        free = free or tuple(timed(asked, partial(draw, asked), FREE_SCALE) for draw in (unguided, pool))
        found = every_arm(asked, *free, thorough=name in task.thorough)
        records = [_record(case, observation, name, arm, made) for arm, made in found.items()]
        if task.calibrated:
            many = replace(asked, count=MANY)
            model = timed(many, partial(observed, many, jacobian="backward"))
            named = {f"{MODEL}, {MANY} samples": model}
            if case.law is not None:
                named[f"{BOTH}, {MANY} samples"] = replace(model, fields=joined(many, model.fields))
            records += [_record(case, observation, name, arm, made) for arm, made in named.items()]
        write_records(task.store(name), records)


def _record(case: Case, observation: Observation, name: str, arm: str, made: Made) -> Record:
    return {
        "family": case.prompt.family,
        "index": case.prompt.seed,
        "caption": case.prompt.caption,
        "observation": name,
        "arm": arm,
        "samples": len(made.fields),
        "seconds": made.seconds,
        "calls": made.calls,
        **scores(case, observation, made.fields, INFLATION_JOINED if arm in JOINED else INFLATION),
    }
