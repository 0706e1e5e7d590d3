"""Kymographs: what is on a line, frame by frame, and the speed along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from physgen.measure.moved import DISAGREE, MOST, USELESS, cannot_tell, texture_length
from physgen.measure.piv import Field, Movie, Values
from physgen.places import frames_read

Interval = tuple[float, float, float]

#: frames over which a speed is looked for, at most, and points along a line that it may go in them, as a part of all
LAGS, PART = 8, 0.5
#: px a frame between the speeds that are tried
STEP = 0.05
#: other maximum, as a part of the highest, above which a speed is a guess; and the highest, in spreads of all
SECOND, CLEAR = 0.85, 3.0
#: lengths of what is seen that things go by, below which the mean is not what stands still; more than in pictures,
#: which also have a length across the motion, that no mean makes shorter
LENGTHS = 6.0
#: parts of the time that an interval is drawn from, and draws
BLOCKS, DRAWS = 10, 500
#: steps along a line of the flow, px, their number at most, that of a line at least, and lines that are tried
ALONG, LONGEST, SHORT, SEEDS = 1.0, 400, 16, 60


@dataclass(frozen=True)
class Streak:
    """The speed along a line, with its 95 % interval, positive from its beginning to its end.

    Attributes:
        speed: in the units of what was given; None where it is not measured.
        speed_px: the same, points a frame.
        reason: why it is not.
    """

    speed: Interval | None
    speed_px: Interval | None
    reason: str | None


def draw_kymograph(movie: Movie, line: Values, width: int = 3) -> Values:
    """Brightness ``[T, L]`` on a line through points ``[K, 2]`` (y, x), px, one px apart, mean of ``width`` px.

    >>> movie = np.stack([np.eye(1, 20, 3 + t).repeat(9, 0) for t in range(4)])
    >>> draw_kymograph(movie, np.array([[4.0, 0.0], [4.0, 19.0]])).argmax(1)
    array([3, 4, 5, 6])
    """
    from scipy.ndimage import map_coordinates

    length = np.append(0, np.hypot(*np.diff(line, axis=0).T).cumsum())
    along = np.arange(0, length[-1] + 1e-9)
    y, x = (np.interp(along, length, line[:, k]) for k in (0, 1))
    ahead = np.gradient(np.stack([y, x]), axis=1)
    across = np.stack([ahead[1], -ahead[0]]) / np.maximum(np.hypot(*ahead), 1e-12)
    offsets = np.arange(width) - (width - 1) / 2
    at = np.stack([y, x])[:, None] + offsets[:, None] * across[:, None]
    return np.stack([map_coordinates(frame, at, order=1, mode="nearest").mean(0) for frame in movie])


def measure_streaks(kymograph: Values, spacing: float = 1.0, dt: float = 1.0, seed: int = 0) -> Streak:
    """Speed of what moves along a line, from its kymograph ``[T, L]``.

    v = argmax sum_{g=1..G} sum_t < k(t, s) k(t + g, s + v g) >_s

    The mean of each frame is taken off before. So is the mean over time of each point, which is what stands still,
    where the speed then explains more of the change; not where things go by less than six lengths of what is seen. A
    speed with a rival, as of regular things
    that go on by half of their distance or more, is a guess, and is not told. The interval is of parts of the time.

    Args:
        kymograph: ``[T, L]``, brightness.
        spacing: of points, µm.
        dt: from frame to frame, s.
        seed: of the draws of parts of the time.

    Source: line scans, Kleinfeld et al. (1998), PNAS 95:15741; by correlation, Kim et al. (2012), PLoS ONE 7:e38590.

    >>> rng = np.random.default_rng(0)
    >>> pattern = np.convolve(rng.standard_normal(300), np.ones(5), "same")
    >>> k = np.stack([np.interp(np.arange(100) - 1.7 * t + 100, np.arange(300), pattern) for t in range(40)])
    >>> round(measure_streaks(k, spacing=0.5, dt=0.1).speed[0], 1)
    8.5
    """
    frames, points = kymograph.shape
    if frames < 3 or points < 8:
        return Streak(None, None, f"{frames_read(frames)} and {points} points, at least 3 and 8 are needed")
    level = kymograph - kymograph.mean(1, keepdims=True)
    moving = level - level.mean(0)
    if moving.std() <= 1e-9 * np.abs(kymograph).max():
        return Streak(None, None, "still: nothing moves along the line")
    tries = [_try(seen, seed) for seen in (level, moving)]
    best = max(tries, key=lambda one: one.explained)
    if best.speed is None or best.explained < USELESS:
        return Streak(
            None, None, "no one speed: nothing goes on along the line, or it is aliased (regular and too fast)"
        )
    others = [one.speed[0] for one in tries if one.speed]
    agree = len(others) == 2 and abs(others[0] - others[1]) <= DISAGREE * abs(best.speed[0])
    goes = frames * abs(best.speed[0])
    if (
        not agree
        and goes < LENGTHS * best.length
        and (best is tries[1] or (len(others) == 2 and best.explained < MOST))
    ):
        return Streak(None, None, cannot_tell(goes, LENGTHS * best.length))
    scale = spacing / dt
    low, middle, high = best.speed[1], best.speed[0], best.speed[2]
    return Streak((middle * scale, low * scale, high * scale), best.speed, None)


@dataclass(frozen=True)
class _Try:
    """The speed in a kymograph that was prepared in one way, the part of the change that it explains, and lengths."""

    speed: Interval | None
    explained: float
    length: float


def _try(seen: Values, seed: int) -> _Try:
    frames, points = seen.shape
    length = texture_length(seen)
    lags = min(LAGS, frames - 1)
    farthest = PART * points
    speeds = np.arange(-farthest, farthest + STEP / 2, STEP)
    planes = [_lagged(seen, g, int(farthest)) for g in range(1, lags + 1)]
    blocks = min(BLOCKS, frames - lags)
    scores = np.stack([_score(planes, speeds, part) for part in np.array_split(np.arange(frames - 1), blocks)])
    total = scores.sum(0)
    best = int(total.argmax())
    crest = np.flatnonzero((total[1:-1] > total[:-2]) & (total[1:-1] >= total[2:])) + 1
    rivals = total[crest][np.abs(speeds[crest] - speeds[best]) > max(0.5, 0.2 * abs(speeds[best]))]
    if total[best] < CLEAR * total.std() or (len(rivals) and rivals.max() > SECOND * total[best]):
        return _Try(None, 0.0, length)
    draws = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), DRAWS) @ scores
    low, high = np.quantile(speeds[draws.argmax(1)], [0.025, 0.975])
    found = (_refine(speeds, total, best), float(low - STEP / 2), float(high + STEP / 2))
    return _Try(found, _explained(seen, found[0]), length)


def _explained(seen: Values, speed: float) -> float:
    """Part of the change from frame to frame that is gone when both are moved along."""
    at = np.arange(seen.shape[1])
    inside = (at >= abs(speed) / 2) & (at <= at[-1] - abs(speed) / 2)
    before = np.stack([np.interp(at - speed / 2, at, row)[inside] for row in seen[:-1]])
    after = np.stack([np.interp(at + speed / 2, at, row)[inside] for row in seen[1:]])
    change = ((seen[1:, inside] - seen[:-1, inside]) ** 2).sum()
    return float(1 - ((after - before) ** 2).sum() / max(change, 1e-300))


def follow_flow(field: Field) -> Values | None:
    """The longest line ``[K, 2]`` (y, x), px, along a field's flow within its valid windows; None where it is short.

    >>> grid = np.arange(8.0, 60, 8)
    >>> field = Field(grid, grid, np.tile([0.0, 1.0], (7, 7, 1)), np.ones((7, 7), bool), 16, 0.0)
    >>> follow_flow(field)[[0, -1], 1].round()
    array([ 8., 56.])
    """
    seeds = np.argwhere(field.valid)
    longest = np.zeros((0, 2))
    for row, column in seeds[:: max(1, len(seeds) // SEEDS)]:
        start = np.array([field.y[row], field.x[column]])
        back, onward = _walk(field, start, -1.0), _walk(field, start, 1.0)
        if len(back) + len(onward) + 1 > len(longest):
            longest = np.array([*back[::-1], start, *onward])
    return longest if len(longest) >= SHORT else None


def _walk(field: Field, at: Values, sign: float) -> list[Values]:
    """Places one step after the other along the flow, or against it."""
    found: list[Values] = []
    while len(found) < LONGEST and (ahead := _next(field, at, sign)) is not None:
        at = ahead
        found.append(at)
    return found


def _next(field: Field, at: Values, sign: float) -> Values | None:
    """The place one step along the flow; None beyond the windows, and where no vector is valid."""
    row, column = np.abs(field.y - at[0]).argmin(), np.abs(field.x - at[1]).argmin()
    if not field.valid[row, column]:
        return None
    vector = field.displacement[row, column]
    length = float(np.hypot(*vector))
    ahead = at + sign * ALONG * vector / length if length else at
    inside = field.y[0] <= ahead[0] <= field.y[-1] and field.x[0] <= ahead[1] <= field.x[-1]
    return ahead if length and inside else None


def _lagged(seen: Values, lag: int, farthest: int) -> Values:
    """Mean products ``[T - lag, 2 farthest + 1]`` of a frame and the one ``lag`` later, by shift."""
    points = seen.shape[1]
    shifts = range(-farthest, farthest + 1)
    parts = [
        (seen[:-lag, max(0, -s) : points - max(0, s)] * seen[lag:, max(0, s) : points - max(0, -s)]).mean(1)
        for s in shifts
    ]
    return np.stack(parts, 1)


def _score(planes: list[Values], speeds: Values, part: npt.NDArray[np.int64]) -> Values:
    total = np.zeros(len(speeds))
    for lag, plane in enumerate(planes, start=1):
        farthest = plane.shape[1] // 2
        rows = part[part < len(plane)]
        shift = speeds * lag
        total += np.interp(shift, np.arange(-farthest, farthest + 1), plane[rows].sum(0), left=0.0, right=0.0)
    return total


def _refine(speeds: Values, total: Values, best: int) -> float:
    if not 0 < best < len(speeds) - 1:
        return float(speeds[best])
    left, here, right = total[best - 1 : best + 2]
    bend = left - 2 * here + right
    return float(speeds[best] + (STEP * 0.5 * (left - right) / bend if bend < 0 else 0.0))
