"""The command that scores what was generated."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from physgen.experiments.cli.config import choice, choices
from physgen.experiments.microworldbench.options import BenchmarkConfig, data_file
from physgen.experiments.microworldbench.tasks.data import RUBRICS
from physgen.experiments.microworldbench.tasks.named import SETS

DEFAULT_JUDGE = "openai"
#: what stands for a file that nobody has named
UNNAMED = "FILE"


def score_command(config: BenchmarkConfig, folders: Iterable[Path]) -> str:
    """`physgen benchmark score` of these folders with the options of `generate`, as a shell takes it.

    Rubrics that nobody has named are those of the task set, else of the benchmark where it was fetched, else ``FILE``.
    """
    files = {"data": config.data, "tasks": config.tasks, "rubrics": _rubrics(config)}
    options = [f"{name}={path}" for name, path in files.items() if path]
    options += _judge(config.judge)
    options += [f"mode={config.mode}"] if config.mode != "corrected" else []
    options += [f"repeats={config.repeats}"] if config.repeats != 1 else []
    videos = ",".join(hydra_value(str(folder)) for folder in folders)
    return " ".join(["physgen benchmark score", *map(quoted, [f"videos=[{videos}]", *options])])


def _rubrics(config: BenchmarkConfig) -> str | None:
    if config.rubrics or config.tasks in SETS:
        return config.rubrics or config.tasks
    try:
        data_file(config, RUBRICS)
    except FileNotFoundError:
        return UNNAMED
    return None


def _judge(judge: dict[str, Any]) -> list[str]:
    """The choice of ``judge`` that comes nearest, the default first, and what differs from it."""
    changed = {name: _changed(judge, choice("judge", name)) for name in [DEFAULT_JUDGE, *choices("judge")]}
    name = min(changed, key=lambda name: len(changed[name]))
    return ([f"judge={name}"] if name != DEFAULT_JUDGE else []) + changed[name]


def _changed(judge: dict[str, Any], given: dict[str, Any]) -> list[str]:
    return [f"judge.{key}={hydra_value(value)}" for key, value in judge.items() if given.get(key) != value]


def quoted(argument: str) -> str:
    """An argument as a shell takes it; brackets of a list stay as people write them.

    >>> quoted("videos=[mine-seed0]"), quoted("tasks=my tasks.json")
    ('videos=[mine-seed0]', "'tasks=my tasks.json'")
    """
    return argument if re.fullmatch(r"[\w=.,:/\[\]-]+", argument, re.ASCII) else shlex.quote(argument)


def hydra_value(value: Any) -> str:
    r"""A value as Hydra reads it on the command line.

    >>> [hydra_value(value) for value in (None, True, 0.5, "a/b-seed0", "it's a, b")]
    ['null', 'true', '0.5', 'a/b-seed0', "'it\\'s a, b'"]
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value)
    return text if re.fullmatch(r"[A-Za-z0-9_./-]+", text) else "'" + text.replace("'", r"\'") + "'"
