"""Time stamps of frames: one interval, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: largest departure of an interval from the median that still counts as one interval
JITTER = 0.1


@dataclass(frozen=True)
class Timing:
    """Seconds from frame to frame, the time of each frame where there is no one interval, and what was noticed."""

    dt: float | None = None
    times: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()


def find_interval(stamps: Sequence[float], nominal: float | None, source: str, step: float = 0.0) -> Timing:
    """The interval of time stamps in s, held against the one that the file states.

    Intervals that differ from their median by more than 10 % (and more than ``step``, the resolution of the stamps)
    are no one interval: the stamps themselves are kept.

    >>> find_interval([0.0, 0.4, 0.8], 0.001, "DeltaT").dt
    0.4
    >>> find_interval([0.0, 1.0, 61.0], 1.0, "DeltaT").times
    (0.0, 1.0, 61.0)
    """
    intervals = np.diff(stamps)
    median = float(f"{np.median(intervals):.9g}")
    if median <= 0:
        return Timing(nominal, None, (f"{source} of the frames does not increase: not used",))
    if np.abs(intervals - median).max() > max(JITTER * median, 1.5 * step):
        shortest, longest = intervals.min(), intervals.max()
        note = f"no constant frame interval: frames are {shortest:.4g} to {longest:.4g} s apart ({source})"
        return Timing(None, tuple(float(stamp) for stamp in stamps), (note,))
    if nominal is None:
        return Timing(median, None, (f"frame interval {median:g} s from {source} of the frames",))
    if abs(nominal - median) > 0.01 * median:
        note = f"the file states {nominal:g} s from frame to frame, its {source} {median:g} s: {source} is used"
        return Timing(median, None, (note,))
    return Timing(nominal)
