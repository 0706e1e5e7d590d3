"""Flow of a file: its numbers, the table of vectors, the field and a kymograph along it."""

from __future__ import annotations

from typing import Any

import numpy as np

from physgen.experiments.audit.moving.report import Movie, Moving, Rows, Scale, bracketed, paths, show, spread
from physgen.experiments.pages.charts import Chart, Series
from physgen.measure import Flow, Streak, draw_kymograph, measure_flow, measure_streaks
from physgen.measure.kymograph import follow_flow
from physgen.measure.piv import Values, interpolate

#: frames from which a kymograph tells a speed
FEWEST = 8
#: arrows along the longer side of a picture
ARROWS = 32


def report_flow(movie: Movie, scale: Scale, times: list[float] | None) -> Moving:
    """Velocities by correlated windows; ``times`` are given where there is no one interval."""
    if times is not None:
        reason = "the frames are not one interval apart (dt=s, to have them measured as if they were)"
        return Moving(
            "flow", _numbers(None, None, scale) | {"measured": False, "reason": reason}, f"not measured: {reason}"
        )
    found = measure_flow(movie, scale.spacing, scale.dt)
    line = follow_flow(found.field) if found.reason is None and found.field and len(movie) >= FEWEST else None
    if line is None:
        numbers = _numbers(found, None, scale)
        drawn, streak = None, None
    else:
        drawn = draw_kymograph(movie, line)
        streak = measure_streaks(drawn, spacing_along(line, scale.spacing), scale.dt)
        numbers = _numbers(found, streak, scale)
    words = f"not measured: {found.reason}" if found.reason else _words(found, streak, scale)
    numbers |= {"measured": found.reason is None, "reason": found.reason}
    if found.reason is not None or found.field is None:
        return Moving("flow", numbers, words)
    pictures = {"field": lambda axes: _overlay(axes, movie, found, line)}
    if drawn is not None:
        pictures["kymograph"] = lambda axes: _kymograph(axes, drawn, streak, scale)
    return Moving(
        "flow",
        numbers,
        words,
        tables={
            "vectors": vector_rows(found, scale),
            "parts": _part_rows(found, scale),
            "napari-vectors": paths([scale.places(arrow) for arrow in _arrows(found)], "line"),
        }
        | ({"napari-line": paths([scale.places(line)], "path")} if line is not None else {}),
        charts={"speed": _chart(found, scale)} if len(found.parts) > 1 else {},
        pictures=pictures,
    )


def spacing_along(line: Values, spacing: tuple[float, float]) -> float:
    """Length of a pixel's step along a line ``[K, 2]`` (y, x), px, in the unit of the spacing of pixels along y and x.

    >>> spacing_along(np.array([[0.0, 0.0], [0.0, 9.0]]), (1.0, 0.25))
    0.25
    """
    steps = np.diff(line, axis=0)
    return float(np.hypot(*(steps * spacing).T).sum() / np.hypot(*steps.T).sum())


def _numbers(found: Flow | None, streak: Streak | None, scale: Scale) -> dict[str, Any]:
    known = found if found and found.reason is None else None
    physical, pace = known if scale.physical else None, _pace(scale)
    return {
        **spread("speed_median_um_s", physical.speed if physical else None, "speed_low", "speed_high"),
        **spread("speed_median_px", known.speed_px if known else None, "speed_low_px", "speed_high_px", pace),
        **spread("direction_deg", known.direction if known else None, "direction_low", "direction_high"),
        **spread("divergence_over_vorticity", known.divergence if known else None),
        **spread("explained", known.explained if known else None),
        **spread(
            "kymograph_um_s", streak.speed if streak and scale.physical else None, "kymograph_low", "kymograph_high"
        ),
        **spread("kymograph_px", streak.speed_px if streak else None, "kymograph_low_px", "kymograph_high_px", pace),
        "kymograph_reason": streak.reason if streak else None,
        "n_windows": int(known.field.valid.sum()) if known and known.field else 0,
        "window_px": scale.part.block * known.field.window if known and known.field else None,
    }


def _words(found: Flow, streak: Streak | None, scale: Scale) -> str:
    assert found.speed is not None
    assert found.explained is not None
    unit = f"{scale.length}/{scale.time}"
    parts = [f"median speed {bracketed(found.speed, unit)}"]
    parts.append("no one direction" if found.direction is None else f"direction {bracketed(found.direction)}°")
    if found.divergence is not None:
        parts.append(f"divergence over vorticity {bracketed(found.divergence)}")
    if streak and streak.speed:
        parts.append(f"by kymograph {bracketed(streak.speed, unit)} along the line of the flow")
    return f"{', '.join(parts)}; explains {100 * found.explained[0]:.0f} % of the change"


