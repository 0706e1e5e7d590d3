"""Faults of the picture, whatever it shows: its light, its sharpness, its frames."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from physgen.experiments.instruments.clip import Array, Clip


def flickering(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Every frame has a gain of its own, of so large a sd."""
    gain = rng.normal(1.0, s, (clip.pixels.shape[1],))
    return np.asarray(clip.pixels * gain[:, None, None])


def blurred(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Every frame is smoothed with so large a sd in pixels."""
    return np.asarray(gaussian_filter(clip.pixels, (0, 0, s, s)))


def overexposed(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Everything is ``1 + s`` times brighter."""
    return clip.pixels * (1 + s)


def frozen(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """So many frames in the middle show the same."""
    t, start = np.arange(clip.pixels.shape[1]), 8
    return np.asarray(clip.pixels[:, np.where((t >= start) & (t < start + s), start, t)])


def jumping(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """From the middle on everything is so many pixels aside."""
    middle = clip.pixels.shape[1] // 2
    moved = np.roll(clip.pixels[:, middle:], (int(s), int(s)), (2, 3))
    return np.concatenate([clip.pixels[:, :middle], moved], axis=1)


def shuffled(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """So many frames at a time are in random order."""
    frames, n = clip.pixels.shape[1], int(s)
    order = [t for start in range(0, frames, n) for t in rng.permutation(np.arange(start, min(start + n, frames)))]
    return np.asarray(clip.pixels[:, order])


def grainy(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Every pixel of every frame has noise of so large a sd."""
    return clip.pixels + s * rng.standard_normal(clip.pixels.shape)


def faded(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Everything is drawn towards its mean colour by so much."""
    mean = clip.pixels.mean((1, 2, 3), keepdims=True)
    return np.asarray(mean + (1 - s) * (clip.pixels - mean))


def slowed(clip: Clip, s: float, rng: np.random.Generator) -> Array:
    """Every frame is drawn towards the first one by so much."""
    return clip.pixels[:, :1] + (1 - s) * (clip.pixels - clip.pixels[:, :1])
