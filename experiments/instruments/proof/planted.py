"""The catalogue of planted faults: those of the content and those of the picture."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.attributes import DEGREES
from physgen.experiments.instruments.proof.violations import (
    Violation,
    amount,
    appearing,
    arrested,
    dividing,
    removed,
    reversed_part,
    skipped,
    slower,
    swapped,
    unequal,
    vanishing,
)

#: strengths of a share of the video, or of what there is
SHARES = (0.25, 0.5, 0.75, 1.0)


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


VIOLATIONS = {
    "mass leaks": Violation(amount(-1.0), (0.1, 0.2, 0.4, 0.8), ("mass",)),
    "mass from nowhere": Violation(amount(+1.0), (0.1, 0.2, 0.4, 0.8), ("mass", "bounds", "extrema")),
    "other constants mid-way": Violation(
        slower, (0.5, 1.0, 3.0, 9.0), ("reaction_diffusion", "steadiness", "transport", "periodic")
    ),
    "time reversed": Violation(reversed_part, SHARES, ("arrow", "phase_order", "reaction_diffusion", "progression")),
    "flow turns": Violation(reversed_part, (0.1, 0.25, 0.5, 0.75), ("steadiness", "transport"), ("blood", "vessel")),
    "flow runs backwards": Violation(reversed_part, (0.7, 0.8, 0.9, 1.0), ("direction",), ("blood", "vessel")),
    "phases swapped": Violation(swapped, (1.0, 2.0, 3.0, 5.0), ("phase_order",), ("mitosis",)),
    "phases skipped": Violation(skipped, (0.15, 0.3, 0.45, 0.6), ("phases", "phase_order"), ("mitosis",)),
    "division arrested": Violation(arrested, (0.2, 0.4, 0.6, 0.8), ("phases", "division"), ("mitosis",)),
    "unequal daughters": Violation(unequal, (0.2, 0.4, 0.6, 0.8), ("daughters",)),
    "object appears": Violation(appearing, SHARES, ("appearance", "permanence", "transport")),
    "object vanishes": Violation(vanishing, SHARES, ("vanishing", "permanence", "transport")),
    "object divides": Violation(dividing, (6.0, 8.0, 10.0, 12.0), ("appearance", "permanence", "transport")),
    "objects missing": Violation(removed, (1.0, 2.0, 3.0, 4.0), ("number", "count"), ("blood", "beads", "vesicles")),
    "cells leave their lanes": Violation(drifting, (1.0, 2.0, 4.0, 8.0), ("lanes", "static")),
    "beads drift": Violation(carried, (0.25, 0.5, 1.0, 2.0), ("brownian",), ("beads",)),
    "sheet slides across": Violation(across, (1.0, 2.0, 3.0, 4.0), ("shear",), ("sheet",)),
    "flicker": Violation(flickering, (0.02, 0.05, 0.1, 0.2), ("flicker",)),
    "blur": Violation(blurred, (0.7, 1.0, 1.5, 2.5), ("blur",)),
    "overexposure": Violation(overexposed, (0.5, 1.0, 2.0, 4.0), ("clipping",)),
    "motion frozen": Violation(frozen, (2.0, 4.0, 8.0, 12.0), ("stutter", "periodic")),
    "jump aside": Violation(jumping, (1.0, 2.0, 4.0, 8.0), ("jumps", "static", "transport")),
    "frames shuffled": Violation(shuffled, (2.0, 4.0, 8.0, 25.0), ("coherence", "transport", "lost", "permanence")),
    "noise": Violation(grainy, (0.01, 0.02, 0.05, 0.1), ("noise",)),
    "faded": Violation(faded, (0.5, 0.75, 0.9, 1.0), ("presence",)),
    "nothing moves": Violation(slowed, (0.5, 0.75, 0.9, 1.0), ("stillness",)),
}