def vector_rows(found: Flow, scale: Scale) -> Rows:
    """Rows of all windows; y and its velocity go down, as rows do."""
    assert found.field is not None
    assert found.velocity is not None
    field, unit = found.field, f"{scale.length}_{scale.time}".replace("µ", "u")
    dy, dx = scale.pixel
    shifts = _pace(scale) * field.displacement
    return [
        {
            f"x_{scale.length}".replace("µ", "u"): float(dx * place_x),
            f"y_{scale.length}".replace("µ", "u"): float(dy * place_y),
            f"vx_{unit}": float(found.velocity[i, j, 1]),
            f"vy_{unit}": float(found.velocity[i, j, 0]),
            "dx_px": float(shifts[i, j, 1]),
            "dy_px": float(shifts[i, j, 0]),
            "valid": bool(field.valid[i, j]),
        }
        for i, y in enumerate(field.y)
        for j, x in enumerate(field.x)
        for place_y, place_x in scale.places(np.array([[y, x]]))
    ]


def _part_rows(found: Flow, scale: Scale) -> Rows:
    every, pace = scale.part.every, _pace(scale)
    return [
        {"first_frame": every * start, "last_frame": every * stop, "speed_median_px": pace * speed}
        for (start, stop), speed in zip(found.times, _speeds(found), strict=True)
    ]


def _pace(scale: Scale) -> float:
    """What one px a frame of those that were read is in px a frame of the file."""
    return scale.part.block / scale.part.every


def _speeds(found: Flow, factors: tuple[float, float] = (1.0, 1.0)) -> list[float]:
    """Median speed of each part, in px a frame of those that were read times ``factors`` along y and x."""
    assert found.field is not None
    moved = [interpolate(one, found.field.y, found.field.x)[found.field.valid] for one in found.parts]
    return [float(np.median(np.hypot(*(one * factors).T))) for one in moved]


def _arrows(found: Flow) -> list[Any]:
    return [np.array([[y, x], [y + u[0], x + u[1]]]) for y, x, u in _vectors(found, 1)]


def _vectors(found: Flow, stride: int) -> list[tuple[float, float, Any]]:
    """Valid vectors, every so many, the long ones as long as the distance between those."""
    field = found.field
    assert field is not None
    longest = float(np.quantile(np.hypot(*field.displacement[field.valid].T), 0.95))
    stretch = stride * float(field.y[1] - field.y[0]) / max(longest, 1e-12)
    shown = [(i, j) for i, j in np.argwhere(field.valid) if i % stride == 0 and j % stride == 0]
    return [(float(field.y[i]), float(field.x[j]), stretch * field.displacement[i, j]) for i, j in shown]


def _overlay(axes: Any, movie: Movie, found: Flow, line: Any) -> None:
    assert found.field is not None
    show(axes, movie.mean(0) if len(movie) >= FEWEST else movie[0])
    stride = max(1, round(max(found.field.valid.shape) / ARROWS))
    y, x, shift = (np.array(part) for part in zip(*_vectors(found, stride), strict=True))
    axes.quiver(
        x, y, shift[:, 1], shift[:, 0], angles="xy", scale_units="xy", scale=1, color="#d55e00", width=0.0025,
        headwidth=5, headlength=5, headaxislength=4,
    )  # fmt: skip
    if line is not None:
        axes.plot(line[:, 1], line[:, 0], color="#56b4e9", linewidth=1.5)
        axes.set_title("Velocities; the line is that of the kymograph")
    else:
        axes.set_title("Velocities")


def _kymograph(axes: Any, drawn: Any, streak: Streak | None, scale: Scale) -> None:
    shown = drawn - drawn.mean(0)
    low, high = np.quantile(shown, [0.01, 0.99])
    axes.imshow(shown, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), aspect="auto", interpolation="nearest")
    if streak and streak.speed_px:
        middle, reach = drawn.shape[1] / 2, drawn.shape[0] / 2
        half = min(reach, middle / max(abs(streak.speed_px[0]), 1e-12))
        axes.plot(
            [middle - streak.speed_px[0] * half, middle + streak.speed_px[0] * half],
            [reach - half, reach + half], color="#d55e00", linewidth=1.5, label="the speed measured",
        )  # fmt: skip
        axes.legend()
    frames, points = drawn.shape
    axes.set(xlim=(-0.5, points - 0.5), ylim=(frames - 0.5, -0.5))
    axes.set(xlabel="along the line (px)", ylabel="frame", title="Kymograph, the mean of each point taken off")


def _chart(found: Flow, scale: Scale) -> Chart:
    middle = [scale.dt * (start + stop) / 2 for start, stop in found.times]
    unit = f"{scale.length}/{scale.time}"
    speeds = [one / scale.dt for one in _speeds(found, scale.spacing)]
    line = Series("median of windows", middle, speeds, dots=True)
    return Chart("Speed", f"time ({scale.time})", f"speed ({unit})", [line], from_zero=True)
