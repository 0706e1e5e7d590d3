"""Plain readings of vessels, beads, sheets and vesicles: shape, fibres, beat and numbers."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.objects import components, smoothed

#: pixels at either end of a vessel in which its branches are counted, and by which a bent axis leaves its chord
END, BENT = 8, 4.0
#: pixels by which a sheet is displaced at most
FARTHEST = 6.0


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


def beat_of(clip: Clip) -> Array:
    """Displacement of each frame along the fibres, in pixels, where it is most like the first one, ``[T]``."""
    along = 0.5 * np.arctan2(*fibres_of(clip)[::-1])
    shifts = np.arange(-FARTHEST, FARTHEST + 0.25, 0.5)
    frames = clip.light - clip.light.mean((1, 2), keepdims=True)
    waves = np.fft.fft2(frames)
    fy, fx = np.fft.fftfreq(frames.shape[1])[:, None], np.fft.fftfreq(frames.shape[2])
    turn = np.exp(2j * np.pi * shifts[:, None, None] * (np.cos(along) * fx - np.sin(along) * fy))
    likeness = np.einsum("thw,khw->tk", waves * waves[0].conj(), turn).real
    return np.asarray(shifts[likeness.argmax(1)])


def numbers_of(clip: Clip) -> Array:
    """Separate things in the first and in the last frame, ``[2]``."""
    ends = smoothed(clip.field[[0, -1]], clip.periodic)
    return np.array([float(len(components(frame))) if clip.seen else 0.0 for frame in ends])
