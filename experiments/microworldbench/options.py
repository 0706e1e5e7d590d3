"""Options of `physgen benchmark`, and the files that they name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physgen.experiments.microworldbench.tasks.data import RUBRICS, TASKS
from physgen.experiments.microworldbench.tasks.named import SETS, named_tasks
from physgen.worlds import WorldSpec


@dataclass
class BenchmarkConfig:
    """Options of `physgen benchmark`, see ``conf/benchmark.yaml``."""

    action: list[str]
    data: str | None
    tasks: str | None
    rubrics: str | None
    videos: list[str]
    results: list[str]
    labels: list[str]
    judge: dict[str, Any]
    mode: str
    repeats: int
    world: WorldSpec
    pipeline: str | None
    checkpoint: str | None
    alpha: float
    trust_pickle: bool
    constraint: dict[str, Any]
    guidance: dict[str, Any]
    seeds: list[int]
    steps: int | None
    guidance_scale: float | None
    compare: bool
    plan: bool
    shard: str
    device: str | None
    out: str | None


#: options that the videos of `generate` depend on
GENERATION = ("world", "constraint", "guidance", "seeds", "steps", "guidance_scale", "compare")
#: options that the scores of `score` depend on
SCORING = ("data", "tasks", "rubrics", "videos", "results", "judge", "mode", "repeats")


def default_folder() -> Path:
    """``microworldbench`` in ``$PHYSGEN_CACHE``, else in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PHYSGEN_CACHE") or Path(cache) / "physgen") / "microworldbench"


def data_folder(config: BenchmarkConfig) -> Path:
    """Folder of the three files."""
    return Path(config.data).expanduser() if config.data else default_folder()


def data_file(config: BenchmarkConfig, name: str) -> Path:
    """One of the three files, the chosen one where the options name it: by path, or a set that is part of physgen.

    Raises: FileNotFoundError.
    """
    chosen = {TASKS: config.tasks, RUBRICS: config.rubrics}.get(name)
    if chosen in SETS:
        return named_tasks(chosen)[name == RUBRICS]
    path = Path(chosen).expanduser() if chosen else data_folder(config) / name
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `physgen benchmark fetch` downloads it")
    return path
