"""Things that come from nowhere, or are gone at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from physgen.measure.spots import Spots

Movie = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

#: blur of the frames, and how far things go from one to the next, in standard deviations of a spot
BLUR, REACH = 0.7, 1.0
#: quantile of the brightness of spots that counts as 1
TYPICAL = 0.7


def arrivals(movie: Movie, spots: Spots) -> Values:
    """How far what is seen in one frame stands out of all that is near in the next one or the last one, ``[T - 1]``.

    max_x max(g_t+1 - max_{|s| <= r} g_t(x + s), g_t - max_{|s| <= r} g_t+1(x + s)), and the same of dark things

    g are frames blurred by 0.7 standard deviations of a spot, in units of the brightness of spots (0.7 quantile), which
    is the most that counts: a nucleus that condenses does not come from nowhere. r is one standard
    deviation. What comes across the edge does not count. 0 where there are no spots.

    Source: dilation, Serra (1982), Image Analysis and Mathematical Morphology.

    >>> y, x = np.mgrid[:48, :48]
    >>> movie = np.stack([np.exp(-((y - 24) ** 2 + (x - 14 - t) ** 2) / 8) for t in range(6)])
    >>> movie[3:] += np.exp(-((y - 12) ** 2 + (x - 34) ** 2) / 8)
    >>> from physgen.measure.spots import find_spots
    >>> (arrivals(movie, find_spots(movie)).round(1) + 0.0).tolist()
    [0.0, 0.0, 0.7, 0.0, 0.0]
    """
    from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

    if not len(spots):
        return np.zeros(len(movie) - 1)
    scale, size = spots.scale, float(np.quantile(np.abs(spots.brightness), TYPICAL))
    level = float(np.median(movie))
    shown = np.stack([gaussian_filter(np.clip((frame - level) / size, -1, 1), BLUR * scale) for frame in movie])
    reach = int(np.ceil(REACH * scale))
    edge = min(reach + int(np.ceil(scale)), min(movie.shape[1:]) // 3)
    inner = (slice(None), slice(edge, movie.shape[1] - edge), slice(edge, movie.shape[2] - edge))
    high, low = (
        np.stack([widest(frame, 2 * reach + 1) for frame in shown]) for widest in (maximum_filter, minimum_filter)
    )
    ways = [shown[1:] - high[:-1], shown[:-1] - high[1:], low[:-1] - shown[1:], low[1:] - shown[:-1]]
    return np.maximum(np.max([way[inner].max((1, 2)) for way in ways], axis=0), 0.0)
