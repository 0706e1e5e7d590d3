"""Lengths and times as files write them, in µm and s, or the reason why they are none."""

from __future__ import annotations

import math
from collections.abc import Callable

from physgen.video.units import NO_UNIT, micrometres, seconds


def read_length(value: object, unit: str | None, notes: list[str]) -> float | None:
    """A pixel size in µm; what cannot be used is said in ``notes``.

    >>> notes = []
    >>> read_length(0.5, "cm", notes), read_length(1, "parsec", notes)
    (5000.0, None)
    >>> notes
    ["pixel size 1 'parsec' in the file: no known unit of length, not used"]
    """
    return _quantity("pixel size", value, unit, micrometres, "length", notes, 0.0)


def read_time(value: object, unit: str | None, notes: list[str], least: float = 0.0) -> float | None:
    """A frame interval in s above ``least``; what cannot be used is said in ``notes``.

    >>> notes = []
    >>> read_time("5", "min", notes), read_time(1, "frame", notes), read_time(0, "s", notes)
    (300.0, None, None)
    >>> notes
    ["frame interval 1 'frame' in the file: no time", 'frame interval 0 in the file: none']
    """
    return _quantity("frame interval", value, unit, seconds, "time", notes, least)


def _quantity(
    name: str,
    value: object,
    unit: str | None,
    convert: Callable[[str], float | None],
    kind: str,
    notes: list[str],
    least: float,
) -> float | None:
    if value is None or unit is None:
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number <= least:
        notes.append(f"{name} {value} in the file: none")
        return None
    factor = convert(unit)
    if factor is None:
        known = "no " + kind if unit.lower() in NO_UNIT else f"no known unit of {kind}, not used"
        notes.append(f"{name} {value} {unit!r} in the file: {known}")
        return None
    return number * factor
