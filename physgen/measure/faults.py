"""What is wrong with a movie: frames out of order or missing, light that steps or fades, things from nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from physgen.measure.arrivals import arrivals
from physgen.measure.cells import typical_radius
from physgen.measure.degenerate import degenerate
from physgen.measure.light import measure_gain, steps_of
from physgen.measure.linking import assign
from physgen.measure.nuclei import segment_nuclei
from physgen.measure.order import compare_frames, jumps, shorter_orders
from physgen.measure.spots import Movie, Spots, Values, find_spots
from physgen.measure.unusable import find_jump, repeats, why_unreadable
from physgen.places import frames_read

FAULTS = ("order", "gap", "repeat", "light", "fade", "arrival", "camera")
#: frames that a test needs
FEWEST = {"order": 5, "gap": 8, "repeat": 3, "light": 3, "fade": 3, "arrival": 3, "camera": 5}
#: how much shorter another order of three frames is, as a part of how much longer it usually is; and in its errors
ORDER, SURE = 0.15, 1.0
#: px over which frames are smoothed, of which that is taken which tells their order best; frames from which that is
#: known; and how much longer the shortest other order is at least, in its errors, where order can be told
SMOOTH, KNOWN, CLEAR = (1.0, 2.0), 12, 1.0
#: frames that seem to be missing; step of followed objects, in units of the median one
GAP, STEP = 0.8, 2.4
#: logarithms of light that changes at once, and that is lost over the movie
LIGHT, FADE = 0.12, 0.1
#: part of the brightness of a spot that comes or goes at once, beyond that at any other time
ARRIVAL = 0.19
#: standard deviation of spots, px, from which they are objects with an outline, as many in a frame, and reach in radii
LARGE, ENOUGH, REACH = 4.0, 4, 2.5
#: frames that spots are looked for in
LOOKED_AT = 5


@dataclass(frozen=True)
class Sign:
    """What one test says of a movie.

    Attributes:
        fault: ``order`` (frames exchanged), ``gap`` (frames missing), ``repeat`` (a frame is the one before again),
            ``light`` (of the whole picture, at once), ``fade``, ``arrival`` (something comes or goes at once) or
            ``camera`` (the picture is shifted at once).
        value: of the test, and ``limit`` above which it is a fault.
        frame: the last one before it, or before the three that are out of order; None where it is in no one place.
        reason: why the test says nothing; None where it does.
    """

    fault: str
    value: float | None
    limit: float
    frame: int | None = None
    reason: str | None = None

    @property
    def found(self) -> bool:
        """Whether there is such a fault."""
        return self.value is not None and self.value > self.limit


def find_faults(movie: Movie) -> list[Sign]:
    """Look for faults of a movie ``[T, H, W]``, one `Sign` for each kind.

    What is compared is the movie with itself: a fault is what happens once and not all the time. A movie that runs
    backward from its first frame to its last, or that lacks every other frame, has none of them. Light that changes is
    taken out before the other tests look.

    Source: see `shorter_orders`, `jumps`, `measure_gain`, `arrivals` and `find_jump`.

    >>> rng, x = np.random.default_rng(0), np.arange(64.0)
    >>> movie = np.stack([100 + 50 * np.exp(-((x - 12 - 2 * t) ** 2) / 20) * np.ones((64, 1)) for t in range(16)])
    >>> movie += rng.standard_normal(movie.shape)
    >>> [sign.fault for sign in find_faults(movie) if sign.found]
    []
    >>> movie[[8, 9]] = movie[[9, 8]]
    >>> [(sign.fault, sign.frame) for sign in find_faults(movie) if sign.found]
    [('order', 6)]
    """
    movie = np.ascontiguousarray(movie, dtype=np.float64)
    limits = dict(zip(FAULTS, (ORDER, GAP, 0.0, LIGHT, FADE, ARRIVAL, 0.0), strict=True))
    unreadable = why_unreadable(movie)
    nothing = degenerate(torch.from_numpy(movie)[None, None])[0] if len(movie) > 1 and not unreadable else None
    reasons = {
        fault: f"{frames_read(len(movie))}, at least {FEWEST[fault]} are needed"
        if len(movie) < FEWEST[fault]
        else unreadable or (f"the movie is {nothing}" if nothing else None)
        for fault in FAULTS
    }
    values: dict[str, tuple[float, int | None]] = {}
    if reasons["light"] is None:
        same = repeats(movie)
        values["repeat"] = float(same.sum()), int(same.argmax()) if same.any() else None
        gain = measure_gain(movie)
        steps = np.abs(steps_of(gain))
        values["light"] = float(steps.max()), int(steps.argmax())
        values["fade"] = max(0.0, -float(gain[-1])), None
        even = movie / np.exp(gain)[:, None, None]
        spots = find_spots(even[np.linspace(0, len(movie) - 1, min(LOOKED_AT, len(movie))).round().astype(int)])
        come = arrivals(even, spots)
        values["arrival"] = float(np.diff(np.sort(come)[-2:])[0]), int(come.argmax())
        if reasons["order"] is None:
            found = _in_time(even, spots)
            unclear = "a frame is hardly more like the next one than like others: too little moves, or it goes too far"
            reasons |= {fault: unclear for fault in ("order", "gap") if fault not in found and reasons[fault] is None}
            values |= found
    return [
        Sign(fault, *_split(values[fault], limits[fault]))
        if reasons[fault] is None
        else Sign(fault, None, limits[fault], None, reasons[fault])
        for fault in FAULTS
    ]


def _split(value: tuple[float, int | None], limit: float) -> tuple[float, float, int | None]:
    return value[0], limit, value[1]


def _in_time(movie: Movie, spots: Spots) -> dict[str, tuple[float, int | None]]:
    tried = [compare_frames(movie, smooth) for smooth in (SMOOTH if len(movie) >= KNOWN else SMOOTH[:1])]
    orders = [shorter_orders(one) for one in tried]
    clear = [-float(np.median(errors.max(0))) for _, errors in orders]
    likeness, (values, errors) = tried[int(np.argmax(clear))], orders[int(np.argmax(clear))]
    jumped = find_jump(movie)
    found: dict[str, tuple[float, int | None]] = {"camera": (float(jumped is not None), jumped)}
    if len(movie) >= KNOWN and max(clear) < CLEAR:
        return found
    sure = np.where(errors > SURE, values, np.minimum(values, 0.0)).max(0)
    found["order"] = max(float(sure.max()), 0.0), int(sure.argmax())
    if len(movie) >= FEWEST["gap"]:
        missing = np.maximum(jumps(likeness), 0.0)
        went = object_steps(movie, spots)
        if went is not None:
            missing = np.maximum(missing, GAP / STEP * went)
        found["gap"] = float(missing.max()), int(missing.argmax())
    return found


def object_steps(movie: Movie, spots: Spots) -> Values | None:
    """Median step of large objects from each frame to the next, over the median of all, ``[T - 1]``.

    None of small spots, and where a typical frame has fewer than four objects.

    >>> object_steps(np.zeros((4, 32, 32)), find_spots(np.zeros((4, 32, 32)))) is None
    True
    """
    from scipy.ndimage import center_of_mass

    if not len(spots) or spots.scale < LARGE:
        return None
    radius = typical_radius(movie)
    labels = [segment_nuclei(frame, radius) for frame in movie]
    if np.median([one.max() for one in labels]) < ENOUGH:
        return None
    places = [np.array(center_of_mass(one > 0, one, range(1, one.max() + 1))).reshape(-1, 2) for one in labels]
    went = np.zeros(len(movie) - 1)
    for t, (here, there) in enumerate(pairwise(places)):
        i, j = assign(here, there, REACH * radius)
        went[t] = float(np.median(np.hypot(*(there[j] - here[i]).T))) if len(i) >= ENOUGH else 0.0
    return went / max(float(np.median(went)), 1e-9)
