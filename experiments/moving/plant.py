"""Faults that are planted in real movies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from physgen.measure import find_spots

Movie = npt.NDArray[np.float64]
Plant = Callable[[Movie, int, np.random.Generator], Movie | None]

#: frames that are left out, and light that is lost at once, and over the piece
DROPPED, STEP, RAMP = 3, 0.2, 0.3
#: half of a side of an object that is copied, in standard deviations of a spot, and quantile of brightness that it has
REACH, BRIGHT = 2.5, 0.75
#: frames in which there is nothing where the copy is put
EMPTY = 2


def reverse(movie: Movie, at: int, rng: np.random.Generator) -> Movie:
    """The last frame first."""
    return movie[::-1].copy()


def turn_back(movie: Movie, at: int, rng: np.random.Generator) -> Movie:
    """The second part runs backward."""
    return np.concatenate([movie[:at], movie[at:][::-1]])


def drop(movie: Movie, at: int, rng: np.random.Generator) -> Movie | None:
    """Three frames are missing."""
    return np.delete(movie, slice(at, at + DROPPED), 0) if len(movie) > 3 * DROPPED else None


def drop_one(movie: Movie, at: int, rng: np.random.Generator) -> Movie | None:
    """One frame is missing."""
    return np.delete(movie, at, 0) if len(movie) > 3 * DROPPED else None


def dim_at_once(movie: Movie, at: int, rng: np.random.Generator) -> Movie:
    """A fifth of the light is gone from one frame on."""
    return np.asarray(movie * np.where(np.arange(len(movie)) < at, 1, 1 - STEP)[:, None, None])


def dim_slowly(movie: Movie, at: int, rng: np.random.Generator) -> Movie:
    """The light falls by three tenths from the first frame to the last, evenly."""
    return np.asarray(movie * np.linspace(1, 1 - RAMP, len(movie))[:, None, None])


def permute(movie: Movie, at: int, rng: np.random.Generator) -> Movie:
    """Three frames in another order, the first of them elsewhere, as are most."""
    order = ((1, 2, 0), (2, 0, 1), (2, 1, 0))[rng.integers(3)]
    first = max(1, min(at - 1, len(movie) - 4))
    found = movie.copy()
    found[first : first + 3] = movie[[first + k for k in order]]
    return found


def swap(movie: Movie, at: int, rng: np.random.Generator) -> Movie:
    """Two neighbouring frames exchanged."""
    found = movie.copy()
    found[[at - 1, at]] = movie[[at, at - 1]]
    return found


def copy_object(movie: Movie, at: int, rng: np.random.Generator) -> Movie | None:
    """From one frame on there is a copy of an object of the movie where it is emptiest; None without objects.

    The object is the one at the 0.75 quantile of brightness. The copy stands still.
    """
    spots = find_spots(movie[at : at + 1])
    half = min(int(np.ceil(REACH * spots.scale)), min(movie.shape[1:]) // 6)
    height, width = movie.shape[1:]
    inside = (spots.y > half) & (spots.y < height - half - 1) & (spots.x > half) & (spots.x < width - half - 1)
    known = np.flatnonzero(inside)
    if not len(known):
        return None
    ranked = known[np.abs(spots.brightness[known]).argsort()]
    taken = ranked[min(int(BRIGHT * len(ranked)), len(ranked) - 1)]
    sign = float(np.sign(spots.brightness[taken]))
    around = movie[max(0, at - EMPTY) : at + EMPTY + 1]
    crowd = np.max([gaussian_filter(sign * frame, spots.scale) for frame in around], 0)
    crowd = crowd[half : height - half, half : width - half]
    y, x = (int(k) for k in np.unravel_index(crowd.argmin(), crowd.shape))
    row, column = round(float(spots.y[taken])), round(float(spots.x[taken]))
    distance = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    weight = 1 / (1 + np.exp((distance - 0.8 * half) / (0.08 * half)))
    shape = movie[at, row - half : row + half + 1, column - half : column + half + 1]
    added = weight * (shape - np.median(shape[distance > 0.8 * half]))
    found = movie.copy()
    found[at:, y : y + 2 * half + 1, x : x + 2 * half + 1] += added
    return found


#: planted faults by what a table calls them
PLANTS: dict[str, Plant] = {
    "reversed": reverse,
    "second part reversed": turn_back,
    "three frames dropped": drop,
    "one frame dropped": drop_one,
    "light falls by 0.2 at once": dim_at_once,
    "light falls by 0.3 slowly": dim_slowly,
    "a cell from nowhere": copy_object,
    "three frames permuted": permute,
    "neighbours swapped": swap,
}


def when(frames: int, rng: np.random.Generator) -> int:
    """The frame at which a fault is planted, in the middle third."""
    return int(rng.integers(frames // 3, 2 * frames // 3 + 1)) if frames >= 8 else frames // 2
