"""What a file holds before any frame is read, and what of it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.errors import InvalidArgument
from physgen.places import Places

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Facts:
    """What a file says about its frames; ``None`` and empty where it says nothing. Units as in `Video`."""

    spacing: tuple[float, float] | None = None
    dt: float | None = None
    times: tuple[float, ...] | None = None
    prompt: str | None = None
    series: str | None = None
    channels: tuple[str, ...] = ()
    bits: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recording:
    """Frames that are read when they are asked for.

    Attributes:
        frames: how many there are.
        shape: height and width.
        channels: in every frame.
        colours: whether three channels are red, green, blue (and a fourth is alpha).
        dtype: of the stored numbers.
        read: every n-th frame ``[C, H, W]`` as stored.
        seekable: whether a frame is read without those before it.
        line: ``(a, b)`` of the file's own calibration, counts = a + b stored.
    """

    facts: Facts
    frames: int
    shape: tuple[int, int]
    channels: int
    colours: bool
    dtype: np.dtype[Any]
    read: Callable[[int], Iterator[Array]]
    seekable: bool = True
    line: tuple[float, float] | None = None


@dataclass(frozen=True)
class Selection:
    """Which part of a file is wanted.

    Attributes:
        channel: index or name of one channel; ``None``: the only one, or the three colours.
        series: index or name of one image of a file that has several.
        axis: letter of the axis that is time, where it is not the file's own T.
        plane: which plane of an axis besides time, image and channels: of a z-stack at each time.
        crop: rows and columns ``[y0, y1, x0, x1]`` in pixels of the file, ends excluded.
        every: read each n-th frame.
        scale: 1/n: each pixel is the mean of n x n.

    Raises: InvalidArgument.

    >>> Selection(scale=0.25).block
    4
    >>> Selection(every=0)
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: every=0: allowed: a whole number >= 1
    """

    channel: int | str | None = None
    series: int | str | None = None
    axis: str | None = None
    plane: int | None = None
    crop: Sequence[int] | None = None
    every: int = 1
    scale: float | int = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or isinstance(self.every, bool) or self.every < 1:
            raise InvalidArgument("every", self.every, "a whole number >= 1")
        if not 0 < self.scale <= 1 or abs(1 / self.scale - self.block) > 0.01:
            raise InvalidArgument("scale", self.scale, "1/n for a whole number n: 0.5, 0.25, …")
        if self.axis is not None and (len(self.axis) != 1 or self.axis.upper() in "YXC"):
            raise InvalidArgument("axis", self.axis, "the letter of the axis that is time: t, z, …")
        if self.plane is not None and self.plane < 0:
            raise InvalidArgument("plane", self.plane, "a whole number >= 0")
        if self.crop is not None and not (
            len(self.crop) == 4 and 0 <= self.crop[0] < self.crop[1] and 0 <= self.crop[2] < self.crop[3]
        ):
            raise InvalidArgument("crop", list(self.crop), "[y0, y1, x0, x1] with 0 <= y0 < y1 and 0 <= x0 < x1, px")

    @property
    def block(self) -> int:
        """Pixels along each side that become one."""
        return round(1 / self.scale)

    @property
    def places(self) -> Places:
        """Where what is read is in the file."""
        y0, _, x0, _ = self.crop or (0, 0, 0, 0)
        return Places(self.every, self.block, (y0, x0))


def choose(name: str, wanted: int | str | None, names: Sequence[str]) -> int:
    """Index of what is wanted among named things: by name, else by number.

    Raises: InvalidArgument that names all.

    >>> choose("channel", "GFP", ("DAPI", "GFP"))
    1
    >>> choose("channel", None, ("DAPI", "GFP"))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: channel=None: allowed: 0 (DAPI), 1 (GFP)
    """
    text = str(wanted)
    if text in names:
        return names.index(text)
    if wanted is not None and text.isdecimal() and int(text) < len(names):
        return int(text)
    raise InvalidArgument(
        name, wanted, ", ".join(f"{i} ({label})" if label else str(i) for i, label in enumerate(names))
    )
