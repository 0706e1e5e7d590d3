"""How many objects, which way, whether they stay, and what pattern or phases; a number, of which more is better."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from physgen.constraints import Count, PhaseOrder
from physgen.constraints.mitosis.classifier import PHASES as NAMED
from physgen.experiments.content.asked import Asked, field_of
from physgen.experiments.instruments.clip import Clip
from physgen.experiments.instruments.devices import attributes, moving, permanence
from physgen.experiments.instruments.devices.attributes import VECTORS
from physgen.experiments.instruments.devices.objects import PEAK, SMOOTHING, peaks
from physgen.experiments.measure.laws import gray_scott_residual, mean_flow
from physgen.grid import Grid
from physgen.simulators.gray_scott import PATTERNS

#: pixels a frame, below which nothing flows
STILL = 0.1
#: the reading of what cannot be told, and the lowest of those without a unit: of a direction that of the opposite way
UNTOLD = -3.0
#: families whose number is that of all frames, since objects move, cover each other or leave, and not of the first one
ALL_FRAMES = ("blood", "vessel", "beads", None)
#: sd of the smoothing in pixels, of vesicles half of a radius: a disc that is filled has one peak
SMOOTH = {"vesicles": 3.0}
#: what tells that objects stay: drops spread until they are none, vesicles fuse, and cells leave a vessel at its ends
DEVICES = {
    "dye.drop": (permanence.appearance,),
    "growth.colony": (permanence.appearance, permanence.vanishing),
    "blood.flow": (permanence.appearance, permanence.vanishing, permanence.lost),
    "vessel.vessel": (permanence.lost,),
    "beads.beads": (permanence.appearance, permanence.vanishing, permanence.lost),
    "vesicles.vesicles": (permanence.appearance,),
}
_PHASE_ORDER, _PIXELS = PhaseOrder(), Grid(spacing=(1.0, 1.0), dt=1.0)


def count_by_peaks(clip: Clip, asked: Asked) -> float:
    """Minus the objects too many or too few: peaks of the smoothed field."""
    return _off(seen_by_peaks(clip), asked)


def seen_by_peaks(clip: Clip) -> float:
    """Objects of a video: peaks of the smoothed field, in the median frame where objects move, else the first one."""
    found = peaks_of(clip)
    return float(np.median(found)) if _all_frames(clip) else found[0]


def peaks_of(clip: Clip) -> list[float]:
    """Number of peaks of the smoothed field in every frame."""
    field, periodic = field_of(clip), bool(clip.subject) and clip.periodic
    sd = SMOOTH.get(clip.subject.family, SMOOTHING) if clip.subject else SMOOTHING
    smooth = gaussian_filter(field, (0, sd, sd), mode="wrap" if periodic else "nearest")
    threshold = PEAK * float(smooth.max())
    return [float(len(peaks(frame, threshold, periodic))) for frame in smooth]


def count_by_components(clip: Clip, asked: Asked) -> float:
    """Minus the objects too many or too few: connected bright pixels, the hard count of the law `Count`."""
    return _off(seen_by_components(clip), asked)


def seen_by_components(clip: Clip) -> float:
    """Objects of a video: connected bright pixels, in the median frame where objects move, else the first one."""
    field = torch.from_numpy(field_of(clip)).float()[None, None]
    grid = clip.grid if clip.subject else _PIXELS
    seen = Count(1).hard_count(field, grid)[0, 0].double()
    return float(seen.median() if _all_frames(clip) else seen[0])


def direction_by_flow(clip: Clip, asked: Asked) -> float:
    """Cosine between one velocity for the whole video, by least squares on its gradients, and the direction asked for.

    0 where less than `STILL` pixels a frame move.
    """
    assert asked.direction
    velocity = np.array(mean_flow(field_of(clip)))
    speed = float(np.hypot(*velocity))
    return float(velocity @ VECTORS[asked.direction]) / speed if speed > STILL else 0.0


def direction_by_tracks(clip: Clip, asked: Asked) -> float:
    """Minus the quarter circles by which the mean step of tracked cells is outside the one around the direction."""
    outside = attributes.direction(clip) if clip.seen else np.nan
    return UNTOLD if np.isnan(outside) else -outside / 45.0


def permanence_by_tracks(clip: Clip, asked: Asked) -> float:
    """Minus how much tracked objects appear from nothing and vanish, and of cells and beads the part that is lost."""
    assert asked.domain
    found = np.array([device(clip) if clip.seen else np.nan for device in DEVICES[asked.domain]])
    return -float(np.nan_to_num(found, nan=1.0).sum())


def permanence_by_assignment(clip: Clip, asked: Asked) -> float:
    """Minus the most objects that appear or vanish between two frames: soft assignment of the law `Permanence`."""
    return -moving.permanence(clip)


def phases_by_classifier(clip: Clip, asked: Asked) -> float:
    """Minus steps out of order and phases that are not shown, as the law's classifier names each frame."""
    field = torch.from_numpy(clip.field)[None, None]
    found = _PHASE_ORDER.violations(field, clip.grid)[0]
    return -float(len(found.illegal) + len(NAMED) - len(set(found.named)))


def pattern_by_law(clip: Clip, asked: Asked) -> float:
    """By how much the constants of the pattern asked for explain the video better than those of the best other one.

    Of a video in which nothing happens all explain as little: `UNTOLD`.
    """
    assert clip.subject
    if not clip.moves:
        return UNTOLD
    residual = {name: gray_scott_residual(clip.fields, name, clip.grid.dt) for name in PATTERNS}
    mine = residual.pop(clip.subject.attributes["pattern"])
    return min(residual.values()) - mine


def _all_frames(clip: Clip) -> bool:
    return (clip.subject.family if clip.subject else None) in ALL_FRAMES


def _off(seen: float, asked: Asked) -> float:
    assert asked.count
    low, high = asked.count
    return -max(low - seen, seen - high, 0.0)
