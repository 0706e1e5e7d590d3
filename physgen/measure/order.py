"""Frames that are out of order, or between which some are missing: by how alike frames are that lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np
import numpy.typing as npt

Movie = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

#: side of the tiles that are compared, px, and frames that are compared over, at most
TILE, LAGS = 16, 5
#: frames from which it is known in which tiles something moves
KNOWN = 8
#: how much longer another order is usually, at least, as a part of the one shown
LEAST = 0.02
#: other orders of three frames
ORDERS = tuple(order for order in permutations(range(3)) if order != (0, 1, 2))
#: variance of a tile's change, as a part of the mean one, that is added to it
EVEN = 1e-3


@dataclass(frozen=True)
class Likeness:
    """How unlike frames are.

    Attributes:
        squares: ``[T, T, K]``, mean squared difference of two frames in each of K tiles, up to five frames apart.
        of_lag: ``[L + 1, K]``, its mean over all pairs of frames so far apart.
        weight: ``[K]``, of the tiles: large where frames become less alike the farther apart they are.
    """

    squares: Values
    of_lag: Values
    weight: Values


def compare_frames(movie: Movie, smooth: float = 1.0) -> Likeness:
    """Differences of the frames of a movie ``[T, H, W]`` by tiles.

    E_ij = < (g_i - g_j)² >,  weight = mean_lag (E_lag - E_1) / var E_1, if positive; of fewer than eight frames 1

    g are frames smoothed by ``smooth`` px, between the background, 0 or less, and what is typical of bright pixels, 1:
    a nucleus that condenses does not count for more than one that moves. Noise adds the same to every pair of frames.

    >>> likeness = compare_frames(np.eye(32)[:, None].repeat(32, 1)[:8])
    >>> likeness.squares.shape, likeness.of_lag.shape
    ((8, 8, 4), (6, 4))
    """
    from scipy.ndimage import gaussian_filter

    shown = np.stack([gaussian_filter(frame, smooth) for frame in even_out(movie)])
    frames, lags = len(movie), min(LAGS, len(movie) - 1)
    squares = np.zeros((frames, frames, len(_tiles(shown[0]))))
    for t in range(frames):
        for later in range(t + 1, min(frames, t + lags + 1)):
            squares[t, later] = squares[later, t] = _tiles((shown[t] - shown[later]) ** 2)
    means = [np.mean([squares[t, t + lag] for t in range(frames - lag)], 0) for lag in range(1, lags + 1)]
    of_lag = np.stack([np.zeros_like(means[0]), *means])
    growth = np.maximum(of_lag[2 : min(lags, 4) + 1].mean(0) - of_lag[1], 0)
    spread = np.var([squares[t, t + 1] for t in range(frames - 1)], axis=0)
    weight = (
        growth / (spread + EVEN * spread.mean() + np.finfo(float).tiny) if frames >= KNOWN else np.ones_like(growth)
    )
    return Likeness(squares, of_lag, weight / max(float(weight.sum()), np.finfo(float).tiny))


def even_out(movie: Movie) -> Movie:
    """A movie whose background is 0, and what is typical of bright pixels 1; nothing is more.

    >>> even_out(np.array([[[0.0, 0.0, 2.0, 3.0, 4.0]]])).tolist()
    [[[0.0, 0.0, 0.6666666666666666, 1.0, 1.0]]]
    """
    from skimage.filters import threshold_otsu

    if movie.min() == movie.max():
        return np.zeros_like(movie)
    level = threshold_otsu(movie)
    dark, bright = float(np.median(movie[movie <= level])), float(np.median(movie[movie > level]))
    return np.clip((movie - dark) / (bright - dark), -1, 1)


def shorter_orders(likeness: Likeness) -> tuple[Values, Values]:
    """How much shorter other orders of three frames are than the one shown: ``[5, T - 4]``, and that over its error.

    length = sum of E over the four steps from the frame before the three to the one after,  (shown - other) / usual

    ``usual`` is how much longer the other order is in the rest of the movie. About -1 where frames are in order, and 1
    where they are not. The error is from tiles.

    Source: a path is exchanged for a shorter one, Croes (1958), Oper. Res. 6:791.

    >>> x = np.arange(64.0)
    >>> movie = np.stack([np.exp(-((x - 12 - 2 * t) ** 2) / 20) * np.ones((16, 1)) for t in range(12)])
    >>> bool(shorter_orders(compare_frames(movie))[0].max() < 0)
    True
    >>> movie[[5, 6]] = movie[[6, 5]]
    >>> int(shorter_orders(compare_frames(movie))[0].max(0).argmax()) + 1
    5
    """
    squares, weight, of_lag = likeness.squares, likeness.weight, likeness.of_lag
    starts = range(1, len(squares) - 3)
    values, errors = [], []
    for order in ORDERS:
        gains = np.array([
            _length(squares, [t - 1, t, t + 1, t + 2, t + 3])
            - _length(squares, [t - 1, *(t + k for k in order), t + 3])
            for t in starts
        ])  # fmt: skip
        gain = gains @ weight
        steps = [abs(b - a) for a, b in pairwise([-1, *order, 3])]
        usual = max(float((of_lag[steps].sum(0) - 4 * of_lag[1]) @ weight), -float(np.median(gain)))
        usual = max(usual, LEAST * 4 * float(of_lag[1] @ weight))
        error = np.sqrt(((gains * weight) ** 2).sum(1))
        values.append(gain / max(usual, np.finfo(float).tiny))
        errors.append(gain / np.maximum(error, np.finfo(float).tiny))
    return np.array(values), np.array(errors)


def jumps(likeness: Likeness) -> Values:
    """How many frames seem to be missing between two frames, ``[T - 1]``, by how unlike frames before and after are.

    min over (t, t+1), (t-1, t+1), (t, t+2) of (E - E_lag) / (E_lag+1 - E_lag), less the mean of it of the two steps
    beside, where that is positive

    Things that move at random are taken to be as unlike as time goes on evenly; where they saturate it is less.

    >>> x = np.arange(64.0)
    >>> movie = np.stack([np.exp(-((x - 12 - t) ** 2) / 20) * np.ones((16, 1)) for t in range(16)])
    >>> int(jumps(compare_frames(np.delete(movie, [7, 8, 9], 0))).argmax())
    6
    """
    squares, weight, of_lag = likeness.squares, likeness.weight, likeness.of_lag
    frames = len(squares)

    def excess(first: int, last: int) -> float:
        lag = last - first
        more = float((of_lag[lag + 1] - of_lag[lag]) @ weight)
        return float((squares[first, last] - of_lag[lag]) @ weight) / max(more, np.finfo(float).tiny)

    found = []
    for t in range(frames - 1):
        across = [excess(t, t + 1)]
        across += [excess(t - 1, t + 1)] if t > 0 else []
        across += [excess(t, t + 2)] if t + 2 < frames else []
        beside = [excess(t - 1, t)] if t > 0 else []
        beside += [excess(t + 1, t + 2)] if t + 2 < frames else []
        found.append(min(across) - max(float(np.mean(beside)), 0.0))
    return np.array(found)


def _length(squares: Values, order: list[int]) -> Values:
    return np.sum([squares[a, b] for a, b in pairwise(order)], 0)


def _tiles(picture: Movie) -> Values:
    """Means ``[K]`` of square tiles."""
    side = min(TILE, *picture.shape)
    rows, columns = (size // side for size in picture.shape)
    return picture[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3)).ravel()
