"""From stored numbers to brightness: how deep they are, which channels count, what empty space shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from physgen.video.recording import Array, Recording, choose

#: names of channels that are the colours of one picture
COLOURS = ("red", "green", "blue")


def choose_channels(recording: Recording, wanted: int | str | None) -> tuple[list[int], str | None, tuple[str, ...]]:
    """Channels to read, the name of the one that was chosen, and what was guessed.

    Three channels are colours where they are samples of a picture, are called so, or have no names.

    Raises: InvalidArgument that names the channels.
    """
    count, names = recording.channels, recording.facts.channels
    names = names if len(names) == count else ("",) * count
    if wanted is not None:
        if recording.colours:
            names = (*COLOURS, "alpha")[:count]
        index = choose("channel", wanted, names)
        return [index], names[index] or str(index), ()
    if count == 1:
        return [0], None, ()
    if recording.colours:
        return [0, 1, 2], None, ("the fourth sample, alpha, is left out",) if count == 4 else ()
    plain = tuple(name.lower() for name in names)
    if count == 3 and plain == COLOURS:
        return [0, 1, 2], None, ()
    if count == 3 and not any(plain):
        return [0, 1, 2], None, ("three channels without names are read as red, green, blue (channel= chooses one)",)
    choose("channel", wanted, names)
    raise AssertionError


def full_scale(recording: Recording, largest: float) -> tuple[float, int | None, tuple[str, ...]]:
    """Counts that are brightness 1, bits of depth, and what was guessed.

    2^b - 1 for counts b bits deep: as the file says, else the smallest b whose counts reach the largest one. Counts of
    8 bits are as deep as their type. Floats are kept, or divided by the largest where that exceeds 1.
    """
    dtype, stated = recording.dtype, recording.facts.bits
    if dtype.kind == "b":
        return 1.0, 1, ()
    if dtype.kind == "f" and stated is None:
        if largest <= 1:
            return 1.0, None, ()
        return largest, None, (f"floats reach {largest:g}, more than 1: brightness 1 is {largest:g}",)
    if dtype.kind not in "iuf":
        raise ValueError(f"{dtype} pixels; allowed: integers or floats")
    found = max(1, math.ceil(math.log2(largest + 1)))
    if stated is not None and found <= stated:
        return 2.0**stated - 1, stated, ()
    if stated is not None:
        note = f"the file states {stated} bits, its counts reach {largest:g}: {found} bits"
        return 2.0**found - 1, found, (note,)
    stored = 8 * dtype.itemsize - (dtype.kind == "i")
    if recording.line is None and (dtype.itemsize == 1 or found >= stored):
        return float(np.iinfo(dtype).max), stored, ()
    note = f"the file states no depth, its counts reach {largest:g}: {found} bits, brightness 1 is {2**found - 1}"
    return 2.0**found - 1, found, (note,)


def to_counts(plane: Array, recording: Recording) -> npt.NDArray[np.float64]:
    """Stored numbers as the file's own counts, a + b stored."""
    counts = plane.astype(np.float64)
    if recording.line is not None:
        offset, slope = recording.line
        counts *= slope
        counts += offset
    return counts


def estimate_background(counts: npt.NDArray[Any]) -> float | None:
    """Brightness of empty space: the mean of the darkest plateau of the histogram.

    The plateau is the first peak, from the dark side, that is at least half as high as the highest one; its edges are
    where the histogram falls to half of it. ``None`` for pixels that are all alike or not finite.

    >>> rng = np.random.default_rng(0)
    >>> empty, cells = rng.normal(100, 5, 9000), rng.normal(600, 100, 3000)
    >>> round(estimate_background(np.concatenate([empty, cells])))
    100
    """
    if not np.isfinite(counts).all():
        return None
    low, high = np.percentile(counts, [0.1, 99.0])
    if low == high:
        return float(low) if counts.min() != counts.max() else None
    whole = counts.dtype.kind in "iu" or bool((counts == np.round(counts)).all())
    width = max((high - low) / 256, 1.0 if whole else 0.0)
    edges = np.arange(low - width / 2, high + width, width)
    height = gaussian_filter1d(np.histogram(counts, edges)[0].astype(float), 2, mode="constant")
    rises = np.r_[True, height[1:] >= height[:-1]] & np.r_[height[:-1] > height[1:], True]
    peak = int(np.flatnonzero(rises & (height >= height.max() / 2))[0])
    below = height < height[peak] / 2
    left = peak - int(np.argmax(below[peak::-1])) if below[: peak + 1].any() else -1
    right = peak + int(np.argmax(below[peak:])) if below[peak:].any() else len(height)
    inside = (counts >= edges[left + 1]) & (counts < edges[right])
    return float(counts[inside].mean())
