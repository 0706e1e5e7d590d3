"""Which axis of an array is time, which are channels: named axes mean what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from physgen.errors import InvalidArgument
from physgen.video.recording import Array, Facts, Recording, Selection

#: what tifffile calls pages that nobody named
UNNAMED = "QI"
NAMES = {"Z": "depth", "T": "time", **dict.fromkeys(UNNAMED, "pages")}


@runtime_checkable
class Indexed(Protocol):
    """An array, or what reads one from a file piece by piece."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class Layout:
    """Dimensions of an array: time (``None`` for a still), channels (``None`` for one), and what was guessed."""

    axes: str
    time: int | None
    channel: int | None
    fixed: dict[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def frame(self, array: Indexed, t: int) -> Array:
        """One frame ``[C, H, W]``."""
        image = [d for d, letter in enumerate(self.axes) if letter in "YX" or d == self.channel]
        index = tuple(
            slice(None) if d in image else t if d == self.time else self.fixed.get(d, 0) for d in range(len(self.axes))
        )
        order = sorted(range(len(image)), key=lambda i: "CSYX".index(self.axes[image[i]]))
        plane = np.asarray(array[index]).transpose(order)
        return plane if self.channel is not None else plane[None]


def find_layout(axes: str, shape: tuple[int, ...], axis: str | None, plane: int | None = None) -> Layout:
    """What each axis of an array is; ``axis`` names the one that is time where the file does not call it T.

    ``plane`` is the one that is read of an axis besides time, image and channels.

    Raises: InvalidArgument for a depth that nobody called time, and for more than one axis besides image and channels.

    >>> find_layout("TCYX", (9, 2, 64, 64), None).time
    0
    >>> find_layout("ZYX", (9, 64, 64), None)
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: axis=None: allowed: z, to read 9 planes of axis Z (depth, not time) as frames...
    """
    axes = axes.upper()
    wanted = axis.upper() if axis else None
    long = {letter: size for letter, size in zip(axes, shape, strict=True) if size > 1 and letter not in "YXCS"}
    if not {"Y", "X"} <= set(axes):
        raise ValueError(f"axes {axes} of shape {shape}: no image")
    alike = [size for letter, size in zip(axes, shape, strict=True) if size > 1 and letter in UNNAMED]
    if len(alike) > 1:
        sizes = " and ".join(map(str, alike))
        raise InvalidArgument("video", f"axes of {sizes} without names", "one; write the file with names, such as TCYX")
    if wanted and wanted not in axes:
        raise InvalidArgument("axis", axis, f"one of {', '.join(axes.lower())}, the axes of the file")
    others = {letter: size for letter, size in long.items() if letter != (wanted or "T")}
    if wanted is None and "T" not in long and len(others) == 1 and plane is None:
        (letter, size), others = *others.items(), {}
        if letter not in UNNAMED:
            meaning = NAMES.get(letter, "not time")
            allowed = f"{letter.lower()}, to read {size} planes of axis {letter} ({meaning}, not time) as frames"
            raise InvalidArgument("axis", axis, allowed)
        guess = (f"{size} pages without a name for their axis are read as frames",)
        return Layout(axes, axes.index(letter), _channel(axes, shape), notes=guess)
    fixed = {}
    if plane is not None:
        letter, size = next(iter(others.items())) if len(others) == 1 else ("", 0)
        if plane >= size:
            raise InvalidArgument(
                "plane", plane, f"0 to {size - 1}" if size else "no value: there is no one axis for it"
            )
        fixed, others = {axes.index(letter): plane}, {}
    if others:
        text = ", ".join(f"{letter} {size}" for letter, size in long.items())
        raise InvalidArgument(
            "video", f"axes {text}", "one axis besides image and channels; plane=0, … reads one of the other"
        )
    note = () if wanted in (None, "T") else (f"axis {wanted} is read as time, as asked (axis={wanted.lower()})",)
    letter = wanted or "T"
    time = axes.index(letter) if letter in axes else None
    channel = _channel(axes.replace("S", "-") if wanted == "S" else axes, shape)
    if time is None and channel is not None and axes[channel] == "S" and axes.index("S") < axes.index("Y"):
        note = (
            f"{shape[channel]} planes, axis S of the file, are read as the colours of one frame (axis=s: as frames)",
        )
    return Layout(axes, time, channel, fixed, note)


def _channel(axes: str, shape: tuple[int, ...]) -> int | None:
    long = [d for d, letter in enumerate(axes) if letter in "CS" and shape[d] > 1]
    if len(long) > 1:
        raise InvalidArgument("video", f"axes {axes} of shape {shape}", "channels or colours, not both")
    return long[0] if long else None


def record(
    array: Indexed, axes: str, facts: Facts, selection: Selection, line: tuple[float, float] | None = None
) -> Recording:
    """An array with named axes as a recording."""
    shape = tuple(array.shape)
    if 0 in shape:
        raise ValueError(f"shape {shape}: no pixels")
    layout = find_layout(axes, shape, selection.axis, selection.plane)
    frames = 1 if layout.time is None else shape[layout.time]
    letter = "T" if layout.time is None else layout.axes[layout.time]
    if letter not in f"T{UNNAMED}" and (facts.dt or facts.times):
        note = f"the file's times are not those of axis {letter}: not used"
        facts = replace(facts, dt=None, times=None, notes=(*facts.notes, note))
    channels = 1 if layout.channel is None else shape[layout.channel]
    samples = layout.channel is not None and layout.axes[layout.channel] == "S"

    def read(every: int) -> Iterator[Array]:
        return (layout.frame(array, t) for t in range(0, frames, every))

    return Recording(
        facts=replace(facts, notes=layout.notes + facts.notes),
        frames=frames,
        shape=(shape[axes.upper().index("Y")], shape[axes.upper().index("X")]),
        channels=channels,
        colours=samples and channels in (3, 4),
        dtype=np.dtype(array.dtype),
        read=read,
        line=line,
    )
