"""Plain readings of a video, apart for content, motion and rendering; each in units of what may differ unnoticed."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from physgen.constraints import Periodic
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.attributes import diffusivity
from physgen.experiments.instruments.devices.forms import beat_of, fibres_of, numbers_of, vessel_of
from physgen.experiments.instruments.devices.objects import PEAK, components, peaks, smoothed
from physgen.experiments.measure.laws import growth_residual, heat_residual, mean_flow
from physgen.simulators import beads, blood, dye, gray_scott, growth, mitosis, sheet, vesicles
from physgen.simulators.mitosis import PHASES
from physgen.worlds.micro.judge import Judge

BACKGROUNDS = {
    "dye": dye.BACKGROUND,
    "growth": growth.BACKGROUND,
    "gray_scott": gray_scott.BACKGROUND,
    "mitosis": mitosis.BACKGROUND,
    "blood": blood.TISSUE,
    "vessel": blood.TISSUE,
    "beads": beads.BACKGROUND,
    "sheet": sheet.BACKGROUND,
    "vesicles": vesicles.BACKGROUND,
}
#: differences that count as one unit: objects, parts of a unit vector, of a whole, logarithms, and pixels of jitter
OBJECTS, DIRECTION, COLOUR, SHARE, LOG, JITTER = 0.5, 0.5, 0.1, 0.1, 0.1, 0.02
#: pixels by which the axis of a vessel leaves its chord
BEND = 2.0


def content_of(clip: Clip, judge: Judge) -> Array:
    """Colour, count, size, orientation, direction, shape, pattern and phases, as far as the family has them, ``[F]``.

    Objects are counted by the tracker's peaks, direction is that of the least-squares flow, phases are the judge's.
    """
    assert clip.subject
    kind, family = clip.subject.kind, clip.subject.family
    parts = [_colour(clip) / COLOUR]
    if family in ("dye", "growth", "blood", "vessel", "beads"):
        parts.append(np.array([_count(clip) / OBJECTS if kind not in ("frap", "wound") else 0.0]))
    if family == "vesicles":
        parts.append(numbers_of(clip) / OBJECTS)
    if family == "dye":
        parts.append(np.array([_size(clip) / LOG if kind == "frap" else 0.0]))
    if family in ("growth", "mitosis"):
        shape = clip.field[-1] if family == "mitosis" else 1.0 - clip.field[0]
        parts.append(_axis(shape) / DIRECTION if kind != "colony" else np.zeros(2))
    if family == "mitosis":
        ends = smoothed(clip.field[[0, -1]], False)
        parts.append(np.array([len(components(frame)) if clip.seen else 0.0 for frame in ends]) / OBJECTS)
        seen = judge.phases(clip.video[None].float())[0].numpy()
        parts.append(np.bincount(seen, minlength=len(PHASES)) / len(seen) / SHARE)
    if family == "gray_scott":
        parts.append(_pattern(clip.field[-1]))
    if family in ("blood", "vessel"):
        velocity = np.array(mean_flow(clip.field))
        parts.append(velocity / max(float(np.hypot(*velocity)), 0.1) / DIRECTION)
    if family == "vessel":
        parts.append(vessel_of(clip) / [BEND, OBJECTS])
    if family == "sheet":
        axis = fibres_of(clip)
        parts.append(axis / max(float(np.hypot(*axis)), 0.02) / DIRECTION)
    return np.concatenate(parts)


def motion_of(clip: Clip) -> Array:
    """Logarithm of the constant that says how fast: D of dye and beads, r of growth, mean speed of blood and vessels.

    Of a sheet the period and the way to and fro, ``[2]``; of the others ``[0]``.
    """
    assert clip.subject
    family = clip.subject.family
    if family == "dye":
        found = heat_residual(clip.field, clip.grid)["D"]
    elif family == "growth":
        found = growth_residual(clip.field, clip.grid)["r"] * clip.grid.dt
    elif family in ("blood", "vessel"):
        found = float(np.hypot(*mean_flow(clip.field)))
    elif family == "beads":
        found = diffusivity(clip)
    elif family == "sheet":
        period = Periodic().fit(torch.from_numpy(clip.fields)[None], clip.grid).values["period"][0]
        return np.log([max(float(period), 1e-3), max(float(np.ptp(beat_of(clip))), 0.5)]) / LOG
    else:
        return np.zeros(0)
    return np.array([np.log(max(found, 1e-3)) / LOG])


def rendering_of(clip: Clip) -> Array:
    """Jitter in pixels; and sharpness, the logarithm of gradients over those after smoothing by a pixel; ``[2]``."""
    light = clip.light
    middle = 0.5 * (light[2:] + light[:-2])
    moved = np.array([_shift(frame, around) for frame, around in zip(light[1:-1], middle, strict=True)])
    fine, coarse = (
        float(sum(np.square(g).sum() for g in np.gradient(frames, axis=(1, 2))))
        for frames in (light, gaussian_filter(light, (0, 1, 1)))
    )
    return np.array([np.sqrt(np.square(moved).mean()) / JITTER, np.log((fine + 1e-12) / (coarse + 1e-12)) / LOG])


def _shift(frame: Array, around: Array) -> Array:
    """Displacement ``(dy, dx)`` of a frame from the mean of its neighbours, by least squares on its gradient."""
    gradient = np.stack([g.ravel() for g in np.gradient(gaussian_filter(around, 1.0))])
    change = (gaussian_filter(around, 1.0) - gaussian_filter(frame, 1.0)).ravel()
    normal = gradient @ gradient.T
    return np.asarray(
        np.linalg.solve(normal + 1e-6 * max(float(np.trace(normal)), 1e-3) * np.eye(2), gradient @ change)
    )


def _colour(clip: Clip) -> Array:
    """Unit vector of what stands out of the background, 0 where nothing does."""
    assert clip.subject
    above = clip.pixels.reshape(3, -1) - BACKGROUNDS[clip.subject.family][:, None]
    mean = (above * np.linalg.norm(above, axis=0)).sum(1) / max(float(np.linalg.norm(above)), 1e-9)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1.0)) if clip.seen else np.zeros(3)


def _count(clip: Clip) -> float:
    """Peaks in the first frame, of cells that flow the median over frames; 0 where nothing is seen."""
    assert clip.subject
    if not clip.seen:
        return 0.0
    smooth = smoothed(clip.field, clip.periodic)
    frames = smooth if clip.subject.family in ("blood", "vessel") else smooth[:1]
    return float(np.median([len(peaks(f, PEAK * float(smooth.max()), clip.periodic)) for f in frames]))


def _size(clip: Clip) -> float:
    """Logarithm of the radius of the dark spot in the first frame, in pixels."""
    first = clip.field[0]
    low, high = np.quantile(first, [0.005, 0.9])
    return float(0.5 * np.log(max(float((first < 0.5 * (low + high)).sum()), 1.0) / np.pi))


def _axis(shape: Array) -> Array:
    """``(cos 2a, sin 2a)`` of the long axis of what is above half of the highest, shorter where it is round."""
    y, x = np.nonzero(shape > 0.5 * np.quantile(shape, 0.998))
    if len(x) < 3:
        return np.zeros(2)
    cov = np.cov(np.stack([x, -y]).astype(float))
    along = np.array([cov[0, 0] - cov[1, 1], 2.0 * cov[0, 1]])
    return np.asarray(along / max(float(np.trace(cov)), 1e-9))


def _pattern(field: Array) -> Array:
    """Mean, spread and skewness of a pattern, and the logarithm of its mean wave number."""
    spectrum = np.square(np.abs(np.fft.rfft2(field - field.mean())))
    k = np.hypot(np.fft.fftfreq(field.shape[0])[:, None], np.fft.rfftfreq(field.shape[1]))
    wave = float((k * spectrum).sum() / max(float(spectrum.sum()), 1e-12))
    spread = float(field.std())
    skewness = float(((field - field.mean()) ** 3).mean()) / max(spread, 1e-3) ** 3
    return np.array([field.mean() / SHARE, spread / SHARE, skewness / OBJECTS, np.log(max(wave, 1e-3)) / LOG])
