"""Colour, size, axis and shape of what is shown, and what becomes of it; a number, of which more is better."""

from __future__ import annotations

import numpy as np
import torch

from physgen.constraints import Count
from physgen.experiments.content.asked import Asked
from physgen.experiments.content.readings import UNTOLD, peaks_of
from physgen.experiments.instruments.clip import LEAST_CONTRAST, Clip
from physgen.experiments.instruments.devices import attributes, forms
from physgen.simulators import vesicles


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
    assert clip.subject
    if np.ptp(clip.fields[1]) < LEAST_CONTRAST:
        return UNTOLD
    off, channels = forms.vessel_of(clip)
    wanted = clip.subject.attributes["shape"]
    if not channels:
        return UNTOLD
    if wanted == "branching" or channels > 1:
        return 1.0 if (wanted == "branching") == (channels > 1) else -1.0
    bent = min(float(off) / forms.BENT - 1.0, 1.0)
    return bent if wanted == "curved" else -bent


def outcome_by_peaks(clip: Clip, asked: Asked) -> float:
    """Minus the vesicles too many or too few in the last frame: peaks of the smoothed content."""
    return -abs(peaks_of(clip)[-1] - _left(clip))


def outcome_by_components(clip: Clip, asked: Asked) -> float:
    """Minus the vesicles too many or too few in the last frame: connected bright pixels, the hard count of `Count`."""
    field = torch.from_numpy(clip.field).float()[None, None]
    return -abs(float(Count(_left(clip)).hard_count(field, clip.grid)[0, 0, -1]) - _left(clip))


def _left(clip: Clip) -> int:
    """Vesicles that are to be left."""
    assert clip.subject
    told = clip.subject.attributes
    return vesicles.COUNTS[told["count"]] - 1 if told["outcome"] == vesicles.OUTCOMES[0] else 1


def _up_to(wrong: float) -> float:
    return max(-max(wrong, 0.0), UNTOLD) if wrong == wrong else UNTOLD
