"""Spots linked to tracks: assignment of least cost, a reach that follows the motion, gaps closed, drift known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from physgen.measure.spots import Spots, Values

Numbers = npt.NDArray[np.int64]
Pairs = tuple[Numbers, Numbers]

#: standard deviations of a step, along one axis, that a spot may go from frame to frame
REACH = 5.0
#: parts of the distance between spots that are the reach at first, and at most
FIRST, MOST = 0.5, 1.0
#: rounds in which reach and drift are found
ROUNDS = 4
#: frames from the last one before a gap to the first one after it, at most
GAP = 3
#: quantiles of squared steps in a plane, each of which tells a variance along one axis; the larger one counts
QUANTILES = (0.75, 0.95)
#: places that a frame has where it is compared with its mirror image
MIRRORED = 4
#: links between two frames from which their drift is read
FEWEST = 5


@dataclass(frozen=True)
class Links:
    """Spots with the numbers of their tracks.

    Attributes:
        spots: that were linked.
        track: ``[N]``, number of the track of each spot, from 0; spots that were linked to none are tracks of one.
        reach: px from frame to frame, beside the drift.
        step: px, standard deviation of a step along one axis, beside the drift.
        drift: ``[T - 1, 2]``, px along y and x: the mean step from each frame to the next.
        scrambled: median distance to the nearest spot of the next frame, as a part of that in a mirrored next frame:
            about 1 where spots cannot be followed, 0 of fewer than four.
    """

    spots: Spots
    track: Numbers
    reach: float
    step: float
    drift: Values
    scrambled: float

    def tracks(self, least: int = 2) -> list[Numbers]:
        """Indices of the spots of each track of at least so many spots, in the order of time."""
        order = np.argsort(self.track, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.track[order])) + 1)
        return [part for part in parts if len(part) >= least]


def link_spots(spots: Spots) -> Links:
    """Link the spots of a movie to tracks.

    Between two frames the sum of squared distances, and of reach² for each spot that begins or ends, is least. The
    reach is 5 standard deviations of the steps found, and at most the distance between spots; steps are counted from
    the mean step of all. Ends and beginnings of tracks that are up to three frames apart are linked alike.

    Source: Jaqaman et al. (2008), Nature Methods 5:695; Crocker and Grier (1996), J. Colloid Interface Sci. 179:298.

    >>> y, x = np.mgrid[:32, :64]
    >>> ys, xs = [16, 12, 20], [20, 30, 40]
    >>> def frame(t): return sum(np.exp(-((y - b) ** 2 + (x - a - t) ** 2) / 8) for b, a in zip(ys, xs))
    >>> movie = np.stack([frame(t) for t in range(5)])
    >>> from physgen.measure.spots import find_spots
    >>> [len(track) for track in link_spots(find_spots(movie)).tracks()]
    [5, 5, 5]
    """
    places = np.column_stack([spots.y, spots.x]) if len(spots) else np.zeros((0, 2))
    frames = [np.arange(len(spots))[spots.of_frame(t)] for t in range(spots.frames)]
    spacing = spots.spacing()
    limit = spacing if np.isfinite(spacing) else REACH * 4 * spots.scale
    reach, drift, step = FIRST * limit, np.zeros((max(spots.frames - 1, 0), 2)), 0.0
    links: list[Pairs] = []
    for _ in range(ROUNDS):
        links = [
            assign(places[a] + shift, places[b], reach) for a, b, shift in zip(frames, frames[1:], drift, strict=False)
        ]
        steps = [places[b[j]] - places[a[i]] for a, b, (i, j) in zip(frames, frames[1:], links, strict=False)]
        drift = _drift(steps)
        beside = np.concatenate([np.zeros((0, 2)), *(s - d for s, d in zip(steps, drift, strict=True))])
        if not len(beside):
            break
        step = typical_step(beside)
        reach = float(np.clip(REACH * step, min(spots.scale, MOST * limit), MOST * limit))
    chance = scrambled(places, frames, drift)
    following = -np.ones(len(spots), dtype=np.int64)
    for a, b, (i, j) in zip(frames, frames[1:], links, strict=False):
        following[a[i]] = b[j]
    track = join(following)
    moved = np.vstack([np.zeros((1, 2)), drift.cumsum(0)])
    if len(spots):
        track = close_gaps(places - moved[spots.frame], spots.frame, track, reach)
    return Links(spots, track, reach, step, drift, chance)


def assign(before: Values, after: Values, reach: float) -> Pairs:
    """Indices of places ``[N, 2]`` and ``[M, 2]`` that are linked: the cost, reach² of two loose ends, is least.

    >>> assign(np.array([[0.0, 0.0], [5.0, 0.0]]), np.array([[4.0, 0.0], [1.0, 0.0], [20.0, 0.0]]), reach=2.0)
    (array([0, 1]), array([1, 0]))
    """
    from scipy.spatial import cKDTree

    if not len(before) or not len(after):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    near = cKDTree(before).sparse_distance_matrix(cKDTree(after), reach, output_type="coo_matrix")
    return cheapest(near.row.astype(np.int64), near.col.astype(np.int64), near.data**2, reach**2)


def cheapest(rows: Numbers, columns: Numbers, costs: Values, alone: float) -> Pairs:
    """Of possible links those that cost least, where an end that is not linked costs ``alone`` / 2.

    >>> cheapest(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1.0, 2.0, 4.0]), alone=9.0)
    (array([0, 1]), array([1, 0]))
    """
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(rows):
        return rows, columns
    sources, i = np.unique(rows, return_inverse=True)
    targets, j = np.unique(columns, return_inverse=True)
    n, m, tiny = len(sources), len(targets), 1e-9 * alone
    first, second = np.arange(n), np.arange(m)
    data = np.concatenate([costs + tiny, np.full(n + m, alone / 2 + tiny), np.full(len(i), tiny)])
    row = np.concatenate([i, first, n + second, n + j])
    column = np.concatenate([j, m + first, second, m + i])
    matrix = csr_array(coo_array((data, (row, column)), shape=(n + m, n + m)))
    one, other = min_weight_full_bipartite_matching(matrix)
    real = (one < n) & (other < m)
    return sources[one[real]], targets[other[real]]


def typical_step(steps: Values) -> float:
    """Standard deviation along one axis of steps ``[N, 2]``, or that of their faster part where some are faster.

    s² = max_q Q_q(|d|²) / (-2 ln(1 - q)) over the quantiles q = 0.75 and 0.95: both are s² where all steps are alike.

    >>> steps = np.random.default_rng(0).normal(size=(4000, 2))
    >>> round(typical_step(steps), 1), typical_step(np.vstack([0.05 * steps, steps[:1000]])) > 0.6
    (1.0, True)
    """
    squares = np.quantile((steps**2).sum(1), QUANTILES)
    return float(np.sqrt((squares / (-2 * np.log1p(-np.array(QUANTILES)))).max()))


def _drift(steps: Sequence[Values]) -> Values:
    """Mean step ``[T - 1, 2]`` between two frames; 0 where few were linked."""
    return np.array([s.mean(0) if len(s) >= FEWEST else (0.0, 0.0) for s in steps]).reshape(-1, 2)


def scrambled(places: Values, frames: Sequence[Numbers], drift: Values) -> float:
    """Median distance of places to the nearest one of the next frame, as a part of that in a mirrored next frame.

    About 1 where nothing can be followed; 0 where no frame has four: fewer may be their own mirror image.

    >>> here = 100 * np.random.default_rng(0).random((40, 2))
    >>> scrambled(np.vstack([here, here + 0.5]), [np.arange(40), np.arange(40, 80)], np.zeros((1, 2))) < 0.3
    True
    """
    from scipy.spatial import cKDTree

    true, chance = [np.zeros(0)], [np.zeros((0, 2))]
    for a, b, shift in zip(frames, frames[1:], drift, strict=False):
        if min(len(a), len(b)) >= MIRRORED:
            here, there = places[a] + shift, places[b]
            mirrored = [np.where(axis == np.arange(2), there.min(0) + there.max(0) - there, there) for axis in (0, 1)]
            true.append(cKDTree(there).query(here)[0])
            chance.append(np.column_stack([cKDTree(one).query(here)[0] for one in mirrored]))
    if len(true) == 1:
        return 0.0
    expected = float(np.median(np.concatenate(chance), 0).max())
    return float(np.median(np.concatenate(true))) / expected if expected > 0 else 1.0


def join(following: Numbers) -> Numbers:
    """Track of each spot, from the next spot of each; -1 for none.

    >>> join(np.array([2, -1, -1]))
    array([0, 1, 0])
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, linked = len(following), np.flatnonzero(following >= 0)
    graph = coo_array((np.ones(len(linked)), (linked, following[linked])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64) if n else following


def close_gaps(
    places: Values, frame: Numbers, track: Numbers, reach: float, gaps: tuple[int, int] = (2, GAP)
) -> Numbers:
    """Numbers of tracks, those that end and others that begin so many frames later, near by, made one.

    >>> places = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    >>> close_gaps(places, np.array([0, 1, 3]), np.array([0, 0, 1]), reach=1.5)
    array([0, 0, 0])
    """
    from scipy.spatial import cKDTree

    order = np.lexsort([frame, track])
    last = order[np.append(np.flatnonzero(np.diff(track[order])), len(order) - 1)]
    first = order[np.append(0, np.flatnonzero(np.diff(track[order])) + 1)]
    farthest = reach * np.sqrt(gaps[1])
    near = cKDTree(places[last]).sparse_distance_matrix(cKDTree(places[first]), farthest, output_type="coo_matrix")
    gap = frame[first[near.col]] - frame[last[near.row]]
    scaled = near.data**2 / np.maximum(gap, 1)
    possible = (gap >= gaps[0]) & (gap <= gaps[1]) & (scaled <= reach**2)
    ends, begins = cheapest(
        near.row[possible].astype(np.int64), near.col[possible].astype(np.int64), scaled[possible], reach**2
    )
    following = -np.ones(len(last), dtype=np.int64)
    following[track[last[ends]]] = track[first[begins]]
    return join(following)[track]
