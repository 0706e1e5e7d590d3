"""Regions of a movie over time: brightness above the background, change against the baseline, where light bleached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from physgen.measure.spots import Movie, Values

Mask = npt.NDArray[np.bool_]

#: quantile of a trace that is its baseline, and of a picture that is its background
BASELINE, DARK = 0.2, 0.1
#: px over which a loss is smoothed before it is looked at, and the part of the largest loss that a region has
BLUR, PART = 1.5, 0.5
#: loss that bleaching is, in standard deviations of its noise, and as a part of the brightness there
CLEAR, LOSS = 8.0, 0.1
#: distance of bright and dark pixels, in standard deviations of either, that tells them apart: noise has 2.6
APART = 3.5
#: loss against that between other frames, where things move
RARE = 1.5
#: frames before that are compared, and the fewest pixels of a region
BEFORE, FEWEST = 5, 9


@dataclass(frozen=True)
class Bleached:
    """Where and when light bleached: the first frame that shows it, and the region ``[H, W]``."""

    frame: int
    region: Mask


def trace_region(movie: Movie, region: Mask, background: Mask | None = None) -> Values:
    """Mean brightness ``[T]`` of a region ``[H, W]``, that of a background region taken off frame by frame.

    Raises: ValueError for an empty region.

    >>> movie = np.full((3, 4, 4), 2.0)
    >>> movie[:, 0] = [[5.0], [6.0], [7.0]]
    >>> trace_region(movie, np.arange(4)[:, None] < np.ones(4), np.arange(4)[:, None] > np.full(4, 2))
    array([3., 4., 5.])
    """
    if not region.any() or (background is not None and not background.any()):
        raise ValueError("region: empty; allowed: at least one pixel")
    below = movie[:, background].mean(1) if background is not None else 0.0
    return movie[:, region].mean(1) - below


def change_from_baseline(trace: Values, baseline: slice | None = None) -> Values:
    """(F - F0) / F0 of a trace ``[T]``; F0 is its mean over ``baseline``, else its 0.2 quantile.

    >>> change_from_baseline(np.array([2.0, 2.0, 3.0, 2.0]))
    array([0. , 0. , 0.5, 0. ])
    """
    first = float(np.quantile(trace, BASELINE)) if baseline is None else float(trace[baseline].mean())
    return trace / first - 1 if first > 0 else np.full(len(trace), np.nan)


def find_background(movie: Movie) -> Mask:
    """The darkest tenth of the mean frame, ``[H, W]``.

    >>> find_background(np.arange(100.0).reshape(1, 10, 10)).sum()
    np.int64(10)
    """
    mean = movie.mean(0)
    return mean <= np.quantile(mean, DARK)


def find_bleached(movie: Movie) -> Bleached | None:
    """Where a movie ``[T, H, W]`` suddenly loses light in one place, and stays darker there; None where it does not.

    The loss is against the mean of up to five frames before, less that of the whole frame; the region is the connected
    part that lost more than half of the most; it is smoothed over 1.5 px first.

    >>> movie = np.full((8, 32, 32), 5.0) + 0.1 * np.random.default_rng(0).standard_normal((8, 32, 32))
    >>> movie[3:, 10:20, 12:22] -= 3.0
    >>> found = find_bleached(movie)
    >>> found.frame, int(found.region.sum())
    (3, 96)
    """
    from scipy.ndimage import binary_fill_holes, gaussian_filter
    from skimage.measure import label

    smooth = np.stack([gaussian_filter(frame, BLUR) for frame in movie])
    most = np.zeros(len(movie))
    for t in range(1, len(movie)):
        loss = smooth[max(0, t - BEFORE) : t].mean(0) - smooth[t]
        most[t] = np.quantile(loss - np.median(loss), 0.999)
    at = int(most.argmax())
    largest, others = float(most[at]), np.delete(most, slice(at, at + BEFORE))
    if not at or largest < RARE * others.max():
        return None
    before, after = smooth[max(0, at - BEFORE) : at].mean(0), smooth[at]
    loss = before - after - np.median(before - after)
    spread = 1.4826 * float(np.median(np.abs(loss - np.median(loss))))
    parts = label(loss > PART * largest)
    if not parts.any():
        return None
    region: Mask = binary_fill_holes(parts == np.bincount(parts.ravel())[1:].argmax() + 1)
    below = float(np.quantile(before, DARK)) if len(np.unique(before)) > 1 else 0.0
    bright = float(before[region].mean()) - min(below, float(after[region].min()))
    stays = float(smooth[at : at + 2, region].mean()) < float(before[region].mean()) - 0.5 * float(loss[region].mean())
    clear = largest > CLEAR * spread and largest > LOSS * bright and int(region.sum()) >= FEWEST
    return Bleached(at, region) if clear and stays else None


def bright_region(movie: Movie, frames: slice) -> Mask:
    """What is bright in the mean of some frames, ``[H, W]``: above the threshold of Otsu; all of an even frame.

    >>> movie = np.zeros((2, 8, 8))
    >>> movie[:, 2:6, 2:6] = 1.0
    >>> bright_region(movie, slice(0, 2)).sum()
    np.int64(16)
    """
    from skimage.filters import threshold_otsu

    mean = movie[frames].mean(0)
    if mean.min() == mean.max():
        return np.ones(mean.shape, dtype=bool)
    bright: Mask = mean > threshold_otsu(mean)
    low, high = float(mean[~bright].mean()), float(mean[bright].mean())
    within = float(np.sqrt(np.where(bright, mean - high, mean - low).var()))
    return bright if high - low > APART * within else np.ones(mean.shape, dtype=bool)
