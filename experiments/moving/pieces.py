"""Pieces of real movies: development in the first half of the time, held back in the second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physgen.errors import InvalidArgument
from physgen.video import read_video

Movie = npt.NDArray[np.float64]

#: endings of files that are movies, and frames that one has at least
MOVIES, FEWEST = (".tif", ".tiff", ".avi", ".mp4"), 5
#: frames of a piece, frames between the first ones of two pieces of a movie that gives few, and how many are few
FRAMES, SHIFT, FEW = 24, 4, 20
#: px of a side of a piece, and pixels of a frame up to which it is not cut
SIDE, WHOLE = 128, 60_000


@dataclass(frozen=True)
class Piece:
    """A part of a movie ``[T, H, W]``: where it begins, and whether it is held back from development."""

    movie: str
    start: int
    y: int
    x: int
    held: bool
    frames: Movie

    @property
    def name(self) -> str:
        """Where it is from."""
        return f"{self.movie} frame {self.start} at {self.y}, {self.x}"


def find_movies(folders: list[str]) -> list[Path]:
    """Movies of five frames or more among files and folders; images of labels are none.

    Raises: InvalidArgument for a path that is not there, another kind of file, two of one name, or none at all.
    """
    found = []
    for given in folders:
        path = Path(given)
        if not path.exists():
            raise InvalidArgument("movies", given, "files and folders that are there")
        if path.is_file() and path.suffix.lower() not in MOVIES:
            raise InvalidArgument("movies", given, f"files ending in {', '.join(MOVIES)}")
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in MOVIES) if path.is_dir() else [path]
        found += [p for p in files if "label" not in p.stem]
    if not found:
        raise InvalidArgument("movies", folders, f"files, or folders with some: {', '.join(MOVIES)}")
    names = [path.stem for path in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidArgument("movies", ", ".join(twice), "files of different names: results are kept under them")
    return found


def read_movie(path: Path) -> Movie:
    """Brightness ``[T, H, W]`` of a file, 1 at full scale, colours together."""
    return np.asarray(read_video(path).frames.double().mean(1).numpy())


def pieces_of(name: str, movie: Movie) -> list[Piece]:
    """Cut a movie into pieces of 24 frames and 128 x 128 px, frames of up to 60 000 px in time alone.

    Where that gives fewer than 20 pieces they begin every four frames: they overlap, and are no independent ones.
    Movies of a single time are halved in space.

    >>> [(piece.start, piece.held) for piece in pieces_of("nuclei", np.zeros((48, 130, 130)))]
    [(0, False), (4, False), (8, False), (12, True), (16, True), (20, True), (24, True)]
    """
    length = min(FRAMES, len(movie))
    height, width = movie.shape[1:] if movie[0].size <= WHOLE else (min(SIDE, size) for size in movie.shape[1:])
    places = [(y, x) for y in _from(movie.shape[1], height, height) for x in _from(movie.shape[2], width, width)]
    starts = _from(len(movie), length, length)
    if len(starts) * len(places) < FEW:
        starts = _from(len(movie), length, SHIFT)
    return [
        Piece(
            name,
            start,
            y,
            x,
            2 * start >= len(movie) - length if len(starts) > 1 else 2 * places.index((y, x)) >= len(places),
            movie[start : start + length, y : y + height, x : x + width],
        )
        for start in starts
        for y, x in places
    ]


def _from(size: int, length: int, step: int) -> range:
    return range(0, size - length + 1, step)
