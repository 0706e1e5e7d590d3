"""Diffusion of what is followed: its coefficient, the error of its places, and the exponent of its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]
Interval = tuple[float, float, float]

#: steps that a track needs to count
STEPS = 4
#: steps over which the memory of steps is looked for, and standard errors and part of a step's square that are one
MEMORY, SIGNIFICANT, PART = 10, 3.0, 0.005
#: lags of the mean squared displacement: beyond the memory, at most, and as a part of the length of a typical track
BEYOND, LAGS, SHARE = (12, 3), 40, 0.5
#: exponents that are tried
EXPONENTS = np.round(np.arange(0.0, 2.301, 0.01), 2)
#: tracks drawn anew for an interval
DRAWS = 1000


@dataclass(frozen=True)
class Diffusion:
    """Diffusion in a plane, each value with its 95 % interval; lengths and times in the units of what was given.

    Attributes:
        coefficient: D, its lower and its upper end.
        error: standard deviation of a place along one axis, for frames that are instants.
        exponent: a of MSD = A t^a + c.
        memory: steps after which steps no longer know of each other; 1 of a Brownian particle.
        lags: ``[L]``, times of the mean squared displacement ``msd`` ``[L]``, with ``low`` and ``high``.
        tracks, steps: that were counted.
    """

    coefficient: Interval
    error: Interval
    exponent: Interval
    memory: int
    lags: Values
    msd: Values
    low: Values
    high: Values
    tracks: int
    steps: int


def measure_diffusion(
    frames: Sequence[Frames], places: Sequence[Values], dt: float, fewest: int = 5, seed: int = 0
) -> Diffusion | None:
    """Diffusion coefficient, error of places and exponent of tracks in a plane; None of fewer than ``fewest``.

    4 D dt = < d_n · d_n > + 2 sum_{k=1..K} < d_n · d_n+k >,  e² = - < d_n · d_n+1 > / 2

    d_n are the steps from frame to frame. The error of places lengthens a step and turns the next one back, exposure
    that is as long as a frame does the opposite: with the memory K = 1 neither changes D (the error of places is that
    of frames that are instants, and too small for others). K is larger where later steps still know of each other by
    more than chance, as compressed films make them. The exponent is that of a weighted fit of MSD = A t^a + c to lags
    from K on, or from 1 on where the memory has no end, as of directed motion. Intervals are from tracks drawn anew.

    Args:
        frames: ``[N]`` of each track, increasing.
        places: ``[N, 2]`` of each track.
        dt: time from frame to frame.
        fewest: tracks that are needed.
        seed: of the draws of tracks.

    Source: covariance-based estimator (K = 1), Vestergaard, Blainey and Flyvbjerg (2014), Phys. Rev. E 89:022726; its
        sum over lags, Green (1954), J. Chem. Phys. 22:398, and Kubo (1957); bootstrap, Efron (1979), Ann. Stat. 7:1.

    >>> rng = np.random.default_rng(0)
    >>> tracks = [rng.normal(scale=np.sqrt(2 * 0.5 * 0.1), size=(50, 2)).cumsum(0) for _ in range(100)]
    >>> found = measure_diffusion([np.arange(50)] * 100, tracks, dt=0.1)
    >>> round(found.coefficient[0], 1), found.memory, found.exponent[1] < 1 < found.exponent[2]
    (0.5, 1, True)
    """
    kept = [(f, p) for f, p in zip(frames, places, strict=True) if len(f) > STEPS]
    if len(kept) < fewest:
        return None
    dense = [_dense(f, p) for f, p in kept]
    lengths = np.array([len(d) for d in dense], dtype=float)
    longest = int(np.clip(SHARE * (lengths**2).sum() / lengths.sum(), 3, LAGS))
    draws = np.random.default_rng(seed).multinomial(len(kept), np.full(len(kept), 1 / len(kept)), DRAWS)
    weights = np.vstack([np.ones(len(kept)), draws]).astype(float)
    memory = min(MEMORY, longest - 2)
    products, _ = _means(weights, [_products(d, memory) for d in dense])
    size = find_memory(products[0], products[1:].std(0))
    summed = products[:, 0] + 2 * products[:, 1 : size + 1].sum(1)
    msd, counts = _means(weights, [_squares(d, longest) for d in dense])
    start = size - 1 if size < memory else 0  # memory without an end is no error of places
    stop = min(longest, start + 1 + max(BEYOND[0], BEYOND[1] * size))
    lags = np.arange(1, longest + 1, dtype=np.int64)
    exponent = fit_exponent(lags[start:stop], msd[:, start:stop], msd[1:, start:stop].std(0))
    low, high = np.quantile(msd[1:], [0.025, 0.975], axis=0)
    return Diffusion(
        coefficient=_interval(summed / (4 * dt), len(kept)),
        error=_interval(np.sqrt(np.maximum(-products[:, 1] / 2, 0)), len(kept)),
        exponent=_interval(exponent, len(kept)),
        memory=size,
        lags=dt * lags.astype(np.float64),
        msd=msd[0],
        low=low,
        high=high,
        tracks=len(kept),
        steps=int(counts[0]),
    )


def find_memory(products: Values, errors: Values) -> int:
    """Steps K after which two means ``< d_n · d_n+k >`` in a row, k = K + 1 and K + 2, are no more than chance.

    >>> find_memory(np.array([1.0, -0.3, 0.01, -0.01, 0.0]), np.full(5, 0.01))
    1
    >>> find_memory(np.array([1.0, 0.3, 0.2, 0.1, 0.0, 0.0]), np.full(6, 0.01))
    3
    """
    chance = np.abs(products) < np.maximum(SIGNIFICANT * errors, PART * products[0])
    last = len(products) - 1
    return next((k for k in range(1, last) if chance[k + 1 : k + 3].all()), last)


def fit_exponent(lags: Frames, msd: Values, spread: Values) -> Values:
    """Exponents ``[B]`` of MSD ``[B, L]`` = A t^a + c, weighted by ``spread`` ``[L]``.

    >>> lags = np.arange(1, 9)
    >>> fit_exponent(lags, (4.0 * lags**0.7 + 1.0)[None], np.ones(8))
    array([0.7])
    """
    weight = 1 / np.maximum(spread, 1e-12 * spread.max() + 1e-300)
    misfit = []
    for exponent in EXPONENTS:
        design = np.column_stack([lags**exponent, np.ones(len(lags))])[:, : 2 if exponent else 1] * weight[:, None]
        basis = np.linalg.qr(design)[0]
        scaled = msd * weight
        misfit.append(((scaled - scaled @ basis @ basis.T) ** 2).sum(1))
    return EXPONENTS[np.argmin(misfit, axis=0)]


def _means(weights: Values, parts: Sequence[tuple[Values, Values]]) -> tuple[Values, Values]:
    """Weighted means over tracks ``[B, L]`` of sums, and the numbers that were summed ``[L]``."""
    sums, counts = (np.array(part) for part in zip(*parts, strict=True))
    return (weights @ sums) / np.maximum(weights @ counts, 1), counts.sum(0)


def _squares(dense: Values, longest: int) -> tuple[Values, Values]:
    """Sums of squared displacements over 1 to ``longest`` frames, and their numbers."""
    displaced = [dense[lag:] - dense[:-lag] for lag in range(1, longest + 1)]
    return _sums(displaced, displaced)


def _products(dense: Values, longest: int) -> tuple[Values, Values]:
    """Sums of products of steps that are 0 to ``longest`` steps apart, and their numbers."""
    steps = np.diff(dense, axis=0)
    return _sums([steps[k:] for k in range(longest + 1)], [steps[: max(len(steps) - k, 0)] for k in range(longest + 1)])


def _sums(first: Sequence[Values], second: Sequence[Values]) -> tuple[Values, Values]:
    products = [(a * b).sum(1) for a, b in zip(first, second, strict=True)]
    return np.array([np.nansum(p) for p in products]), np.array([float(np.isfinite(p).sum()) for p in products])


def _dense(frames: Frames, places: Values) -> Values:
    dense = np.full((frames[-1] - frames[0] + 1, 2), np.nan)
    dense[frames - frames[0]] = places
    return dense


def _interval(values: Values, tracks: int) -> Interval:
    """The first value, with the 95 % interval of the others about it: wider where tracks are few, by Student's t."""
    from scipy.stats import norm, t

    wider = t.ppf(0.975, tracks - 1) / norm.ppf(0.975) * np.sqrt(tracks / (tracks - 1))
    low, high = np.quantile(values[1:], [0.025, 0.975])
    middle = float(values[0])
    return middle, float(middle + wider * (low - middle)), float(middle + wider * (high - middle))
