"""What a file of `physgen instruments scores` holds: tasks, and videos of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIMULATED = "simulator"


def tasks_of(scores: Mapping[str, Any]) -> int:
    """How many tasks were scored."""
    return len(scores[SIMULATED]["per_task"])


def videos_of(scores: Mapping[str, Any]) -> int:
    """How many videos an arm has; every task asks whether there is anything to see.

    >>> videos_of({"simulator": {"per_task": {"1": 100.0}, "met": {"presence": {"share": 1.0, "n": 2}}}})
    2
    """
    return int(scores[SIMULATED]["met"]["presence"]["n"])


def seeds_of(scores: Mapping[str, Any]) -> int:
    """How many videos each task has in an arm.

    >>> seeds_of({"simulator": {"per_task": {"1": 100.0}, "met": {"presence": {"share": 1.0, "n": 2}}}})
    2
    """
    return videos_of(scores) // tasks_of(scores)
