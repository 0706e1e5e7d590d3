"""Colour, size, axis and shape of what is shown, and what becomes of it; a number, of which more is better."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import grey_closing, label

from physgen.constraints import Count
from physgen.experiments.content.asked import Asked
from physgen.experiments.content.readings import UNTOLD, peaks_of
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices import attributes, forms
from physgen.simulators import vesicles

#: spread of coverage from which there is a lumen, and part of the frame that is a region of its own
PLAIN, SPECK = 0.5, 0.01
#: pixels that a wall is narrower than, how much darker than beside it walls are at least, and the part of it from which
#: a pixel is one
WIDEST, DARKER, WALL = 9, 0.05, 0.4


def colour_by_mixing(clip: Clip, asked: Asked) -> float:
    """Minus the logarithm of what the colour asked for leaves unexplained, over that of the best other colour."""
    return _up_to(attributes.colour(clip)) if clip.seen else UNTOLD


def size_by_area(clip: Clip, asked: Asked) -> float:
    """Minus the logarithm by which the dark spot is on the wrong side of the border of small and large."""
    return _up_to(attributes.size(clip)) if clip.seen else UNTOLD


def orientation_by_axis(clip: Clip, asked: Asked) -> float:
    """Minus the degrees between the axis asked for and that of gap, chromatin or fibres, beyond 22.5, over these."""
    return _up_to(attributes.orientation(clip) / attributes.BETWEEN - 1.0) if clip.seen else UNTOLD


def shape_by_lumen(clip: Clip, asked: Asked) -> float:
    """How sure the lumen says straight, curved or branching: 0 at the border between them."""
    off, channels = forms.vessel_of(clip)
    seen = channels > 0 and np.ptp(clip.fields[1]) > PLAIN
    return _shaped(clip, float(off), bool(channels > 1)) if seen else UNTOLD


def shape_by_walls(clip: Clip, asked: Asked) -> float:
    """How sure the walls say straight, curved or branching: a branching one parts the frame in more than three.

    Walls are dark lines that stay: no colour map, with which the lumen is read, so that no odd colour misleads both.
    """
    assert clip.subject
    walls = walls_of(clip)
    walls = walls.T if clip.subject.attributes["direction"] in ("up", "down") else walls
    regions, _ = label(walls < WALL)
    parts = int((np.bincount(regions.ravel())[1:] > SPECK * walls.size).sum())
    weights = np.maximum(walls - WALL, 0.0)
    if parts < 3 or not weights.sum(0).all():
        return UNTOLD
    axis = (weights * np.arange(len(walls))[:, None]).sum(0) / weights.sum(0)
    middle, ends = axis[len(axis) // 2 - 2 :][:4].mean(), 0.5 * (axis[:3].mean() + axis[-3:].mean())
    return _shaped(clip, abs(float(middle - ends)), parts > 3)


def walls_of(clip: Clip) -> Array:
    """Narrow dark lines that no frame is bright at, 1 at the darkest of them; 0 everywhere where there are none.

    bright = max over time of the mean of the channels (cells pass by),  walls = (closing(bright) - bright) / depth
    """
    bright = clip.light.max(0)
    dark = np.asarray(grey_closing(bright, WIDEST) - bright)
    deepest = float(np.quantile(dark, 0.99))
    return dark / deepest if deepest > DARKER else np.zeros_like(dark)


def outcome_by_peaks(clip: Clip, asked: Asked) -> float:
    """Minus the vesicles too many or too few in the last frame: peaks of the smoothed content."""
    return -abs(peaks_of(clip)[-1] - _left(clip))


def outcome_by_components(clip: Clip, asked: Asked) -> float:
    """Minus the vesicles too many or too few in the last frame: connected bright pixels, the hard count of `Count`."""
    field = torch.from_numpy(clip.field).float()[None, None]
    return -abs(float(Count(_left(clip)).hard_count(field, clip.grid)[0, 0, -1]) - _left(clip))


def _shaped(clip: Clip, off: float, branches: bool) -> float:
    """How sure a shape is by how far its axis leaves the chord, in pixels, and whether it branches."""
    assert clip.subject
    wanted = clip.subject.attributes["shape"]
    if wanted == "branching" or branches:
        return 1.0 if (wanted == "branching") == branches else -1.0
    bent = min(off / forms.BENT - 1.0, 1.0)
    return bent if wanted == "curved" else -bent


def _left(clip: Clip) -> int:
    """Vesicles that are to be left."""
    assert clip.subject
    told = clip.subject.attributes
    return vesicles.COUNTS[told["count"]] - 1 if told["outcome"] == vesicles.OUTCOMES[0] else 1


def _up_to(wrong: float) -> float:
    return max(-max(wrong, 0.0), UNTOLD) if wrong == wrong else UNTOLD
