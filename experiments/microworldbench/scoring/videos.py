"""Which file of a folder shows which task."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.judges.frames import LOSSLESS

UPSTREAM_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".flv", ".wmv")


def find_videos(folder: str | Path, indices: Collection[int], mode: str) -> tuple[list[tuple[int, Path]], list[str]]:
    """Videos by the number in their name (``033.MP4`` is 33), in order, and what was left out.

    ``upstream`` knows six suffixes and takes every file; ``corrected`` takes any suffix, and of several files of a task
    one: an MP4 before others, a lossless copy last.

    Raises: InvalidArgument for what is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidArgument("videos", str(folder), "folders of videos named 1.mp4, 2.mp4, …")
    found: dict[int, list[Path]] = {}
    notes = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if mode == "upstream" and path.suffix.lower() not in UPSTREAM_SUFFIXES:
            continue
        try:
            index = int(path.stem)
        except ValueError:
            notes.append(f"{path.name}: no task number")
            continue
        if index in indices:
            found.setdefault(index, []).append(path)
        else:
            notes.append(f"{path.name}: no task {index}")
    if mode == "upstream":
        return [(index, path) for index in sorted(found) for path in found[index]], notes
    for index, paths in sorted(found.items()):
        paths.sort(key=_preference)
        if any(path.suffix.lower() not in LOSSLESS for path in paths[1:]):
            notes.append(f"task {index}: {paths[0].name} taken of {', '.join(path.name for path in paths)}")
    missing = len(set(indices) - found.keys())
    if missing:
        notes.append(f"{missing} tasks without a video")
    return [(index, paths[0]) for index, paths in sorted(found.items())], notes


def _preference(path: Path) -> tuple[bool, bool, str]:
    suffix = path.suffix.lower()
    return suffix in LOSSLESS, suffix != ".mp4", path.name
