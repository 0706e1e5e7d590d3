"""Download the three files from the public repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.tasks.data import (
    RAW_RUBRICS,
    RUBRICS,
    TASKS,
    Rubric,
    Task,
    read_rubrics,
    read_tasks,
)

REPOSITORY = "https://raw.githubusercontent.com/FreedomIntelligence/MicroVerse/main/eval"
COUNT, LARGEST = 459, 16 * 2**20
READERS: dict[str, Callable[[Any], tuple[Task, ...] | tuple[Rubric, ...]]] = {
    TASKS: read_tasks,
    RUBRICS: read_rubrics,
    RAW_RUBRICS: read_rubrics,
}


def fetch(folder: str | Path, source: str = REPOSITORY) -> list[Path]:
    """Download tasks and rubrics into a folder; a file that is there and whole is kept, a bad one never written.

    Raises: InvalidArgument for a download that is too large, not JSON, or not one entry for each of 459 tasks;
    ConnectionError where the repository cannot be reached.
    """
    folder = Path(folder)
    paths = []
    for name in READERS:
        path = folder / name
        if not (path.is_file() and _whole(name, path.read_bytes())):
            content = _download(f"{source}/{name}")
            if not _whole(name, content):
                raise InvalidArgument(name, f"{len(content)} bytes from {source}", f"JSON with {COUNT} tasks")
            folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{name}.partial")
            partial.write_bytes(content)
            partial.replace(path)
        paths.append(path)
    return paths


def _download(url: str) -> bytes:
    content = bytearray()
    try:
        with httpx2.stream("GET", url, timeout=30, follow_redirects=True) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > LARGEST:
                    raise InvalidArgument("download", url, f"at most {LARGEST} bytes")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ConnectionError(f"{url}: {error or type(error).__name__}; nothing was changed") from error
    return bytes(content)


def _whole(name: str, content: bytes) -> bool:
    try:
        entries = READERS[name](json.loads(content))
    except (RecursionError, ValueError):
        return False
    return {entry.index for entry in entries} == set(range(1, COUNT + 1))
