"""Content of one video by one estimator each: a number, of which more is better."""

from __future__ import annotations

import numpy as np
import torch

from physgen.constraints import Count, PhaseOrder
from physgen.constraints.mitosis.classifier import PHASES as NAMED
from physgen.experiments.content.asked import Asked, field_of
from physgen.experiments.instruments.clip import Clip
from physgen.experiments.instruments.devices import attributes, moving, permanence
from physgen.experiments.instruments.devices.attributes import VECTORS, recogniser
from physgen.experiments.instruments.devices.objects import PEAK, peaks, smoothed
from physgen.experiments.measure.laws import gray_scott_residual, legal_order, mean_flow
from physgen.grid import Grid
from physgen.simulators.gray_scott import PATTERNS
from physgen.simulators.mitosis import PHASES
from physgen.worlds.micro.judge import head_of

#: pixels a frame, below which nothing flows; and the reading of a motion that cannot be told, that of the opposite way
STILL, UNTOLD = 0.1, -3.0
#: families whose objects move, merge or leave, so that the number is that of all frames, and not of the first one
ALL_FRAMES = ("blood", None)
_PHASE_ORDER, _PIXELS = PhaseOrder(), Grid(spacing=(1.0, 1.0), dt=1.0)


def count_by_peaks(clip: Clip, asked: Asked) -> float:
    """Minus the objects too many or too few: peaks of the smoothed field."""
    field, periodic = field_of(clip), bool(clip.subject) and clip.periodic
    smooth = smoothed(field if _all_frames(clip) else field[:1], periodic)
    threshold = PEAK * float(smoothed(field, periodic).max())
    return _off(float(np.median([len(peaks(frame, threshold, periodic)) for frame in smooth])), asked)


def count_by_components(clip: Clip, asked: Asked) -> float:
    """Minus the objects too many or too few: connected bright pixels, the hard count of the law `Count`."""
    assert asked.count
    field = torch.from_numpy(field_of(clip)).float()[None, None]
    grid = clip.grid if clip.subject else _PIXELS
    seen = Count(asked.count).hard_count(field, grid)[0, 0].double()
    return _off(float(seen.median() if _all_frames(clip) else seen[0]), asked)


def count_by_judge(clip: Clip, asked: Asked) -> float:
    """Margin by which the judge prefers the count that is asked for."""
    return _margin(clip, "count")


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
    outside = attributes.direction(clip)
    return UNTOLD if np.isnan(outside) else -outside / 45.0


def direction_by_judge(clip: Clip, asked: Asked) -> float:
    """Margin by which the judge prefers the direction that is asked for."""
    return _margin(clip, "direction")


def permanence_by_tracks(clip: Clip, asked: Asked) -> float:
    """Minus how much tracked objects appear from nothing and vanish, and of red cells the part that is lost."""
    devices = [permanence.appearance]
    if asked.domain != "dye.drop":  # drops spread until they are none
        devices.append(permanence.vanishing)
    if asked.domain == "blood.flow":
        devices.append(permanence.lost)
    found = np.array([device(clip) for device in devices])
    return -float(np.nan_to_num(found, nan=1.0).sum())


def permanence_by_assignment(clip: Clip, asked: Asked) -> float:
    """Minus the most objects that appear or vanish between two frames: soft assignment of the law `Permanence`."""
    return -moving.permanence(clip)


def phases_by_classifier(clip: Clip, asked: Asked) -> float:
    """Minus steps out of order and phases that are not shown, as the law's classifier names each frame."""
    field = torch.from_numpy(clip.field)[None, None]
    found = _PHASE_ORDER.violations(field, clip.grid)[0]
    return -float(len(found.illegal) + len(NAMED) - len(set(found.named)))


def phases_by_judge(clip: Clip, asked: Asked) -> float:
    """Part of what the judge sees that is right: the first phase, the last one, each step from one to the next."""
    row = recogniser().phases(clip.video[None].float())[0].numpy()
    steps = np.diff(row)
    right = [row[0] == 0, row[-1] == len(PHASES) - 1, *((steps == 0) | (steps == 1))]
    found = float(np.mean(right))
    assert (found == 1.0) == legal_order(row.tolist(), len(PHASES) - 1)
    return found


def pattern_by_law(clip: Clip, asked: Asked) -> float:
    """By how much the constants of the pattern asked for explain the video better than those of the best other one."""
    assert clip.subject
    residual = {name: gray_scott_residual(clip.fields, name, clip.grid.dt) for name in PATTERNS}
    mine = residual.pop(clip.subject.attributes["pattern"])
    return min(residual.values()) - mine


def pattern_by_judge(clip: Clip, asked: Asked) -> float:
    """Margin by which the judge prefers the pattern that is asked for."""
    return _margin(clip, "pattern")


def attributes_by_judge(clip: Clip, asked: Asked) -> float:
    """The smallest margin by which the judge prefers the family, the kind and each attribute that is asked for."""
    assert clip.subject
    return min(-attributes.recognised(clip), *(_margin(clip, name) for name in clip.subject.attributes))


def _all_frames(clip: Clip) -> bool:
    return (clip.subject.family if clip.subject else None) in ALL_FRAMES


def _off(seen: float, asked: Asked) -> float:
    assert asked.count
    low, high = asked.count
    return -max(low - seen, seen - high, 0.0)


def _margin(clip: Clip, name: str) -> float:
    """Score of the value that is asked for, minus the best other one; no limit where the judge has no such head."""
    assert clip.subject
    head = head_of(clip.subject.family, clip.subject.kind, name)
    if head not in recogniser().heads:
        return float("inf")
    return -attributes.margin(clip, head, clip.subject.attributes[name])
