"""One table of units: what files call lengths and times, in µm and s."""

from __future__ import annotations

PREFIXES = {
    ("Y", "yotta"): 1e24,
    ("Z", "zetta"): 1e21,
    ("E", "exa"): 1e18,
    ("P", "peta"): 1e15,
    ("T", "tera"): 1e12,
    ("G", "giga"): 1e9,
    ("M", "mega"): 1e6,
    ("k", "kilo"): 1e3,
    ("h", "hecto"): 1e2,
    ("da", "deca"): 1e1,
    ("", ""): 1.0,
    ("d", "deci"): 1e-1,
    ("c", "centi"): 1e-2,
    ("m", "milli"): 1e-3,
    ("u", "micro"): 1e-6,
    ("µ", "micro"): 1e-6,
    ("μ", "micro"): 1e-6,
    ("\\u00B5", "micro"): 1e-6,
    ("n", "nano"): 1e-9,
    ("p", "pico"): 1e-12,
    ("f", "femto"): 1e-15,
    ("a", "atto"): 1e-18,
    ("z", "zepto"): 1e-21,
    ("y", "yocto"): 1e-24,
}


def _with_prefixes(symbol: str, words: tuple[str, ...]) -> dict[str, float]:
    table: dict[str, float] = {}
    for (short, long), factor in PREFIXES.items():
        table |= dict.fromkeys([short + symbol, *(long + word for word in words)], factor)
    return table


METRES = _with_prefixes("m", ("meter", "metre", "meters", "metres")) | {
    "micron": 1e-6,
    "microns": 1e-6,
    "um": 1e-6,
    "\u00c5": 1e-10,
    "angstrom": 1e-10,
    "angstroms": 1e-10,
    "thou": 2.54e-5,
    "mil": 2.54e-5,
    "pt": 2.54e-2 / 72,
    "in": 2.54e-2,
    "inch": 2.54e-2,
    "inches": 2.54e-2,
    '"': 2.54e-2,
    "ft": 0.3048,
    "foot": 0.3048,
    "feet": 0.3048,
}
SECONDS = _with_prefixes("s", ("second", "seconds", "sec", "secs")) | {
    "sec": 1.0,
    "secs": 1.0,
    "msec": 1e-3,
    "usec": 1e-6,
    "µsec": 1e-6,
    "min": 60.0,
    "mins": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hrs": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "days": 86400.0,
}
#: what files write where they have no unit
NO_UNIT = ("", "pixel", "pixels", "px", "frame", "frames", "reference frame", "none", "null")


def micrometres(unit: str) -> float | None:
    """Micrometres in a unit of length; ``None`` for what is no length.

    >>> micrometres("inch"), micrometres("nanometers"), micrometres("pixel")
    (25400.0, 0.001, None)
    """
    metres = _look_up(unit, METRES)
    return None if metres is None else float(f"{metres * 1e6:.12g}")


def seconds(unit: str) -> float | None:
    """Seconds in a unit of time; ``None`` for what is no time.

    >>> seconds("min"), seconds("ms"), seconds("frame")
    (60.0, 0.001, None)
    """
    return _look_up(unit, SECONDS)


def _look_up(unit: str, table: dict[str, float]) -> float | None:
    """A unit as it is written (mm is no Mm); a word of any case."""
    unit = unit.strip().rstrip(".")
    return table.get(unit, table.get(unit.lower()) if len(unit) > 2 else None)
