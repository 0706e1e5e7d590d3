"""Tracks of a file: diffusion, the tables of spots and tracks, and what they look like."""

from __future__ import annotations

from typing import Any

import numpy as np

from physgen.experiments.audit.moving.report import Movie, Moving, Rows, Scale, bracketed, paths, show, spread
from physgen.experiments.pages.charts import Chart, Series
from physgen.experiments.pages.numbers import number
from physgen.measure import Tracks, measure_tracks


def report_tracks(movie: Movie, scale: Scale, times: list[float] | None) -> Moving:
    """Spots followed, and how they diffuse; ``times`` are given where there is no one interval."""
    if times is not None:
        reason = "the frames are not one interval apart (dt=s, to have them measured as if they were)"
        return Moving(
            "tracks", _numbers(None, scale) | {"measured": False, "reason": reason}, f"not measured: {reason}"
        )
    found = measure_tracks(movie, scale.spacing, scale.dt)
    numbers = _numbers(found, scale) | {"measured": found.reason is None, "reason": found.reason}
    words = f"not measured: {found.reason}" if found.reason else _words(found, scale)
    if found.links is None or not len(found.links.spots):
        return Moving("tracks", numbers, words)
    lines = [np.column_stack([found.links.spots.y[track], found.links.spots.x[track]]) for track in found.used]
    return Moving(
        "tracks",
        numbers,
        words,
        tables={
            "spots": spot_rows(found, scale),
            "tracks": track_rows(found, scale),
            "drift": _drift_rows(found, scale),
            "msd": _msd_rows(found, scale),
            "napari-spots": _points(found, scale),
            "napari-tracks": paths([scale.places(line) for line in lines], "path"),
        },
        charts={"msd": _chart(found, scale)} if found.diffusion else {},
        pictures={"overlay": lambda axes: _overlay(axes, movie, lines)},
    )


def _numbers(found: Tracks | None, scale: Scale) -> dict[str, Any]:
    known = found.diffusion if found and found.reason is None else None
    area = scale.pixel[0] * scale.pixel[1]
    physical = known if scale.physical else None
    return {
        **spread("D_um2_s", physical.coefficient if physical else None, "D_low", "D_high"),
        **spread("D_px", known.coefficient if known else None, "D_low_px", "D_high_px", scale.frame / area),
        **spread("exponent", known.exponent if known else None),
        **spread("error_um", physical.error if physical else None),
        **spread("error_px", known.error if known else None, factor=1 / np.sqrt(area)),
        "memory_frames": known.memory if known else None,
        "n_spots": len(found.links.spots) if found and found.links else 0,
        "n_tracks": len(found.used) if found else 0,
    }


def _words(found: Tracks, scale: Scale) -> str:
    assert found.diffusion is not None
    value, low, high = found.diffusion.exponent
    return (
        f"D = {bracketed(found.diffusion.coefficient, f'{scale.length}²/{scale.time}')}, exponent {value:.2f} "
        f"[{low:.2f}, {high:.2f}], {len(found.used)} tracks"
    )


def spot_rows(found: Tracks, scale: Scale) -> Rows:
    """Rows of all spots, columns as TrackMate calls them; positions and radii in the file's unit."""
    assert found.links is not None
    spots, track = found.links.spots, found.links.track
    (dy, dx), every = scale.spacing, scale.part.every
    places = scale.places(np.column_stack([spots.y, spots.x])) * scale.pixel
    return [
        {
            "LABEL": f"ID{k}",
            "ID": k,
            "TRACK_ID": int(track[k]),
            "QUALITY": float(spots.response[k]),
            "POSITION_X": float(places[k, 1]),
            "POSITION_Y": float(places[k, 0]),
            "POSITION_Z": 0.0,
            "POSITION_T": float(scale.dt * spots.frame[k]),
            "FRAME": int(every * spots.frame[k]),
            "RADIUS": float(np.sqrt(2 * dx * dy) * spots.width[k]),
            "VISIBILITY": 1,
            "PEAK_INTENSITY": float(spots.brightness[k]),
            "WIDTH": float(np.sqrt(dx * dy) * spots.width[k]),
        }
        for k in range(len(spots))
    ]


