"""Objects in a field, found and followed from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, label, maximum_filter
from scipy.optimize import linear_sum_assignment

Array = npt.NDArray[np.float64]

#: sd of the smoothing in pixels, distance that a peak is the highest within, and farthest that it moves in a frame
SMOOTHING, APART, REACH = 2.0, 3, 4.0
#: height of a peak relative to the highest of the video, and of a component's edge relative to that of its frame
PEAK, EDGE = 0.25, 0.4
#: frames that an object lives at least
LIFE = 3


@dataclass
class Track:
    """One object: its first frame, and ``(y, x)`` and smoothed height in each frame from there on."""

    start: int
    places: list[Array] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Its last frame."""
        return self.start + len(self.places) - 1


def smoothed(frames: Array, periodic: bool) -> Array:
    """Frames ``[T, H, W]`` without what is smaller than an object."""
    return np.asarray(gaussian_filter(frames, (0, SMOOTHING, SMOOTHING), mode="wrap" if periodic else "nearest"))


def peaks(smooth: Array, threshold: float, periodic: bool) -> Array:
    """Highest points ``[N, 2]`` of one smoothed frame, between pixels by a parabola along each axis.

    >>> frame = np.zeros((16, 16)); frame[4, 4] = frame[4, 12] = 1.0
    >>> peaks(smoothed(frame[None], False)[0], 0.01, False).round(1).tolist()
    [[4.0, 4.0], [4.0, 12.0]]
    """
    top = maximum_filter(smooth, 2 * APART + 1, mode="wrap" if periodic else "nearest")
    found = np.argwhere((smooth == top) & (smooth > threshold))
    edge = np.pad(smooth, 1, mode="wrap" if periodic else "reflect")
    y, x = found.T + 1
    before = np.stack([edge[y - 1, x], edge[y, x - 1]], axis=1)
    after = np.stack([edge[y + 1, x], edge[y, x + 1]], axis=1)
    bend = before + after - 2 * edge[y, x][:, None]
    return np.asarray(found + 0.5 * (before - after) / np.minimum(bend, -1e-12))


def value_at(frame: Array, place: Array) -> float:
    """Value of the pixel nearest to a place."""
    y, x = np.rint(place).astype(int) % frame.shape
    return float(frame[y, x])


def offsets(start: Array, stop: Array, shape: tuple[int, ...], periodic: bool) -> Array:
    """Vectors ``[N, M, 2]`` from places ``[N, 2]`` to places ``[M, 2]``, the short way round where periodic."""
    step = (stop[None] - start[:, None]).astype(float)
    size = np.array(shape, dtype=float)
    return (step + size / 2) % size - size / 2 if periodic else step


def follow(frames: Array, periodic: bool) -> tuple[list[Track], Array]:
    """Tracks of the objects in a field ``[T, H, W]``, and the smoothed field.

    Peaks of successive frames are matched so that the sum of distances is smallest, up to `REACH` pixels each.

    Source: Jaqaman et al. (2008), Nature Methods 5:695, without its closing of gaps.

    >>> x = np.arange(32.0)
    >>> moving = np.exp(-((x - 8 - np.arange(6.0)[:, None, None]) ** 2 + (x[:, None] - 16) ** 2) / 8)
    >>> tracks, _ = follow(moving, False)
    >>> [(track.start, track.end, track.places[-1].round().tolist()) for track in tracks]
    [(0, 5, [16.0, 13.0])]
    """
    smooth = smoothed(frames, periodic)
    threshold = PEAK * float(smooth.max())
    done: list[Track] = []
    alive: list[Track] = []
    for t, frame in enumerate(smooth):
        found = peaks(frame, threshold, periodic)
        if alive and len(found):
            step = offsets(np.array([track.places[-1] for track in alive]), found, frame.shape, periodic)
            distance = np.hypot(*np.moveaxis(step, 2, 0))
            rows, columns = linear_sum_assignment(np.minimum(distance, 2 * REACH))
            pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if distance[r, c] <= REACH]
        else:
            pairs = []
        linked = {c: alive[r] for r, c in pairs}
        lost = set(range(len(alive))) - {r for r, _ in pairs}
        done += [alive[r] for r in lost]
        alive = [linked.get(i) or Track(t) for i in range(len(found))]
        for track, place in zip(alive, found, strict=True):
            track.places.append(place)
            track.heights.append(value_at(frame, place))
    return done + alive, smooth


def components(frame: Array) -> list[npt.NDArray[np.bool_]]:
    """Masks of the connected parts of one smoothed frame above `EDGE` of its highest value, the largest first.

    Without those that have not a tenth of the pixels of the largest.
    """
    labels, count = label(frame > EDGE * frame.max())
    masks = [np.asarray(labels == i) for i in range(1, count + 1)]
    largest = max((int(mask.sum()) for mask in masks), default=0)
    return sorted((mask for mask in masks if 10 * mask.sum() >= largest), key=lambda mask: -int(mask.sum()))
