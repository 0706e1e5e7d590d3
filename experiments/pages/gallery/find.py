"""From the words of the command line to run folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.runs.collect import settings
from physgen.experiments.runs.failures import FILE as FAILURE
from physgen.experiments.runs.manifest import read_manifest

#: any of these makes a folder a run, finished or not
RUN = ("metrics.json", "config.yaml", FAILURE)


@dataclass
class Found:
    """Run folders, each once, with what a manifest says was set in them; and what is wrong, a line each."""

    runs: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find(words: Iterable[str]) -> Found:
    """Runs of run folders, of folders of runs, and of manifests (there those too that are missing)."""
    found = Found()
    for path in map(Path, words):
        try:
            for folder, about in sorted(runs_in(path).items()):
                found.runs.setdefault(folder.resolve(), about)
        except InvalidArgument as error:
            found.problems.append(str(error))
    return found


def runs_in(path: Path) -> dict[Path, str]:
    """Run folders that one word stands for.

    Raises: InvalidArgument for a path that is not there, a folder without runs, a file that is no manifest.
    """
    if path.is_file():
        return {path.parent / one["run"]: settings(one["set"]) for one in read_manifest(path)["runs"]}
    if not path.is_dir():
        raise InvalidArgument("runs", str(path), "a run folder, a folder of runs or a manifest (there is nothing)")
    folders = [path] if is_run(path) else [child for child in path.iterdir() if child.is_dir() and is_run(child)]
    if not folders:
        raise InvalidArgument("runs", str(path), "a folder with runs in it (this one has none)")
    return dict.fromkeys(folders, "")


def is_run(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return any((folder / name).exists() for name in RUN)
