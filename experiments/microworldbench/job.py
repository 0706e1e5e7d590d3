"""`physgen benchmark`: fetch, doctor, rules, generate, score and protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console

from physgen.experiments.cli.config import one_of
from physgen.experiments.microworldbench.options import BenchmarkConfig, data_file, data_folder
from physgen.experiments.microworldbench.rules_job import run_rules
from physgen.experiments.microworldbench.score_job import run_score
from physgen.experiments.microworldbench.tasks.data import (
    RAW_RUBRICS,
    RUBRICS,
    TASKS,
    entries,
    read_rubrics,
    read_tasks,
)
from physgen.experiments.microworldbench.tasks.doctor import diagnose
from physgen.experiments.runs.records import write_json_atomic


def run(config: BenchmarkConfig) -> int | None:
    """Do what the first word says; 1 where videos are missing.

    Raises: InvalidArgument.
    """
    actions: dict[str, Callable[[BenchmarkConfig], int | None]] = {
        "fetch": run_fetch,
        "doctor": run_doctor,
        "rules": run_rules,
        "generate": run_generate,
        "score": run_score,
        "protocol": run_all,
    }
    if not config.action or config.action[0] not in actions or (config.action[1:] and config.action[0] != "rules"):
        raise one_of("action", " ".join(config.action), actions)
    return actions[config.action[0]](config)


def run_generate(config: BenchmarkConfig) -> int:
    """Make videos of the tasks."""
    from physgen.experiments.microworldbench.generation.generate import generate

    return generate(config)


def run_all(config: BenchmarkConfig) -> int:
    """Make, judge and report every arm."""
    from physgen.experiments.microworldbench.protocol.job import run_protocol

    return run_protocol(config)


def run_fetch(config: BenchmarkConfig) -> None:
    """Download the three files and name them."""
    from physgen.experiments.microworldbench.tasks.fetch import fetch

    for path in fetch(data_folder(config)):
        print(path)


def run_doctor(config: BenchmarkConfig) -> None:
    """Print every defect of the three files and what is done about it; ``out`` is a JSON file with all places."""
    read_tasks(data_file(config, TASKS))
    for name in (RUBRICS, RAW_RUBRICS):
        read_rubrics(data_file(config, name))
    tasks, rubrics, raw = (entries(name, data_file(config, name)) for name in (TASKS, RUBRICS, RAW_RUBRICS))
    defects = diagnose(tasks, rubrics, raw)
    console = Console(highlight=False, soft_wrap=True)
    for defect in defects:
        places = [" ".join(map(str, place)).strip() for place in defect.where[:3]]
        console.print(
            f"{len(defect.where):>5}  {defect.name}: {', '.join(places)}{', …' if len(defect.where) > 3 else ''}"
        )
        console.print(f"{'':>7}upstream: {defect.upstream}\n{'':>7}corrected: {defect.corrected}")
    if config.out:
        write_json_atomic(config.out, [asdict(defect) for defect in defects])
