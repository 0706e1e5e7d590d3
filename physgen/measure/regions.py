"""What the regions of a movie do: recover where light bleached them, or change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from physgen.measure.cells import Labels, typical_radius
from physgen.measure.degenerate import degenerate, noise_level
from physgen.measure.nuclei import segment_nuclei
from physgen.measure.recovery import Interval, Recovery, before_bleaching, fit_recovery, normalise
from physgen.measure.spots import Movie, Values
from physgen.measure.traces import (
    BASELINE,
    Mask,
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
#: fall of brightness that is one, in standard errors of its slope
FALLS = 3.0
#: times that the slope of a fade is fitted anew without what stands out, and what does, in standard deviations
AGAIN, STANDS = 10, 2.0
DRAWS = 1000
NO_REFERENCE = (
    "the bleached region is most of what is bright, and light fades besides: nothing is left to correct that by"
)
STILL = "still: no region changes by more than its noise"


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
        faded: part of the light of all regions that fades over the movie, and is taken off before their changes.
    """

    labels: Labels
    traces: Values
    changes: Values
    bleached: int | None
    recovery: Recovery | None
    peak: Interval | None
    reason: str | None
    faded: float = 0.0


def measure_regions(movie: Movie, times: Sequence[float] | None = None) -> Regions:
    """Find the regions of a movie ``[T, H, W]`` and what they do over time.

    Where a part of the picture suddenly loses light, that is the region, and its recovery is fitted, the loss of all
    that is bright taken out; where the region is half of it, light must not fade. Else the regions are
    the bright objects of the mean frame, and their change is measured, the fade that they share taken off.

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
    frames = before_bleaching(movie[:, bleached.region].mean(1), bleached.frame) if bleached else slice(0, len(movie))
    bright = bright_region(movie, frames)
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
        if not minor and _fades(movie, noise, bright, region, background, frames, at):
            return Regions(region.astype(np.int64), trace[None], part[None], at, None, None, NO_REFERENCE)
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
    faded, flat = _without_fade(traces)
    first = np.array([np.quantile(trace, BASELINE) for trace in flat])
    stands = first > [_least(noise, trace, area) for trace, area in zip(flat, areas, strict=True)]
    if not stands.any():
        return _nothing(movie, "no region stands out of the background at its baseline: there is no F0")
    labels, traces = np.concatenate([[0], stands.cumsum() * stands])[labels], traces[stands]
    changes = np.stack([change_from_baseline(trace) for trace in flat[stands]])
    error = noise / np.sqrt(areas[stands]) / first[stands] / (1 - faded)
    peaks = changes.max(1)
    swing = np.abs(changes).max(1) if faded else peaks - changes.min(1)
    if not (swing > CHANGE * error).any():
        still = f"all regions fade by {100 * faded:.0f} %, and none changes beside that" if faded else STILL
        return Regions(labels, traces, changes, None, None, None, still, faded)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(peaks), size=(DRAWS, len(peaks)))
    draws = np.median(peaks[chosen] + error[chosen] * rng.standard_normal(chosen.shape), axis=1)
    middle, (low, high) = float(np.median(peaks)), np.quantile(draws, [0.025, 0.975])
    peak = middle, min(float(low), middle), max(float(high), middle)
    return Regions(labels, traces, changes, None, None, peak, None, faded)


def _without_fade(traces: Values) -> tuple[float, Values]:
    """Part that traces ``[N, T]`` have in common and lose exponentially, and the traces without that loss."""
    from scipy.stats import theilslopes

    middle, t = np.median(traces, axis=0), np.arange(traces.shape[1], dtype=float)
    if not (middle > 0).all() or len(t) < 6:
        return 0.0, traces
    light = np.log(middle)
    slope, start = theilslopes(light, t)[:2]
    for _ in range(AGAIN):
        apart = np.abs(light - start - slope * t)
        kept = apart <= STANDS * 1.4826 * np.median(apart)
        if kept.sum() < max(6, len(t) / 3):
            break
        slope, start = np.polyfit(t[kept], light[kept], 1)
    error = 1.4826 * float(np.median(np.abs(light - start - slope * t))) / np.sqrt(((t - t.mean()) ** 2).sum())
    if not slope < -CHANGE * error:
        return 0.0, traces
    return float(-np.expm1(slope * t[-1])), traces * np.exp(-slope * t)


def _fades(
    movie: Movie, noise: float, bright: Mask, region: Mask, background: Mask | None, before: slice, bleached: int
) -> bool:
    """Whether light is lost beside the bleaching: from all before it, or from what is bright outside after it."""
    from scipy.ndimage import binary_dilation

    outside = bright & ~binary_dilation(region)
    return any(
        place.any() and _falls(trace_region(movie, place, background)[frames], noise / float(np.sqrt(place.sum())))
        for place, frames in ((bright | region, before), (outside, before), (outside, slice(bleached, None)))
    )


def _falls(trace: Values, error: float) -> bool:
    if len(trace) < 3:
        return False
    t = np.arange(len(trace)) - (len(trace) - 1) / 2
    slope = float(t @ trace / (t @ t))
    rest = trace - trace.mean() - slope * t
    spread = max(error, float(np.sqrt(rest @ rest / (len(trace) - 2))))
    return slope < -max(FALLS * spread / float(np.sqrt(t @ t)), ROUNDING * float(np.abs(trace).max()))


def _least(noise: float, trace: Values, area: int | np.int64) -> float:
    """Brightness of a region of so many pixels that is clear of the noise of one, and of rounding."""
    return max(CHANGE * noise / float(np.sqrt(area)), ROUNDING * float(np.abs(trace).max()))


def _nothing(movie: Movie, reason: str) -> Regions:
    none = np.zeros((0, len(movie)))
    return Regions(np.zeros(movie.shape[1:], np.int64), none, none, None, None, None, reason)
