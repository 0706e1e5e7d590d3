"""Objects come from somewhere, go somewhere, and are as many as asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter

from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.forms import numbers_of
from physgen.experiments.instruments.devices.objects import (
    LIFE,
    PEAK,
    REACH,
    Track,
    components,
    peaks,
    smoothed,
    value_at,
)
from physgen.simulators import beads, blood, dye, growth, vesicles, vessel

Mask = npt.NDArray[np.bool_]

#: part of the objects that a tracker may lose without a fault of the video
LOSES = 0.05
#: cells of a vessel that are out of the frame at a time
OUTSIDE = 2


def appearance(clip: Clip) -> float:
    """How much higher an object rises than what was within its reach the frame before it came; 0 where none came.

    max over objects that begin after the first frame, of (max height - max_reach height before) / highest of the video
    """
    return max((_excess(clip, track, track.start - 1, track.places[0]) for track in clip.tracks[0]), default=0.0)


def vanishing(clip: Clip) -> float:
    """How much higher an object was than what is within its reach the frame after it is gone; see `appearance`."""
    return max((_excess(clip, track, track.end + 1, track.places[-1]) for track in clip.tracks[0]), default=0.0)


def _excess(clip: Clip, track: Track, beyond: int, place: Array) -> float:
    smooth = clip.tracks[1]
    if not (0 <= beyond < len(smooth) and len(track.places) >= LIFE):
        return 0.0
    mode = "wrap" if clip.periodic else "nearest"
    around = value_at(maximum_filter(smooth[beyond], 2 * int(REACH) + 1, mode=mode), place)
    return max(0.0, max(track.heights) - around) / float(smooth.max())


def lost(clip: Clip) -> float:
    """Part of the objects that no track of at least `LIFE` steps leads on, beyond `LOSES`; NaN where there are none.

    1 - sum of the steps of such tracks / number of the objects in all frames but the last
    """
    tracks = clip.tracks[0]
    last = len(clip.field) - 1
    seen = sum(len(track.places) - (track.end == last) for track in tracks)
    led = sum(len(track.places) - 1 for track in tracks if len(track.places) > LIFE)
    return max(0.0, 1.0 - led / seen - LOSES) if seen else float("nan")


def count(clip: Clip) -> float:
    """Objects in the first frame (median over frames of cells that flow) too many or too few."""
    assert clip.subject
    family, asked = clip.subject.family, clip.subject.attributes["count"]
    if family == "vesicles":
        return float(abs(numbers_of(clip)[0] - vesicles.COUNTS[asked]))
    smooth = clip.tracks[1] if family in ("blood", "vessel") else clip.tracks[1][:1]
    threshold = PEAK * float(smooth.max())
    seen = float(np.median([len(peaks(frame, threshold, clip.periodic)) for frame in smooth]))
    if family in ("blood", "vessel"):
        low, high = blood.COUNTS[asked] if family == "blood" else vessel.COUNTS[asked]
        low = low - OUTSIDE if family == "vessel" else low
        return max(low - seen, seen - (high - 1), 0.0)
    return abs(seen - (dye.COUNTS | growth.COUNTS | beads.COUNTS)[asked])


def division(clip: Clip) -> float:
    """Nuclei in the first frame other than one, and in the last other than two."""
    first, last = _ends(clip)
    return float(abs(len(first) - 1) + abs(len(last) - 2))


def daughters(clip: Clip) -> float:
    """Difference of the chromatin of the two largest nuclei in the last frame, relative to both; 1 for a single one."""
    last = _ends(clip)[1]
    if len(last) < 2:
        return 1.0
    one, other = (float(clip.field[-1][mask].sum()) for mask in last[:2])
    return abs(one - other) / (one + other)


def _ends(clip: Clip) -> list[list[Mask]]:
    return [components(frame) for frame in smoothed(clip.field[[0, -1]], False)]
