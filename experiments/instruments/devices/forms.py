"""The shape of a vessel, the fibres of a sheet and its beat, and how many things there are before and after."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.objects import components, smoothed
from physgen.simulators import sheet, vesicles

#: pixels at either end of a vessel in which its branches are counted, and by which a bent axis leaves its chord
END, BENT = 8, 4.0
#: pixels by which a sheet is displaced at most, and in steps; part of the amplitude that its mean over the frame is
FARTHEST, STEP = 6.0, 0.5
PART = 0.7


def vessel_of(clip: Clip) -> Array:
    """How far the axis of a vessel leaves its chord, in pixels, and channels at the end that has more, ``[2]``."""
    assert clip.subject
    lumen = clip.fields[1].mean(0) > 0.5
    lumen = lumen.T if clip.subject.attributes["direction"] in ("up", "down") else lumen
    found = lumen.any(0)
    if not found[[0, -1]].all():
        return np.zeros(2)
    channels = (np.diff(np.pad(lumen, ((1, 1), (0, 0))).astype(int), axis=0) > 0).sum(0)
    rows = np.arange(len(lumen))
    axis = np.array([rows[column].mean() if column.any() else np.nan for column in lumen.T])
    off = np.nanmean(axis[len(axis) // 2 - 2 :][:4]) - 0.5 * (np.nanmean(axis[:3]) + np.nanmean(axis[-3:]))
    return np.array([abs(off), max(np.median(channels[:END]), np.median(channels[-END:]))])


def shape_of(clip: Clip) -> str:
    """The word for the shape of a vessel."""
    off, channels = vessel_of(clip)
    if channels > 1:
        return "branching"
    return "curved" if off > BENT else "straight"


def fibres_of(clip: Clip) -> Array:
    """``(cos 2a, sin 2a)`` of the direction in which the picture changes least, shorter where it has none, ``[2]``."""
    gy, gx = np.gradient(gaussian_filter(clip.light, (0, 1, 1)), axis=(1, 2))
    xx, yy, xy = (float(np.mean(a * b)) for a, b in ((gx, gx), (gy, gy), (gx, -gy)))
    return np.array([yy - xx, -2.0 * xy]) / max(xx + yy, 1e-12)


def beat_of(clip: Clip, across: bool = False) -> Array:
    """Displacement of each frame along (or across) the fibres, in pixels, where it is most like the first, ``[T]``."""
    along = 0.5 * np.arctan2(*fibres_of(clip)[::-1]) + across * np.pi / 2
    shifts = np.arange(-FARTHEST, FARTHEST + STEP / 2, STEP)
    frames = clip.light - clip.light.mean((1, 2), keepdims=True)
    waves = np.fft.fft2(frames)
    fy, fx = np.fft.fftfreq(frames.shape[1])[:, None], np.fft.fftfreq(frames.shape[2])
    turn = np.exp(2j * np.pi * shifts[:, None, None] * (np.cos(along) * fx - np.sin(along) * fy))
    likeness = np.einsum("thw,khw->tk", waves * waves[0].conj(), turn).real
    return np.asarray(shifts[likeness.argmax(1)])


def shape(clip: Clip) -> float:
    """1 where the vessel has not the shape that is asked for, else 0."""
    assert clip.subject
    return float(shape_of(clip) != clip.subject.attributes["shape"])


def strength(clip: Clip) -> float:
    """Log of the way to and fro relative to the border of gentle and strong, > 0 on the wrong side."""
    assert clip.subject
    gently, strongly = sheet.AMPLITUDE.values()
    border = PART * np.sqrt(gently[1] * strongly[0]) / clip.grid.spacing[0]
    more = np.log(max(float(np.ptp(beat_of(clip))), STEP / 2) / border)
    return float(more if clip.subject.attributes["strength"] == next(iter(sheet.AMPLITUDE)) else -more)


def shear(clip: Clip) -> float:
    """How far the sheet moves to and fro across its fibres, in pixels."""
    return float(np.ptp(beat_of(clip, across=True)))


def outcome(clip: Clip) -> float:
    """Vesicles in the last frame too many or too few."""
    assert clip.subject
    count = vesicles.COUNTS[clip.subject.attributes["count"]]
    left = count - 1 if clip.subject.attributes["outcome"] == vesicles.OUTCOMES[0] else 1
    return float(abs(numbers_of(clip)[1] - left))


def numbers_of(clip: Clip) -> Array:
    """Separate things in the first and in the last frame, ``[2]``."""
    ends = smoothed(clip.field[[0, -1]], clip.periodic)
    return np.array([float(len(components(frame))) if clip.seen else 0.0 for frame in ends])