def track_rows(found: Tracks, scale: Scale) -> Rows:
    """Rows of the tracks that count, columns as TrackMate calls them."""
    assert found.links is not None
    spots, rows = found.links.spots, []
    for track in found.used:
        places = scale.places(np.column_stack([spots.y[track], spots.x[track]])) * scale.pixel
        frames = spots.frame[track]
        length = float(np.hypot(*np.diff(places, axis=0).T).sum())
        lasted = float(scale.dt * (frames[-1] - frames[0]))
        rows.append({
            "TRACK_ID": int(found.links.track[track[0]]),
            "NUMBER_SPOTS": len(track),
            "NUMBER_GAPS": int((np.diff(frames) > 1).sum()),
            "TRACK_DURATION": lasted,
            "TRACK_START": float(scale.dt * frames[0]),
            "TRACK_STOP": float(scale.dt * frames[-1]),
            "TRACK_DISPLACEMENT": float(np.hypot(*(places[-1] - places[0]))),
            "TOTAL_DISTANCE_TRAVELED": length,
            "TRACK_MEAN_SPEED": length / lasted,
            "TRACK_X_LOCATION": float(places[:, 1].mean()),
            "TRACK_Y_LOCATION": float(places[:, 0].mean()),
        })  # fmt: skip
    return rows


def _drift_rows(found: Tracks, scale: Scale) -> Rows:
    return [
        {"FRAME": scale.part.every * t, "DRIFT_X": float(scale.spacing[1] * x), "DRIFT_Y": float(scale.spacing[0] * y)}
        for t, (y, x) in enumerate(found.drift)
    ]


def _msd_rows(found: Tracks, scale: Scale) -> Rows:
    if found.diffusion is None:
        return []
    columns = zip(*(getattr(found.diffusion, name) for name in ("lags", "msd", "low", "high")), strict=True)
    names = f"lag_{scale.time}", f"msd_{scale.length}2", "low", "high"
    return [dict(zip(names, map(float, row), strict=True)) for row in columns]


def _points(found: Tracks, scale: Scale) -> Rows:
    assert found.links is not None
    spots = found.links.spots
    places = scale.places(np.column_stack([spots.y, spots.x]))
    return [
        {"index": k, "axis-0": int(scale.part.every * t), "axis-1": float(y), "axis-2": float(x)}
        for k, (t, (y, x)) in enumerate(zip(spots.frame, places, strict=True))
    ]


def _chart(found: Tracks, scale: Scale) -> Chart:
    diffusion = found.diffusion
    assert diffusion is not None
    lags = diffusion.lags.tolist()
    lines = [
        Series("measured", lags, diffusion.msd.tolist(), dots=True),
        Series("95 % low", lags, diffusion.low.tolist()),
        Series("95 % high", lags, diffusion.high.tolist()),
    ]
    if found.reason is None:
        value, at = diffusion.coefficient[0], min(diffusion.memory, len(lags)) - 1
        law = diffusion.msd[at] + 4 * value * (diffusion.lags - diffusion.lags[at])
        lines.append(Series(f"4 D t + c, D = {number(value)}", lags[at:], law[at:].tolist()))
    unit = f"{scale.length}²"
    return Chart("Mean squared displacement", f"time ({scale.time})", f"squared ({unit})", lines, from_zero=True)


def _overlay(axes: Any, movie: Movie, lines: list[Any]) -> None:
    show(axes, movie[0])
    for k, line in enumerate(lines):
        axes.plot(line[:, 1], line[:, 0], color=f"C{k % 10}", linewidth=0.8)
    axes.set_title(f"{len(lines)} tracks on the first frame")
