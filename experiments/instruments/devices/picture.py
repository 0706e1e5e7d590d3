"""How a picture looks and changes, whatever it shows."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import laplace, uniform_filter

from physgen.experiments.instruments.clip import Array, Clip

#: changes of brightness that nobody sees, in units of the full range
UNSEEN = 1e-3
#: frames before and after that a change is compared with
NEIGHBOURS = 3
BRIGHT, DARK = 0.99, 0.004


def blur(clip: Clip) -> float:
    """Minus the logarithm of the energy of the Laplacian relative to that of the gradient."""
    gradient = sum(np.square(g).sum() for g in np.gradient(clip.light, axis=(1, 2)))
    curvature = sum(np.square(laplace(frame)).sum() for frame in clip.light)
    return float(np.log((gradient + 1e-9) / (curvature + 1e-9)))


def noise(clip: Clip) -> float:
    """Median difference of a pixel to the mean of the 3 x 3 around it."""
    return float(np.median(np.abs(clip.light - uniform_filter(clip.light, (0, 3, 3)))))


def clipping(clip: Clip) -> float:
    """Largest share, in a frame, of values that are as bright or as dark as they can be."""
    return float(((clip.pixels > BRIGHT) | (clip.pixels < DARK)).mean((0, 2, 3)).max())


def flicker(clip: Clip) -> float:
    """Rms second difference of the brightness of frames, relative to their mean."""
    brightness = clip.light.mean((1, 2))
    return float(np.sqrt(np.square(np.diff(brightness, n=2)).mean()) / max(brightness.mean(), UNSEEN))


def jumps(clip: Clip) -> float:
    """Largest change of a frame relative to the median of those around it, as a logarithm."""
    return float(max(np.log((x + UNSEEN) / (np.median([*a, *b]) + UNSEEN)) for x, a, b in _around(clip.changes)))


def stutter(clip: Clip) -> float:
    """Smallest change of a frame relative to those before or after it, as a logarithm, the sign turned."""
    return float(max(np.log((_most(a, b) + UNSEEN) / (x + UNSEEN)) for x, a, b in _around(clip.changes)))


def _around(changes: Array) -> list[tuple[float, Array, Array]]:
    return [(x, changes[max(0, i - NEIGHBOURS) : i], changes[i + 1 :][:NEIGHBOURS]) for i, x in enumerate(changes)]


def _most(*sides: Array) -> float:
    return max(float(np.median(side)) for side in sides if len(side))


def coherence(clip: Clip) -> float:
    """Change from a frame to the next relative to that over two frames: about 1/2 in smooth motion, 1 in disorder."""
    over_two = np.sqrt(np.square(clip.light[2:] - clip.light[:-2]).mean((1, 2)))
    return float((clip.changes.mean() + 1e-9) / (over_two.mean() + 1e-9))


def stillness(clip: Clip) -> float:
    """Minus the mean change from frame to frame."""
    return -float(clip.changes.mean())


def presence(clip: Clip) -> float:
    """Minus the sd of the colours of the first frame."""
    return -float(clip.pixels[:, 0].std((1, 2)).max())
