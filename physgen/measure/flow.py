"""Flow in a movie: speed, direction, divergence against vorticity, and how much of the change it explains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from physgen.measure.moved import DISAGREE, LENGTHS, MOST, USELESS, cannot_tell, texture_length
from physgen.measure.piv import NOISE, Field, Movie, Values, correlate_windows, interpolate, warp
from physgen.measure.unusable import why_late, why_unusable

Interval = tuple[float, float, float]

#: pixels of all pairs of frames that are used, at most, evenly spread, and parts that are measured by themselves
PIXELS, PARTS = 2**26, 8
#: frames from which what stands still can be known, and px over which noise is then smoothed
STATIC, SMOOTH = 8, 1.0
#: second peak of the correlation, as a part of the first, above which nothing is found again
GUESS = 0.8
#: part of the windows with something in them that must be found again
FEWEST = 0.1
#: px a frame below which nothing moves
STILL = 0.1
#: length of the mean velocity, as a part of the mean speed, below which there is no one direction
TOGETHER = 0.2
#: windows that overlap by half tell as much as a quarter of them
REDUNDANT = 4
DRAWS = 1000
#: errors that divergence or vorticity must be
ABOVE = 2.0
#: px of a side of the parts of which an interval of what is explained is drawn
TILE = 32


@dataclass(frozen=True)
class Flow:
    """Velocities between frames, with 95 % intervals ``(value, low, high)``; px a frame, and that times ``scale``.

    Attributes:
        field: mean displacements, px a frame.
        times: ``[P]``, first and last frame of each part of the movie, and ``parts``, the displacements there.
        velocity: ``[N, M, 2]``, along y (down) and x, in the units of what was given.
        speed: median of the windows.
        speed_px: the same, px a frame.
        direction: degrees, of the mean velocity: 0 is to the right, 90 up, as a reader sees the picture; None where
            windows have no one direction. The ends of its interval may be beyond ±180.
        divergence: root mean square of the divergence over that of the vorticity; None where neither is
            twice its error.
        explained: part of the change between frames that is gone when the first is moved along.
        reason: why nothing is measured; None where it is.
    """

    field: Field | None
    times: list[tuple[int, int]]
    parts: list[Field]
    velocity: Values | None
    speed: Interval | None
    speed_px: Interval | None
    direction: Interval | None
    divergence: Interval | None
    explained: Interval | None
    reason: str | None


def measure_flow(movie: Movie, spacing: tuple[float, float] = (1.0, 1.0), dt: float = 1.0, seed: int = 0) -> Flow:
    """Velocities in a movie ``[T, H, W]`` of two frames or more, by correlated windows, see `correlate_windows`.

    Eight frames or more are measured as they are and without their mean, lest what stands still be taken for flow;
    the field that explains more of the change is used. The mean of what goes by less than four lengths of its texture
    in the whole movie is not what stands still: where the fields disagree, that one is not used. A long movie is
    measured in up to eight parts, each from all of its pairs together; the field is the mean of the parts. Intervals
    are of windows and parts drawn anew.

    Args:
        movie: ``[T, H, W]``, brightness.
        spacing: of pixels along y and x, µm.
        dt: from frame to frame, s.
        seed: of the draws of windows and parts.

    Source: bootstrap, Efron (1979), Ann. Statist. 7:1; see also `correlate_windows`.

    >>> from scipy.ndimage import gaussian_filter
    >>> frame = gaussian_filter(np.random.default_rng(0).random((96, 128)), 1.5, mode="wrap")
    >>> flow = measure_flow(np.stack([frame, np.roll(frame, (-2, 2), (0, 1))]), spacing=(0.5, 0.5), dt=0.1)
    >>> [round(value[0], 1) for value in (flow.speed, flow.direction, flow.explained)]
    [14.1, 45.0, 1.0]
    """
    movie = np.ascontiguousarray(movie, dtype=np.float64)
    if reason := why_unusable(movie, fewest=2):
        return _nothing(reason)
    if movie.min() == movie.max():
        return _nothing("nothing is shown")
    if (movie == movie[0]).all():
        return _nothing("still: all frames are the same")
    if reason := why_late(movie):
        return _nothing(reason)
    chosen = np.unique(np.linspace(0, len(movie) - 2, _pairs(movie)).round().astype(int))
    rng = np.random.default_rng(seed)
    tries = [_try(seen, chosen, rng) for seen in _ways(movie)]
    best = _choose(tries)
    field, times, fields, explained = best.field, best.times, best.parts, best.explained
    if best.reason or explained is None:
        return _nothing(best.reason or "nothing is explained", field, times, fields)
    scale = np.array(spacing) / dt
    shifts = np.stack([interpolate(one, field.y, field.x) for one in fields])
    draws = [_draw(shifts, best.valid, rng) for _ in range(DRAWS)]
    moved = field.displacement[field.valid]
    speed_px = _interval(_speed(moved), [_speed(one) for one in draws])
    if speed_px[0] < STILL and explained[0] < USELESS:
        return _nothing("still: nothing moves by more than noise", field, times, fields)
    if explained[0] < USELESS:
        return _nothing(f"the flow explains {100 * explained[0]:.0f} % of the change", field, times, fields)
    return Flow(
        field=field,
        times=times,
        parts=fields,
        velocity=field.displacement * scale,
        speed=_interval(_speed(moved * scale), [_speed(one * scale) for one in draws]),
        speed_px=speed_px,
        direction=_direction(moved * scale, [one * scale for one in draws]),
        divergence=_divergence(field, shifts, spacing, rng),
        explained=explained,
        reason=None,
    )


def _pairs(movie: Movie) -> int:
    return max(1, min(len(movie) - 1, PIXELS // movie[0].size))


def moving_part(movie: Movie) -> Movie:
    """What does not stand still, in movies that are long enough to know it; short ones as they are."""
    from scipy.ndimage import gaussian_filter

    if len(movie) < STATIC:
        return movie
    mean = movie.mean(0)
    return np.stack([gaussian_filter(frame - mean, SMOOTH) for frame in movie])


def _ways(movie: Movie) -> list[Movie]:
    """Frames as they are and, where there are enough of them, without their mean."""
    from scipy.ndimage import gaussian_filter

    if len(movie) < STATIC:
        return [movie]
    return [np.stack([gaussian_filter(frame, SMOOTH) for frame in movie]), moving_part(movie)]


@dataclass(frozen=True)
class _Try:
    """What is found in frames that were prepared in one way; ``length``, px, is that of what is seen there."""

    field: Field
    valid: npt.NDArray[np.bool_]
    times: list[tuple[int, int]]
    parts: list[Field]
    explained: Interval | None
    length: float
    goes: float
    reason: str | None


def _try(seen: Movie, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> _Try:
    for parts in (PARTS, 1):  # one part, of all pairs, where a few pairs tell nothing
        groups = np.array_split(chosen, min(parts, len(chosen)))
        fields = [correlate_windows(seen[pairs], seen[pairs + 1]) for pairs in groups]
        times = [(int(pairs[0]), int(pairs[-1]) + 1) for pairs in groups]
        field, valid = _mean(fields)
        if not (reason := why_not_found(fields, field)):
            break
    explained = None if reason else _explained(seen, chosen, field, rng)
    goes = 0.0 if reason else _speed(field.displacement[field.valid]) * len(seen)
    return _Try(field, valid, times, fields, explained, texture_length(seen), goes, reason)


def _choose(tries: list[_Try]) -> _Try:
    """The way that explains most of the change; with a reason where none can be trusted."""
    known = [one for one in tries if one.explained]
    if not known:
        return tries[-1]
    best = max(known, key=_part_explained)
    if _part_explained(best) < USELESS:
        return known[0]
    if len(tries) == 1 or best.goes >= LENGTHS * best.length or _agree(known):
        return best
    if best is tries[0] and (len(known) == 1 or _part_explained(best) >= MOST):
        return best
    return replace(
        best,
        reason=cannot_tell(best.goes, LENGTHS * best.length),
    )


def _part_explained(one: _Try) -> float:
    return one.explained[0] if one.explained else 0.0


def _agree(known: list[_Try]) -> bool:
    if len(known) < 2:
        return False
    first, second = known
    other = interpolate(second.field, first.field.y, first.field.x)
    apart = _speed((first.field.displacement - other)[first.field.valid])
    return apart <= DISAGREE * _speed(other[first.field.valid])


def why_not_found(fields: list[Field], mean: Field) -> str | None:
    """Why correlated windows tell nothing."""
    if float(np.median([one.second for one in fields])) > GUESS or mean.valid.mean() < FEWEST:
        return (
            "nothing is found again in the next frame: no texture, or motion that is aliased (faster than half of what "
            "repeats) or goes farther than half a window"
        )
    return None


def divergence_and_vorticity(field: Values, spacing: tuple[float, float]) -> tuple[Values, Values]:
    """Divergence and vorticity ``[N, M]`` of a field ``[N, M, 2]`` along y (down) and x, by central differences.

    >>> y, x = np.mgrid[:5.0, :5.0]
    >>> divergence, vorticity = divergence_and_vorticity(np.stack([x, -y], -1), (1.0, 1.0))
    >>> divergence[2, 2], vorticity[2, 2]
    (np.float64(0.0), np.float64(2.0))
    """
    down, right = (np.asarray(np.gradient(field[..., k], *spacing), dtype=np.float64) for k in (0, 1))
    return down[0] + right[1], down[1] - right[0]


def _mean(fields: list[Field]) -> tuple[Field, npt.NDArray[np.bool_]]:
    """Mean of fields on the grid of the finest, valid where most are; and where each is valid."""
    finest = min(fields, key=lambda one: one.window)
    shifts = np.stack([interpolate(one, finest.y, finest.x) for one in fields])
    rows, columns = np.meshgrid(finest.y, finest.x, indexing="ij")
    valid = np.stack([
        one.valid[np.abs(one.y[:, None] - rows[:, 0]).argmin(0)][:, np.abs(one.x[:, None] - columns[0]).argmin(0)]
        for one in fields
    ])  # fmt: skip
    weight = np.maximum(valid, 1e-6)[..., None]
    mean = (weight * shifts).sum(0) / weight.sum(0)
    return Field(finest.y, finest.x, mean, valid.mean(0) >= 0.5, finest.window, finest.second), valid


def _draw(shifts: Values, valid: npt.NDArray[np.bool_], rng: np.random.Generator) -> Values:
    """Vectors ``[n, 2]`` of parts and windows drawn anew."""
    parts = rng.integers(len(shifts), size=len(shifts))
    weight = np.maximum(valid[parts], 1e-6)[..., None]
    mean = ((weight * shifts[parts]).sum(0) / weight.sum(0))[valid.mean(0) >= 0.5]
    return mean[rng.integers(len(mean), size=max(1, len(mean) // REDUNDANT))]


def _speed(vectors: Values) -> float:
    return float(np.median(np.hypot(*vectors.T)))


def _direction(vectors: Values, draws: list[Values]) -> Interval | None:
    """Degrees counter-clockwise from the right of the mean vector; rows go down."""
    mean = vectors.mean(0)
    if np.hypot(*mean) < TOGETHER * np.hypot(*vectors.T).mean():
        return None
    angle = float(np.degrees(np.arctan2(-mean[0], mean[1])))
    others = np.array([np.degrees(np.arctan2(-one[:, 0].mean(), one[:, 1].mean())) for one in draws])
    return _interval(angle, angle + (others - angle + 180) % 360 - 180)


def _divergence(
    field: Field, shifts: Values, spacing: tuple[float, float], rng: np.random.Generator
) -> Interval | None:
    """Ratio of root mean squares; ``shifts`` ``[P, N, M, 2]`` are of the parts of the movie, px."""
    if min(field.valid.shape) < 3:
        return None
    step = (field.y[1] - field.y[0]) * spacing[0], (field.x[1] - field.x[0]) * spacing[1]
    parts = divergence_and_vorticity(field.displacement * spacing, step)
    squares = np.stack([part[field.valid] ** 2 for part in parts])
    if len(shifts) > 1:
        each = np.stack([divergence_and_vorticity(one * spacing, step) for one in shifts])[..., field.valid]
        error = np.sqrt(each.var(0, ddof=1).mean(-1) / len(shifts))
    else:  # of one part: that of a central difference, of displacements whose error is known
        error = NOISE * np.sqrt(
            [0.5 * (spacing[i] / step[0]) ** 2 + 0.5 * (spacing[1 - i] / step[1]) ** 2 for i in (0, 1)]
        )
    if (np.sqrt(squares.mean(1)) < ABOVE * error).all():
        return None
    chosen = rng.integers(squares.shape[1], size=(DRAWS, max(1, squares.shape[1] // REDUNDANT)))
    sums = np.vstack([squares.sum(1), squares[:, chosen].sum(2).T])
    ratios = np.sqrt(sums[:, 0] / np.maximum(sums[:, 1], 1e-300))
    return _interval(float(ratios[0]), ratios[1:])


def _explained(movie: Movie, pairs: npt.NDArray[np.int64], field: Field, rng: np.random.Generator) -> Interval:
    height, width = movie.shape[1:]
    dense = interpolate(field, np.arange(float(height)), np.arange(float(width)))
    rows, columns = (np.abs(at[:, None] - np.arange(n)).argmin(0) for at, n in ((field.y, height), (field.x, width)))
    seen = field.valid[rows][:, columns]
    left, change = np.zeros((2, height, width))
    for t in pairs:
        moved = warp(movie[t : t + 1], -dense / 2)[0] - warp(movie[t + 1 : t + 2], dense / 2)[0]
        left += seen * moved**2
        change += seen * (warp(movie[t : t + 1], 0 * dense)[0] - movie[t + 1]) ** 2
    tile = min(TILE, height, width)
    cut = height // tile * tile, width // tile * tile
    sums = np.stack([
        one[: cut[0], : cut[1]].reshape(cut[0] // tile, tile, cut[1] // tile, tile).sum((1, 3)).ravel()
        for one in (left, change)
    ])  # fmt: skip
    chosen = rng.integers(sums.shape[1], size=(DRAWS, sums.shape[1]))
    drawn = sums[:, chosen].sum(2)
    total = float(change.sum())
    return _interval(1 - float(left.sum()) / max(total, 1e-300), 1 - drawn[0] / np.maximum(drawn[1], 1e-300))


def _interval(value: float, draws: Values | list[float]) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return value, min(float(low), value), max(float(high), value)


def _nothing(
    reason: str,
    field: Field | None = None,
    times: list[tuple[int, int]] | None = None,
    parts: list[Field] | None = None,
) -> Flow:
    return Flow(field, times or [], parts or [], None, None, None, None, None, None, reason)
