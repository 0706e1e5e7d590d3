"""`physgen instruments`: calibrate them, show that they are right, and score the micro task set and flows with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.instruments.nulls import holds_nulls
from physgen.experiments.measure.tables import publish
from physgen.experiments.microworldbench.tasks.data import read_rubrics, read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.experiments.runs.records import origin, run_name, write_json_atomic
from physgen.experiments.runs.resume import resume
from physgen.worlds import WorldSpec
from physgen.worlds.loading import load

#: seed of the simulators where none is asked for, and that of proofs: on the videos of the nulls nothing is proved
SEED, SEED_OF_PROOF = 0, 12345


@dataclass
class InstrumentsConfig:
    """Options of `physgen instruments`, see ``conf/instruments.yaml``."""

    action: list[str]
    world: WorldSpec
    n: int
    seed: int | None
    seeds: int
    alpha: float
    out: str | None


def run(config: InstrumentsConfig) -> None:
    """Do what the first word says.

    Raises: InvalidArgument.
    """
    actions: dict[str, Callable[[InstrumentsConfig, Path], None]] = {
        "calibrate": run_calibrate,
        "prove": run_prove,
        "microscopy": run_microscopy,
        "scores": run_scores,
        "blood": partial(run_flow, "blood"),
        "vessel": partial(run_flow, "vessel"),
    }
    word, *files = config.action or [""]
    if word not in actions or bool(files) != (word == "microscopy"):
        raise one_of("action", " ".join(config.action), [*actions, "microscopy FILE ..."])
    config = replace(config, seed=seed_of(config))
    for name, least in {"n": 1, "seed": 0, "seeds": 1}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    if not 0 < config.alpha < 1:
        raise InvalidArgument("alpha", config.alpha, "a number between 0 and 1")
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "alpha", "seeds")}
    out = Path(config.out or Path("runs") / run_name("instruments", settings))
    if word != "calibrate" or not holds_nulls(out):
        resume(out, settings)
    torch.set_num_threads(1)
    actions[word](config, out)
    print(out)


def seed_of(config: InstrumentsConfig) -> int:
    """The seed that is asked for, or else that of the action."""
    if config.seed is not None:
        return config.seed
    return SEED_OF_PROOF if config.action[0] == "prove" else SEED


def run_calibrate(config: InstrumentsConfig, out: Path) -> None:
    """Null distributions into ``out``; those that are there stay, as in ``experiments/instruments/nulls``."""
    from physgen.experiments.instruments.proof.calibrate import calibrate

    calibrate(load(config.world, "cpu"), config.n, seed_of(config), out)


def run_prove(config: InstrumentsConfig, out: Path) -> None:
    """``prove.json`` and ``prove.md``."""
    from physgen.experiments.instruments.proof.prove import prove, summary, tables

    found = summary(prove(load(config.world, "cpu"), config.n, seed_of(config), out / "rows"), config.alpha)
    write_json_atomic(out / "prove.json", found)
    publish(out / "prove.md", tables(found))


def run_microscopy(config: InstrumentsConfig, out: Path) -> None:
    """``microscopy.json`` and ``microscopy.md``."""
    from physgen.experiments.instruments.proof.microscopy import alarms, tables

    rows = alarms(config.action[1:], config.alpha)
    write_json_atomic(out / "microscopy.json", rows)
    publish(out / "microscopy.md", tables(rows, config.alpha))


def run_scores(config: InstrumentsConfig, out: Path) -> None:
    """Videos of every arm, ``scores.json`` and ``scores.md``."""
    from physgen.experiments.instruments.scores.arms import write_all
    from physgen.experiments.instruments.scores.scores import record, score_arms, tables

    tasks_file, rubrics_file = named_tasks("micro")
    tasks, rubrics = read_tasks(tasks_file), read_rubrics(rubrics_file)
    write_all(config.world, tasks, config.seeds, out / "videos")
    found = score_arms(tasks, rubrics, out / "videos", config.seeds, config.alpha)
    write_json_atomic(out / "scores.json", record(found))
    publish(out / "scores.md", tables(found, tasks))


def run_flow(family: str, config: InstrumentsConfig, out: Path) -> None:
    """Every arm of a family's tasks with noise ``seed`` and those after it; ``<family>.json`` and ``<family>.md``."""
    from physgen.experiments.instruments.flow import run, table
    from physgen.experiments.instruments.subject import subject_of

    tasks_file, rubrics_file = named_tasks("micro")
    subjects = {task.index: subject_of(task.task) for task in read_tasks(tasks_file)}
    wanted = {index for index, subject in subjects.items() if subject and subject.family == family}
    tasks = [task for task in read_tasks(tasks_file) if task.index in wanted]
    rubrics = [rubric for rubric in read_rubrics(rubrics_file) if rubric.index in wanted]
    seeds = range(seed_of(config), seed_of(config) + config.seeds)
    records = run.run_flow(load(config.world, "cpu"), tasks, rubrics, seeds, config.alpha, out)
    write_json_atomic(out / f"{family}.json", {**origin(config.world), **table.summary(records, rubrics[0], family)})
    publish(out / f"{family}.md", table.tables(records, rubrics[0], family))
