"""One number that was made again, and what it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from physgen.experiments.measure.intervals import Interval
from physgen.experiments.paper.fresh.flat import Value


@dataclass(frozen=True)
class Compared:
    """A number of a part, committed and again, and the interval in which it agrees."""

    part: str
    place: str
    committed: Value | None
    again: Value
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Whether it is in its interval; a number that is undefined agrees with an undefined one."""
        if self.committed is None:
            return False
        again, committed = centre(self.again), centre(self.committed)
        return self.low <= again <= self.high or (math.isnan(again) and math.isnan(committed))


def compared(
    part: str,
    place: str,
    committed: Value | None,
    again: Value,
    absolute: float | int,
    relative: float | int,
    share: float | int = 1.0,
) -> Compared:
    """Put a number beside the committed one.

    Single numbers agree when ``|again - committed| <= absolute + relative |committed|``. Means of other samples, which
    come with intervals of 95 %, agree when they differ by less than 1.5 times the root of the sum of squares of the two
    halves (of independent means one in 300 differs by more), plus the same. A ``share`` of the samples has an interval
    that is 1 / sqrt(share) as wide: the new half counts as that at least, for a few samples that agree have none.

    >>> compared("", "", 1.0, 1.01, 0.0, 0.02).agrees, compared("", "", None, 1.0, 1.0, 1.0).agrees
    (True, False)
    >>> wide = compared("", "", Interval(1.0, 0.9, 1.1), Interval(1.3, 1.1, 1.5), 0.0, 0.0)
    >>> round(wide.high, 3), wide.agrees
    (1.335, True)
    >>> most, all_eight = Interval(0.92, 0.88, 0.96), Interval(1.0, 1.0, 1.0)
    >>> [compared("", "", most, all_eight, 0.0, 0.0, share).agrees for share in (1.0, 0.125)]
    [False, True]
    """
    if committed is None:
        return Compared(part, place, None, again, math.nan, math.nan)
    middle = centre(committed)
    allowed = absolute + relative * abs(middle)
    if isinstance(committed, Interval) and isinstance(again, Interval):
        half, new = (committed.high - committed.low) / 2, (again.high - again.low) / 2
        allowed += 1.5 * math.hypot(half, max(new, half / math.sqrt(share)) if share < 1 else new)
    return Compared(part, place, committed, again, middle - allowed, middle + allowed)


def centre(value: Value) -> float:
    """The number itself, or the estimate of an interval."""
    return value.estimate if isinstance(value, Interval) else value
