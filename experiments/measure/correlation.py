"""How far things go, from the correlation of images in time: nothing is found in them and nothing is followed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: waves of at most so many periods along the frame, and mean squared displacements that are tried, µm²
WAVES = 5
TRIED = np.geomspace(1e-4, 30.0, 500)


def squared_displacement(movie: Array, spacing: float, lags: Sequence[int]) -> Array:
    """Mean squared displacement ``[L]`` of what a square movie ``[T, N, N]`` shows, after some frames each, µm².

    min over M of  sum_r (sum_q < Re I(q, t) I*(q, t + k) > - < |I(q)|^2 > exp(-q^2 M / 4))^2

    over the rings r of waves q of 1 to `WAVES` periods; M = 4 D k dt of Brownian motion, about (v k dt)^2 of a drift
    that is shorter than these waves. The waves of a ring are summed first: single ones are strong or weak by chance,
    and the strong ones would weigh too much. ``spacing`` is in µm. 0 where the movie is uniform.

    Source: differential dynamic microscopy, Cerbino and Trappe (2008), Phys. Rev. Lett. 100:188102.

    >>> x = np.arange(64.0)
    >>> spot = [np.exp(-((x - 20 - t / 2) ** 2 + (x[:, None] - 32) ** 2) / 8) for t in range(9)]
    >>> squared_displacement(np.stack(spot), 1.0, [1, 4]).round(1).tolist()
    [0.3, 4.2]
    """
    frames, size, _ = movie.shape
    periods = np.fft.fftfreq(size) * size
    far = np.hypot(periods[:, None], periods)
    kept = (far > 0) & (far <= WAVES)
    squares = (2.0 * np.pi * far[kept] / (size * spacing)) ** 2
    waves = np.fft.fft2(movie)[:, kept]
    power = np.abs(waves) ** 2
    if not power.sum() > 1e-12 * size**2 * np.square(movie).sum():
        return np.zeros(len(lags))
    model = np.exp(-squares * TRIED[:, None] / 4.0)
    rings = (np.rint(far[kept])[:, None] == np.arange(1, WAVES + 1)).astype(float)
    found = []
    for lag in lags:
        first, second = slice(None, frames - lag), slice(lag, None)
        common = (waves[first] * waves[second].conj()).real.mean(0)
        mean = 0.5 * (power[first] + power[second]).mean(0)
        found.append(TRIED[np.square((common - mean * model) @ rings).sum(1).argmin()])
    return np.array(found)
