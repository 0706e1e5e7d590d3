"""A picture, or a folder of numbered ones, as one video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from physgen.video.captioned import METADATA
from physgen.video.movie import pixels
from physgen.video.recording import Array, Facts, Recording, Selection
from physgen.video.tiff import open_tiff

PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


def find_frames(folder: Path) -> list[Path]:
    """Pictures of a folder whose names end in a number, by that number; none for a folder with metadata.

    >>> folder = getfixture("tmp_path")
    >>> for name in ("a10.png", "a9.png", "notes.txt"): (folder / name).touch()
    >>> [path.name for path in find_frames(folder)]
    ['a9.png', 'a10.png']
    """
    if any((folder / name).is_file() for name in METADATA):
        return []
    pictures = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and NUMBERED.fullmatch(path.stem)]
    return sorted(pictures, key=lambda path: (_parts(path)[0], int(_parts(path)[1])))


@contextmanager
def open_sequence(folder: Path, selection: Selection) -> Iterator[Recording]:
    """Numbered pictures of one name and one size; the scale is that of the first."""
    paths = find_frames(folder)
    if not paths:
        raise ValueError(f"no numbered pictures ({', '.join(PICTURES)})")
    stems = sorted({_parts(path)[0] + "#" + _parts(path)[2] + path.suffix for path in paths})
    if len(stems) > 1:
        raise ValueError(f"pictures of {len(stems)} names: {', '.join(stems[:4])}; one name with numbers is one video")
    numbers = [int(_parts(path)[1]) for path in paths]
    notes = [f"{len(paths)} numbered pictures are read as frames"]
    steps = np.diff(numbers)
    if len(steps) and steps.max() != steps.min():
        missing = next(number for number, step in zip(numbers, steps, strict=False) if step > steps.min())
        notes.append(f"numbers are missing after {missing}: frames are taken as evenly spaced all the same")
    yield _recording(paths, notes)


@contextmanager
def open_picture(path: Path, selection: Selection) -> Iterator[Recording]:
    """A picture as a video of one frame."""
    yield _recording([path], [])


def _recording(paths: list[Path], notes: list[str]) -> Recording:
    first, facts = _picture(paths[0])

    def read(every: int) -> Iterator[Array]:
        for path in paths[::every]:
            picture, _ = _picture(path)
            if picture.shape != first.shape or picture.dtype != first.dtype:
                kinds = [f"{one.dtype} {one.shape}" for one in (picture, first)]
                raise ValueError(f"{path.name} is {kinds[0]}, the first {kinds[1]}")
            yield picture

    return Recording(
        facts=replace(facts, notes=(*facts.notes, *notes)),
        frames=len(paths),
        shape=(first.shape[1], first.shape[2]),
        channels=len(first),
        colours=len(first) in (3, 4),
        dtype=first.dtype,
        read=read,
    )


def _picture(path: Path) -> tuple[Array, Facts]:
    if path.suffix.lower() in (".tif", ".tiff"):
        with open_tiff(path, Selection()) as recording:
            if recording.frames != 1 or recording.line is not None:
                raise ValueError(f"{path.name} is no plain single picture")
            return next(recording.read(1)), recording.facts
    with av.open(str(path)) as container:
        return pixels(next(container.decode(video=0))), Facts()


def _parts(path: Path) -> tuple[str, str, str]:
    found = NUMBERED.fullmatch(path.stem)
    assert found is not None
    return found[1], found[2], found[3]
