"""Which videos a run makes, which of them this process makes, and where they go."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.tasks.data import Task
from physgen.experiments.runs.records import write_json_atomic

SUFFIXES = (".mp4", ".tif")
Element = TypeVar("Element")


@dataclass(frozen=True)
class Item:
    """One video: a task and the seed of its noise."""

    task: Task
    seed: int


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th item from the ``index``-th on, from 1.

    >>> Shard.parse("2/4").mine(range(10))
    [1, 5, 9]
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``i/n``.

        Raises: InvalidArgument.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise InvalidArgument("shard", text, "i/n with 1 <= i <= n")
        return cls(int(match[1]), int(match[2]))

    def mine(self, items: Sequence[Element]) -> list[Element]:
        """The part of some items that is this shard's."""
        return list(items[self.index - 1 :: self.count])

    @property
    def name(self) -> str:
        """What it is called in names of files."""
        return f"{self.index}-of-{self.count}"

    @property
    def metrics(self) -> str:
        """Name of the file that sums it up."""
        return "metrics.json" if self.count == 1 else f"metrics-{self.name}.json"


def items(tasks: Sequence[Task], seeds: Sequence[int]) -> list[Item]:
    """Every task with every seed, seed by seed.

    Raises: InvalidArgument for a task without words, two tasks of one index, or no or equal seeds.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InvalidArgument("seeds", list(seeds), "different numbers >= 0")
    indices = [task.index for task in tasks]
    if not indices or len(set(indices)) < len(indices):
        raise InvalidArgument("tasks", f"{len(indices)} tasks", "tasks, each with an index of its own")
    for task in tasks:
        if not task.task.strip():
            raise InvalidArgument(f"tasks[index={task.index}]", task.task, "a text that says what the video shows")
    return [Item(task, seed) for seed in seeds for task in tasks]


@dataclass(frozen=True)
class Layout:
    """Files of a run: ``NAME-seedS/N.mp4`` and ``N.tif`` with NAME that of the folder, ``records/seedS/N.json``."""

    out: Path

    def videos(self, seed: int) -> Path:
        """Folder that `physgen benchmark score` takes as those of one model."""
        return self.out / f"{self.out.resolve().name}-seed{seed}"

    def record(self, item: Item) -> Path:
        """Written last: what is known of a finished video."""
        return self.out / "records" / f"seed{item.seed}" / f"{item.task.index}.json"

    def finished(self, item: Item) -> bool:
        """Whether a video has all its files."""
        folder, name = self.videos(item.seed), str(item.task.index)
        return self.record(item).is_file() and all((folder / f"{name}{suffix}").is_file() for suffix in SUFFIXES)

    @contextmanager
    def writing(self, item: Item) -> Iterator[list[Path]]:
        """Where the files of a video are written, by nobody else, before they are whole and take their place."""
        folder, partial = self.videos(item.seed), self.out / "partial"
        for path in (folder, partial, self.record(item).parent):
            path.mkdir(parents=True, exist_ok=True)
        paths = [partial / f"seed{item.seed}-{item.task.index}{suffix}" for suffix in SUFFIXES]
        yield paths
        for path in paths:
            path.replace(folder / f"{item.task.index}{path.suffix}")

    def take(self, other: Layout, item: Item) -> None:
        """Hold a finished video of another run as one's own, without a second copy where the disk can do that."""
        if not other.finished(item):
            return
        with self.writing(item) as paths:
            for path in paths:
                source = other.videos(item.seed) / f"{item.task.index}{path.suffix}"
                path.unlink(missing_ok=True)
                try:
                    os.link(source, path)
                except OSError:
                    shutil.copyfile(source, path)
        record = json.loads(other.record(item).read_text("utf-8"))
        write_json_atomic(self.record(item), record | {"taken_from": other.out.name})
