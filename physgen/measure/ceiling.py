"""Light that is cut off at a largest count: of the file, of the camera, or of a program."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

#: bins of a histogram from 0 to full scale, and levels that the counts of a movie are divided into at least
BINS, LEVELS = 2**16, 256
#: levels below the largest count that are compared with it, and how many of them are next to it, and far from it
NEAR, NEXT, FAR = 8, 2, 4
#: pixels that share the largest count, in units of those of a level just below, from which light is cut off
PILED = 2.0
#: pixels of the next levels, in units of those of the far ones, from which brightness comes to its largest smoothly
SMOOTH = 1.7
#: standard deviations of a number of pixels by which it is more by chance
CHANCE = 2.0
#: pixels at the largest count, in units of those in the upper half below it, and part of the other pixels that share
#: one count, from which a picture is drawn in two counts
DRAWN, ONE = 8.0, 0.5


@dataclass(frozen=True)
class Clipped:
    """What is at the largest count of a movie, where light is cut off there; all 0 where it is not.

    Attributes:
        count: the largest count.
        pixels: share of the pixels that have it.
        amount: share of the brightness above background that is there.
    """

    count: float = 0.0
    pixels: float = 0.0
    amount: float = 0.0


class Ceiling:
    """Counts of a movie, frame by frame, and whether light is cut off at the largest one.

    Light that is cut off piles up: many pixels share the largest count, few have one of those just below, and these are
    as many near it as farther away. It is not so where the largest count is a true one: of a peak few pixels have it,
    to a level that things come to smoothly the counts just below crowd, and a mask has none of them. Which count it is
    makes no difference: a camera of 12 bits writes 4095 into files of 16.

    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> spot = np.round(200 * np.exp(-(x**2 + y**2) / 200)) + np.random.default_rng(0).poisson(20, (64, 64))
    >>> whole, cut = Ceiling(255.0, step=1.0), Ceiling(255.0, step=1.0)
    >>> whole.add(spot[None]), cut.add(np.minimum(spot, 120)[None])
    (None, None)
    >>> whole.clipped(20.0).pixels, cut.clipped(20.0).count, round(cut.clipped(20.0).pixels, 3)
    (0.0, 120.0, 0.107)
    """

    def __init__(self, scale: float, step: float = 0.0) -> None:
        """Of counts up to ``scale``, which are multiples of ``step``; 0 of floats."""
        self.scale, self.step = scale, step
        self.histogram = np.zeros(BINS, dtype=np.int64)
        self.largest = -np.inf
        self.at, self.there, self.pixels, self.total = 0, 0.0, 0, 0.0

    def add(self, counts: npt.NDArray[Any]) -> None:
        """Take a frame ``[C, H, W]`` in counts; of channels the largest is looked at, and their mean is the amount."""
        top, mean = counts.max(0), counts.mean(0)
        largest = float(np.max(top, initial=-np.inf, where=np.isfinite(top)))
        if largest > self.largest:
            self.largest, self.at, self.there = largest, 0, 0.0
        if largest == self.largest:
            here = top == largest
            self.at, self.there = self.at + int(here.sum()), self.there + float(mean[here].sum())
        self.pixels, self.total = self.pixels + top.size, self.total + float(mean.sum())
        self.histogram += np.bincount(self._bins(np.nan_to_num(top, posinf=0.0, neginf=0.0)).ravel(), minlength=BINS)

    def clipped(self, background: float) -> Clipped:
        """What is at the largest count, above a background in counts."""
        if not self._piles():
            return Clipped()
        amount, total = self.there - background * self.at, self.total - background * self.pixels
        return Clipped(self.largest, self.at / self.pixels, max(amount, 0.0) / max(amount, total, 1e-300))

    def _piles(self) -> bool:
        seen = np.flatnonzero(self.histogram)
        if self.largest <= 0 or len(seen) < 3:
            return False
        below = self.histogram.astype(float)
        top = int(self._bins(np.array([self.largest]))[0])
        below[top] = max(below[top] - self.at, 0.0)
        width = max((top - int(seen[0])) / LEVELS, self.step * (BINS - 1) / self.scale, 1.0)
        edges = np.maximum(top - np.round(width * np.arange(NEAR + 1)).astype(int), 0)
        edges[0] = top + 1
        levels = np.array([below[low:high].sum() for high, low in pairwise(edges)])
        if levels.sum() < NEAR or self.at <= PILED * levels[levels > 0].mean():
            return False
        close, far = levels[:NEXT].sum(), levels[FAR:].sum() * NEXT / (NEAR - FAR)
        if close > SMOOTH * far + CHANCE * np.sqrt(close):
            return False
        upper = below[(top + int(seen[0])) // 2 : top + 1].sum()
        return not bool(self.at > DRAWN * upper and below.max() > ONE * below.sum())

    def _bins(self, counts: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        bins: npt.NDArray[np.int64] = np.clip(counts * ((BINS - 1) / self.scale), 0, BINS - 1).astype(np.int64)
        return bins
