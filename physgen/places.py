"""Frames and pixels as texts name them: those of the file, where every n-th frame, a crop or blocks of it were read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Places:
    """Where the frames and pixels that were read are in their file, both counted from 0.

    Attributes:
        every: frames of the file from one that was read to the next.
        block: pixels of the file along each side of one that was read.
        corner: row and column of the file's first pixel that was read.

    >>> places = Places(every=5, block=2, corner=(20, 8))
    >>> places.frame(3), places.points(np.array([[0.0, 3.0]])).tolist()
    (15, [[20.5, 14.5]])
    """

    every: int = 1
    block: int = 1
    corner: tuple[int, int] = (0, 0)

    def frame(self, index: int) -> int:
        """Number in the file of a frame that was read."""
        return self.every * int(index)

    def points(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Points ``[N, 2]`` (y, x) among the pixels that were read, as pixels of the file."""
        return np.array(self.corner) + self.block * (np.asarray(points, dtype=np.float64) + 0.5) - 0.5


WHOLE = Places()
_current: ContextVar[Places] = ContextVar("places", default=WHOLE)


@contextmanager
def named_as_in_file(places: Places) -> Iterator[None]:
    """Texts that are made meanwhile name frames and pixels of the file.

    >>> with named_as_in_file(Places(every=5, block=2)):
    ...     file_frame(3), file_pixels(10.0), frames_read(7), pixels_read(8, 9)
    (15, 20.0, '7 frames (every=5)', '8 x 9 px (scale=1/2)')
    >>> file_frame(3), file_pixels(10.0), frames_read(1), pixels_read(8, 9)
    (3, 10.0, '1 frame', '8 x 9 px')
    """
    token = _current.set(places)
    try:
        yield
    finally:
        _current.reset(token)


def file_frame(index: int) -> int:
    """The number by which a text names a frame; the index itself where no file is read."""
    return _current.get().frame(index)


def file_point(y: float, x: float) -> tuple[float, float]:
    """Row and column by which a text names a point among the pixels that were read."""
    row, column = _current.get().points(np.array([[y, x]]))[0]
    return float(row), float(column)


def file_pixels(length: float) -> float:
    """A length in pixels that were read, in pixels of the file."""
    return _current.get().block * length


def frames_read(count: int) -> str:
    """So many frames that were read; which of the file they are is said where that is not all."""
    every = _current.get().every
    return f"{count} frame{'s' * (count != 1)}" + (f" (every={every})" if every > 1 else "")


def pixels_read(height: int, width: int) -> str:
    """So many pixels that were read; which of the file they are is said where blocks became one."""
    block = _current.get().block
    return f"{height} x {width} px" + (f" (scale=1/{block})" if block > 1 else "")
