"""Faults of the content: what amounts, objects and their motion do."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.attributes import DEGREES
from physgen.experiments.instruments.devices.objects import value_at
from physgen.experiments.instruments.proof.planted_fault import Plant
from physgen.simulators.base import pixel_axes, sigmoid


def amount(sign: float) -> Plant:
    """What is above the background grows or shrinks by the strength in the course of the video."""

    def plant(clip: Clip, s: float, rng: np.random.Generator) -> Array:
        gain = np.linspace(1.0, 1.0 + sign * s, clip.field.shape[0])[:, None, None]
        return shown(clip, clip.field * (gain - 1.0))

    return plant


def slower(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """From the middle on everything goes ``1 + s`` times slower, as with other constants."""
    t = np.arange(clip.pixels.shape[1], dtype=float)
    middle = t[-1] / 2
    return resampled(clip, np.where(t < middle, t, middle + (t - middle) / (1 + s)))


def reversed_part(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """The last part of the video, a share of it, runs backwards."""
    start = round((1 - s) * clip.pixels.shape[1])
    return np.concatenate([clip.pixels[:, :start], clip.pixels[:, start:][:, ::-1]], axis=1)


def swapped(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Two stretches of so many frames change places, eight frames apart."""
    order, n = np.arange(clip.pixels.shape[1]), int(s)
    order[6 : 6 + n], order[14 : 14 + n] = order[14 : 14 + n].copy(), order[6 : 6 + n].copy()
    return np.asarray(clip.pixels[:, order])


def skipped(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """A share of the video is cut out of its middle, and the rest slowed down to its length."""
    frames = clip.pixels.shape[1]
    start = int(rng.integers(2, frames - 2 - round(s * frames) + 1))
    kept = np.delete(np.arange(frames), np.arange(start, start + round(s * frames)))
    return np.asarray(clip.pixels[:, kept[np.arange(frames) * len(kept) // frames]])


def arrested(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Nothing happens in the last part, a share of the video."""
    last = round((1 - s) * (clip.pixels.shape[1] - 1))
    return np.asarray(clip.pixels[:, np.minimum(np.arange(clip.pixels.shape[1]), last)])


def appearing(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """From the middle on there is a round object where nothing was, so bright relative to the brightest."""
    middle = len(clip.field) // 2
    inside = np.s_[12:-12, 12:-12]
    crowd = gaussian_filter(clip.field[middle - 1 : middle + 2].max(0), 3)[inside]
    if clip.subject and clip.subject.family in ("blood", "vessel"):
        crowd = crowd + (1 - clip.fields[1, middle][inside].clip(0, 1))
    place = np.array(np.unravel_index(np.argmin(crowd), crowd.shape), dtype=np.float64) + 12.0
    later = (np.arange(len(clip.field)) >= middle)[:, None, None]
    return shown(clip, later * s * float(clip.field.max()) * _disc(clip, place, 4.0)[None])


def vanishing(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """From the middle on the brightest object is dimmed by so much."""
    middle, place = _brightest(clip)
    later = (np.arange(len(clip.field)) >= middle)[:, None, None]
    return shown(clip, -s * later * clip.field * _disc(clip, place, 7.0)[None])


def dividing(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """From the middle on there is a copy of the brightest object, so many pixels away, where it is emptiest."""
    middle, place = _brightest(clip)
    copied = clip.field * _disc(clip, place, 6.0)[None]
    ways = [(round(s * np.sin(a)), round(s * np.cos(a))) for a in np.arange(8) * np.pi / 4]
    dy, dx = min(ways, key=lambda w: value_at(np.roll(clip.field[middle], (-w[0], -w[1]), (0, 1)), place))
    later = (np.arange(len(clip.field)) >= middle)[:, None, None]
    more: Array = np.maximum(np.roll(copied, (dy, dx), (1, 2)) - clip.field, 0)
    return shown(clip, np.where(later, more, 0.0))


def removed(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """So many objects, those that are followed longest, are not there in any frame."""
    gone = np.zeros_like(clip.field)
    for track in sorted(clip.tracks[0], key=lambda track: -len(track.places))[: int(s)]:
        for t, place in enumerate(track.places, track.start):
            gone[t] = np.maximum(gone[t], _disc(clip, place, 6.0))
    return shown(clip, -clip.field.clip(0) * gone)


def unequal(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """In the last third one side of the cell loses so much of its chromatin."""
    y, x = pixel_axes(clip.field.shape[-1])
    weight = clip.field[-1].clip(0.2) - 0.2
    centre = [float((weight * axis).sum() / weight.sum()) for axis in (y, x)]
    _, axes = np.linalg.eigh(np.cov(np.stack([y.ravel(), x.ravel()]), aweights=weight.ravel()))
    side = sigmoid((y - centre[0]) * axes[0, 1] + (x - centre[1]) * axes[1, 1])
    later = (np.arange(len(clip.field)) >= 2 * len(clip.field) // 3)[:, None, None]
    return shown(clip, -s * later * clip.field * side[None])


def drifting(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Everything moves so many pixels across the vessel in the course of the video."""
    assert clip.subject
    axis = 2 if clip.subject.attributes["direction"] in ("left", "right") else 3
    steps = np.rint(np.linspace(0, s, clip.pixels.shape[1])).astype(int)
    moved = [np.roll(clip.pixels[:, t : t + 1], step, axis) for t, step in enumerate(steps)]
    return np.concatenate(moved, axis=1)


def carried(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Everything goes along x by so many pixels a frame, and comes in again on the other side."""
    steps = np.rint(s * np.arange(clip.pixels.shape[1])).astype(int)
    return np.concatenate([np.roll(clip.pixels[:, t : t + 1], step, 3) for t, step in enumerate(steps)], axis=1)


def across(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Every other frame is moved by so many pixels across the fibres that are asked for."""
    assert clip.subject
    angle = np.deg2rad(DEGREES[clip.subject.attributes["orientation"]])
    step = (round(s * np.cos(angle)), round(s * np.sin(angle)))
    moved = [np.roll(clip.pixels[:, t : t + 1], step if t % 2 else 0, (2, 3)) for t in range(clip.pixels.shape[1])]
    return np.concatenate(moved, axis=1)


def shown(clip: Clip, added: Array) -> Array:
    """The video with something added to the species that objects are read from, ``[T, H, W]``."""
    colour = np.array(clip.observable.colours[clip.species])
    return np.asarray(clip.pixels + colour[:, None, None, None] * added[None])


def resampled(clip: Clip, times: Array) -> Array:
    """Frames at other times, linear between those that there are."""
    last = clip.pixels.shape[1] - 1
    low = np.clip(np.floor(times), 0, last - 1).astype(int)
    part = np.clip(times - low, 0, 1)[:, None, None]
    return np.asarray(clip.pixels[:, low] * (1 - part) + clip.pixels[:, low + 1] * part)


def _brightest(clip: Clip) -> tuple[int, Array]:
    middle = len(clip.field) // 2
    smooth = gaussian_filter(clip.field[middle], 2.0)
    return middle, np.array(np.unravel_index(np.argmax(smooth), smooth.shape), dtype=float)


def _disc(clip: Clip, place: Array, radius: float) -> Array:
    y, x = pixel_axes(clip.field.shape[-1])
    return np.asarray(sigmoid(radius - np.hypot(y - place[0], x - place[1])))
