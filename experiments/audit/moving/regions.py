"""Regions of a file: recovery after bleaching, or change; traces, labels and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from physgen.experiments.audit.moving.report import Interval, Movie, Moving, Rows, Scale, bracketed, show, spread
from physgen.experiments.pages.charts import Chart, Series
from physgen.measure import Regions, measure_regions

#: regions whose traces are drawn
SHOWN = 6


def report_regions(movie: Movie, scale: Scale, times: list[float] | None) -> Moving:
    """Regions and what they do over time."""
    stamps = times or [scale.dt * t for t in range(len(movie))]
    found = measure_regions(movie, stamps)
    recovery = found.recovery if found.recovery and found.recovery.reason is None else None
    seconds = recovery.half_time if recovery and scale.time == "s" else None
    frames: Interval | None = None
    if recovery and recovery.half_time:
        step = float(np.median(np.diff(stamps)))
        value, low, high = (scale.part.every * one / step for one in recovery.half_time)
        frames = value, low, high
    numbers = {
        "n_regions": int(found.labels.max()),
        "bleached_frame": None if found.bleached is None else scale.part.every * found.bleached,
        "model": recovery.model if recovery else None,
        **spread("half_time_s", seconds, "half_time_low", "half_time_high"),
        **spread("half_time_frames", frames),
        **spread("mobile_fraction", recovery.mobile if recovery else None, "mobile_low", "mobile_high"),
        **spread("peak_change", found.peak),
        "explained": recovery.explained if recovery else None,
        "measured": found.reason is None,
        "reason": found.reason,
    }
    words = f"not measured: {found.reason}" if found.reason else _words(found, scale)
    if not found.labels.max():
        return Moving("regions", numbers, words)
    return Moving(
        "regions",
        numbers,
        words,
        tables={"traces": _rows(found, scale, stamps)},
        layers={"labels": found.labels},
        charts={"traces": _chart(found, scale, stamps)},
        pictures={"overlay": lambda axes: _overlay(axes, movie, found, scale)},
    )


def _words(found: Regions, scale: Scale) -> str:
    recovery = found.recovery
    if recovery is None or recovery.half_time is None:
        assert found.peak is not None
        text = (
            f"{found.labels.max()} regions, largest change (F - F0) / F0 {bracketed(found.peak)}, median of the regions"
        )
        return text + (f", a common fade of {100 * found.faded:.0f} % taken off" if found.faded else "")
    mobile: Interval | None = recovery.mobile
    text = f"half-time {bracketed(recovery.half_time, scale.time)} ({recovery.model})"
    return text + (f", mobile fraction {bracketed(mobile)}" if mobile else "")


def _rows(found: Regions, scale: Scale, times: list[float]) -> Rows:
    name = "part_of_before" if found.bleached is not None else "dF_over_F0"
    return [
        {
            "region": k,
            "FRAME": scale.part.every * t,
            f"time_{scale.time}": times[t],
            "brightness": float(trace[t]),
            name: float(change[t]),
        }
        for k, (trace, change) in enumerate(zip(found.traces, found.changes, strict=True), start=1)
        for t in range(len(times))
    ]


def _chart(found: Regions, scale: Scale, times: list[float]) -> Chart:
    lines = [
        Series(f"region {k}", times, change.tolist(), dots=found.bleached is not None)
        for k, change in enumerate(found.changes[:SHOWN], start=1)
    ]
    if found.recovery and found.recovery.fitted is not None and found.bleached is not None:
        lines.append(
            Series(f"the fit, {found.recovery.model}", times[found.bleached :], found.recovery.fitted.tolist())
        )
    label = "brightness, part of before" if found.bleached is not None else "(F - F0) / F0"
    title = "Recovery" if found.bleached is not None else "Regions"
    return Chart(title, f"time ({scale.time})", label, lines, from_zero=True)


def _overlay(axes: Any, movie: Movie, found: Regions, scale: Scale) -> None:
    show(axes, movie.mean(0) if found.bleached is None else movie[found.bleached])
    for k in range(1, found.labels.max() + 1):
        inside = found.labels == k
        axes.contour(inside, [0.5], colors="#d55e00", linewidths=1.0)
        y, x = np.argwhere(inside).mean(0)
        axes.text(
            x,
            y,
            str(k),
            color="#f0e442",
            fontsize=8,
            fontweight="bold",
            horizontalalignment="center",
            verticalalignment="center",
        )
    at = found.bleached
    where = "the mean frame" if at is None else f"frame {scale.part.every * at}, the first bleached"
    axes.set_title(f"Regions on {where}")
