"""Faults of a file: frames out of order or missing, light that steps or fades, things from nowhere."""

from __future__ import annotations

from dataclasses import replace

from physgen.experiments.audit.moving.report import Movie, Moving, Scale
from physgen.experiments.pages.numbers import number
from physgen.measure import Sign, find_faults

WORDS = {
    "order": "three frames are out of order after frame {frame}",
    "gap": "frames are missing, or things jump, after frame {frame}",
    "repeat": "frames are shown twice, the first after frame {frame}",
    "light": "the light of the whole picture changes at once after frame {frame}",
    "fade": "the light of the whole picture is lost slowly",
    "arrival": "something comes or goes at once after frame {frame}",
    "camera": "the camera jumps after frame {frame}",
}


def report_faults(movie: Movie, scale: Scale, times: list[float] | None) -> Moving:
    """What is wrong with a movie, frames of the file counted from 0."""
    every = scale.part.every
    signs = [replace(one, frame=None if one.frame is None else every * one.frame) for one in find_faults(movie)]
    found = [sign for sign in signs if sign.found]
    reasons = {sign.fault: sign.reason for sign in signs if sign.reason is not None}
    measured = len(reasons) < len(signs)
    numbers = {
        "found": [{"fault": sign.fault, "frame": sign.frame} for sign in found],
        "tests": {sign.fault: {"value": sign.value, "limit": sign.limit, "reason": sign.reason} for sign in signs},
        "measured": measured,
        "reason": None if measured else next(iter(reasons.values())),
    }
    if not measured:
        return Moving("faults", numbers, f"not measured: {numbers['reason']}")
    words = "; ".join(_words(sign) for sign in found) or "none found"
    unasked = "; ".join(f"{fault} not looked for: {reason}" for fault, reason in reasons.items())
    return Moving("faults", numbers, f"{words}; {unasked}" if unasked else words)


def _words(sign: Sign) -> str:
    assert sign.value is not None
    return f"{WORDS[sign.fault].format(frame=sign.frame)} ({number(sign.value)}, limit {number(sign.limit)})"
