"""Task sets that are part of physgen."""

from __future__ import annotations

from pathlib import Path

from physgen.experiments.cli.config import one_of

FOLDER = Path(__file__).parent / "micro"
SETS = {"micro": (FOLDER / "tasks.json", FOLDER / "rubrics.json")}


def named_tasks(name: str) -> tuple[Path, Path]:
    """Files of the tasks and rubrics of a set that is part of physgen.

    Raises: InvalidArgument.

    >>> [path.name for path in named_tasks("micro")]
    ['tasks.json', 'rubrics.json']
    """
    if name not in SETS:
        raise one_of("tasks", name, SETS)
    return SETS[name]
