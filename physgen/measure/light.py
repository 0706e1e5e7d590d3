"""Light that changes at once or fades: of the whole picture, whatever moves in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Movie = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

#: px of a side of the blocks whose brightness is compared
BLOCK = 8
#: frames before and after that are compared where light changes at once
BESIDE = 3


def measure_gain(movie: Movie) -> Values:
    """Logarithm of the light of each frame of a movie ``[T, H, W]`` against the first one, ``[T]``.

    log g_t+1 - log g_t = median over blocks of log c_t+1 - log c_t

    Things that come into some blocks and leave others do not count. Brightness is counted from 0: an offset of the
    camera makes changes smaller than they are.

    >>> movie = np.full((4, 16, 16), 100.0)
    >>> movie[2:] *= 0.8
    >>> np.exp(measure_gain(movie)).round(2)
    array([1. , 1. , 0.8, 0.8])
    """
    side = min(BLOCK, *movie.shape[1:])
    rows, columns = (size // side for size in movie.shape[1:])
    cut = movie[:, : rows * side, : columns * side]
    blocks = cut.reshape(len(movie), rows, side, columns, side).mean((2, 4)).reshape(len(movie), -1)
    least = max(1e-3 * float(np.quantile(blocks, 0.9)), np.finfo(float).tiny)
    return np.append(0.0, np.median(np.diff(np.log(np.maximum(blocks, least)), axis=0), axis=1).cumsum())


def steps_of(gain: Values) -> Values:
    """By how much light changes at once after each frame, ``[T - 1]``, of logarithms of light ``[T]``.

    median of the three frames after less that of the three before, less the change that goes on beside

    >>> steps_of(np.array([0.0, 0, 0, 0, -0.2, -0.2, -0.2, -0.2])).round(2).tolist()
    [0.0, 0.0, 0.0, -0.2, 0.0, 0.0, 0.0]
    """
    usual = float(np.median(np.diff(gain)))
    found = np.zeros(len(gain) - 1)
    for t in range(len(gain) - 1):
        before, after = gain[max(0, t + 1 - BESIDE) : t + 1], gain[t + 1 : t + 1 + BESIDE]
        change = float(np.median(after) - np.median(before)) - usual * (len(before) + len(after)) / 2
        single = float(gain[t + 1] - gain[t]) - usual
        found[t] = np.sign(change) * min(abs(change), abs(single)) if change * single > 0 else 0.0
    return found
