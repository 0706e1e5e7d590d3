"""Speed and direction of flows as constants that were fitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from physgen.constraints.fit import Fit
from physgen.constraints.transport.reading import Reading

#: bounds of a direction's error
HALF_TURN = 180.0
#: part of the speed by which a flow is off without noise: it is smooth, and counts pixels by their texture
OFF = 0.05


@dataclass(frozen=True)
class Measured:
    """The reading of one video, a unit of its speed in µm/s, its pairs of frames, and why it is not to be had."""

    reading: Reading
    unit: float
    pairs: int
    reason: str | None


def as_fit(measured: Sequence[Measured]) -> Fit:
    """One `Fit` of all videos; explained parts are those beyond noise.

    >>> as_fit([]).values
    {'speed': [], 'direction': []}
    """
    rows = [_row(one) for one in measured]
    names = ("speed", "direction")
    return Fit(
        {name: [row[name][0] for row in rows] for name in names},
        {name: [row[name][1] for row in rows] for name in names},
        {name: [row[name][2] for row in rows] for name in names},
        [1.0 for _ in rows],
        [one.reason is None for one in measured],
        [one.reading.explained for one in measured],
        [one.reason is None for one in measured],
        [one.reason for one in measured],
    )


def _row(one: Measured) -> dict[str, tuple[float, float, list[float]]]:
    from scipy.stats import t

    reading, reach = one.reading, float(t.ppf(0.975, max(one.pairs - 1, 1)))
    speed = reading.speed * one.unit
    error = math.hypot(reading.error * one.unit, OFF * speed)
    y, x = reading.drift.tolist()
    angle = math.degrees(math.atan2(-y, x))
    length = math.hypot(y, x)
    turn = min(math.degrees(reading.error / length), HALF_TURN) if length > 0 else HALF_TURN
    around = min(reach * turn, HALF_TURN)
    return {
        "speed": (speed, error, [max(speed - reach * error, 0.0), speed + reach * error]),
        "direction": (angle, turn, [angle - around, angle + around]),
    }
