"""Tasks and rubrics of MicroWorldBench, typed, from the files of its public repository."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument

DIMENSIONS = ("scientific", "visual", "instruction")
LEVELS = ("Organ-level", "Cellular-level", "Subcellular-level")
TASKS, RUBRICS, RAW_RUBRICS = "finaltasks.json", "MWBenchRubrics_norm.json", "MWBenchRubrics.json"


@dataclass(frozen=True)
class Task:
    """What a video is to show; ``level`` is one of `LEVELS` in the published file."""

    index: int
    level: str
    task: str
    requirement: str


@dataclass(frozen=True)
class Criterion:
    """One yes-or-no question; ``number`` is that of its keys, 11 in a malformed ``d11``; a penalty has ``sign`` -1.

    ``measure`` names the instrument that answers it, where the rubric says so (``m11``).
    """

    number: int
    text: str
    sign: int
    weight: float
    measure: str = field(default="", repr=False)


@dataclass(frozen=True)
class Rubric:
    """The criteria of one task by dimension, in the order of the file."""

    index: int
    criteria: Mapping[str, tuple[Criterion, ...]]


def read_tasks(source: Any) -> tuple[Task, ...]:
    """Tasks from ``finaltasks.json``: its path, its parsed list, or tasks that were read before.

    Raises: FileNotFoundError; InvalidArgument for anything else than such a list.

    >>> read_tasks([{"index": 1, "final_label": "Organ-level", "任务": "a heart beats"}])[0].level
    'Organ-level'
    """
    return tuple(entry if isinstance(entry, Task) else _task(entry) for entry in entries("tasks", source))


def read_rubrics(source: Any) -> tuple[Rubric, ...]:
    """Rubrics from a rubric file: its path, its parsed list, or rubrics that were read before.

    Raises: FileNotFoundError; InvalidArgument for anything else than such a list.

    >>> rubric = read_rubrics([{"index": 1, "rubrics_visual": {"d11": "Sharp", "s11": "+1", "w11": "1."}}])[0]
    >>> rubric.criteria["visual"]
    (Criterion(number=11, text='Sharp', sign=1, weight=1.0),)
    """
    return tuple(entry if isinstance(entry, Rubric) else _rubric(entry) for entry in entries("rubrics", source))


def entries(name: str, source: Any) -> Sequence[Any]:
    """The list that a JSON file holds, or the list itself."""
    data = source
    if isinstance(source, str | Path):
        try:
            data = json.loads(Path(source).read_text(encoding="utf-8"))
        except (RecursionError, ValueError) as error:
            raise InvalidArgument(name, str(source), f"a complete JSON file ({error})") from error
    if not isinstance(data, Sequence) or isinstance(data, str):
        raise InvalidArgument(name, type(data).__name__, "a list of entries, one a task")
    return data


def _task(entry: Any) -> Task:
    index = _index("tasks", entry)
    text = {key: str(entry.get(key) or "") for key in ("任务", "具体要求")}
    return Task(index, str(entry.get("final_label", "Unknown")), text["任务"], text["具体要求"])


def _rubric(entry: Any) -> Rubric:
    index = _index("rubrics", entry)
    try:
        criteria = {dimension: _criteria(entry.get(f"rubrics_{dimension}") or {}) for dimension in DIMENSIONS}
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidArgument(
            f"rubrics[index={index}]", str(error), 'd1: text, s1: "+1" or "-1", w1: number'
        ) from error
    return Rubric(index, criteria)


def _index(name: str, entry: Any) -> int:
    index = entry.get("index") if isinstance(entry, Mapping) else None
    if type(index) is not int:
        raise InvalidArgument(f"{name}: index", index, "a whole number in every entry")
    return index


def _criteria(block: Mapping[str, Any]) -> tuple[Criterion, ...]:
    numbers = [int(key[1:]) for key in block if key[:1] == "s" and key[1:].isdecimal()]
    return tuple(
        Criterion(
            n,
            str(block.get(f"d{n}", "")),
            int(str(block[f"s{n}"])),
            float(block.get(f"w{n}", 0)),
            str(block.get(f"m{n}", "")),
        )
        for n in numbers
    )
