"""What the regions of a movie do: recover where light bleached them, or change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from physgen.measure.cells import Labels, typical_radius
from physgen.measure.degenerate import degenerate, noise_level
from physgen.measure.nuclei import segment_nuclei
from physgen.measure.recovery import Interval, Recovery, fit_recovery, normalise
from physgen.measure.spots import Movie, Values
from physgen.measure.traces import (
    BASELINE,
    bright_region,
    change_from_baseline,
    find_background,
    find_bleached,
    trace_region,
)
from physgen.measure.unusable import why_late, why_unusable

#: change of a region that is one, in standard deviations of its noise
CHANGE = 5.0
#: part of the largest brightness of a region below which its baseline is rounding
ROUNDING = 1e-6
#: part of what is bright that a bleached region may be for the rest to tell the loss of the whole
MINOR = 0.5
DRAWS = 1000


@dataclass(frozen=True)
class Regions:
    """Regions and their traces.

    Attributes:
        labels: ``[H, W]``, number of the region of each pixel, from 1; a bleached region is 1.
        traces: ``[N, T]``, brightness, the background taken off where there is one.
        changes: ``[N, T]``, (F - F0) / F0; of a bleached region the brightness as a part of that before.
        bleached: first frame that is bleached; None where none is.
        recovery: after it.
        peak: median over regions of the largest change, with its 95 % interval; None after bleaching.
        reason: why nothing is measured; None where it is.
    """

    labels: Labels
    traces: Values
    changes: Values
    bleached: int | None
    recovery: Recovery | None
    peak: Interval | None
    reason: str | None


def measure_regions(movie: Movie, times: Sequence[float] | None = None) -> Regions:
    """Find the regions of a movie ``[T, H, W]`` and what they do over time.

    Where a part of the picture suddenly loses light, that is the region, and its recovery is fitted, the loss of all
    that is bright taken out. Else the regions are the bright objects of the mean frame, and their change is measured.

    Args:
        movie: ``[T, H, W]``, brightness.
        times: ``[T]``, s; frames where none are given.

    >>> t, disc = np.arange(30.0), np.hypot(*(np.mgrid[:40, :40] - 20.0)) < 8
    >>> light = np.where(t < 5, 1.0, 0.3 + 0.5 * (1 - np.exp(-(t - 5) / 6)))
    >>> movie = 100 * np.where(disc, light[:, None, None], 1.0) + np.random.default_rng(0).normal(size=(30, 40, 40))
    >>> found = measure_regions(movie)
    >>> found.bleached, round(found.recovery.half_time[0])
    (5, 4)
    """
    movie = np.ascontiguousarray(movie, dtype=np.float64)
    stamps = np.arange(len(movie), dtype=float) if times is None else np.asarray(times, dtype=float)
    if reason := why_unusable(movie):
        return _nothing(movie, reason)
    if degenerate(torch.from_numpy(movie)[None, None])[0] == "frozen":
        return _nothing(movie, "still: nothing changes by more than noise")
    noise = float(noise_level(torch.from_numpy(movie)[None])[0])
    bleached = find_bleached(movie)
    bright = bright_region(movie, slice(0, bleached.frame if bleached else len(movie)))
    background = None if bright.all() else find_background(movie)
    if bleached is not None:
        at, region = bleached.frame, bleached.region
        trace = trace_region(movie, region, background)
        minor = (region & bright).sum() < MINOR * bright.sum()
        whole = trace_region(movie, bright | region, background) if minor else np.ones(len(movie))
        if not trace[:at].mean() > _least(noise, trace, region.sum()):
            return _nothing(movie, "the region that goes dark is no brighter than the background before")
        if minor and not (whole > _least(noise, whole, (bright | region).sum())).all():
            return _nothing(movie, "all light goes out at once: nothing is left to compare a region with")
        part = normalise(trace, whole, at)
        recovery = fit_recovery(stamps[at:], part[at:], before=1.0)
        if late := why_late(movie):
            recovery = replace(recovery, half_time=None, mobile=None, fitted=None, reason=recovery.reason or late)
        return Regions(region.astype(np.int64), trace[None], part[None], at, recovery, None, recovery.reason)
    labels = (
        segment_nuclei(movie.mean(0), typical_radius(movie)) if not bright.all() else np.zeros(bright.shape, np.int64)
    )
    if not labels.max():
        return _nothing(movie, "no regions are seen, and none that is bleached")
    traces = np.stack([trace_region(movie, labels == k, background) for k in range(1, labels.max() + 1)])
    return _changes(movie, noise, labels, traces)


def _changes(movie: Movie, noise: float, labels: Labels, traces: Values, seed: int = 0) -> Regions:
    areas = np.bincount(labels.ravel())[1:]
    first = np.array([np.quantile(trace, BASELINE) for trace in traces])
    stands = first > [_least(noise, trace, area) for trace, area in zip(traces, areas, strict=True)]
    if not stands.any():
        return _nothing(movie, "no region stands out of the background at its baseline: there is no F0")
    labels, traces = np.concatenate([[0], stands.cumsum() * stands])[labels], traces[stands]
    changes = np.stack([change_from_baseline(trace) for trace in traces])
    error = noise / np.sqrt(areas[stands]) / first[stands]
    peaks = changes.max(1)
    if not (peaks - changes.min(1) > CHANGE * error).any():
        return Regions(labels, traces, changes, None, None, None, "still: no region changes by more than its noise")
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(peaks), size=(DRAWS, len(peaks)))
    draws = np.median(peaks[chosen] + error[chosen] * rng.standard_normal(chosen.shape), axis=1)
    middle, (low, high) = float(np.median(peaks)), np.quantile(draws, [0.025, 0.975])
    return Regions(
        labels, traces, changes, None, None, (middle, min(float(low), middle), max(float(high), middle)), None
    )


def _least(noise: float, trace: Values, area: int | np.int64) -> float:
    """Brightness of a region of so many pixels that is clear of the noise of one, and of rounding."""
    return max(CHANGE * noise / float(np.sqrt(area)), ROUNDING * float(np.abs(trace).max()))


def _nothing(movie: Movie, reason: str) -> Regions:
    none = np.zeros((0, len(movie)))
    return Regions(np.zeros(movie.shape[1:], np.int64), none, none, None, None, None, reason)
