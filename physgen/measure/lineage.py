"""Cells followed through a movie with their divisions: who is whose daughter, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from physgen.measure.cells import Labels, typical_radius
from physgen.measure.degenerate import degenerate, noise_level
from physgen.measure.linking import Numbers, assign, cheapest, close_gaps, join, scrambled
from physgen.measure.nuclei import segment_nuclei
from physgen.measure.spots import Movie, Values
from physgen.measure.unusable import why_unusable
from physgen.places import frames_read

#: how far a cell goes between two frames, and its daughters are from where it was, in radii of a cell
REACH, APART = 1.5, 2.5
#: area of the smaller daughter as a part of the larger one, and range of both together as parts of their mother
ALIKE, TOGETHER = 0.4, (0.4, 2.5)
#: frames that a cell is seen in at least, and that daughters are
SEEN, DAUGHTERS = 3, 3
#: how far the middle of daughters is from their mother's place, as a part of their distance: 1/2 where one has stayed
ASIDE = 0.35
#: frames within which two cells that had met part again, and how far one goes to be in the other, in radii of a cell
MET, INTO = 12, 1.0
#: distance to the nearest object of the next frame, as a part of that in a mirrored one, from which nothing is followed
CHANCE = 0.7
#: contrast of objects to what is around, in standard deviations of the noise, that cells have
CONTRAST = 4.0


@dataclass(frozen=True)
class Lineage:
    """Objects of all frames, cells and their mothers.

    Attributes:
        labels: ``[T, H, W]``, number of the cell of each pixel, from 1; 0 is what is around them.
        frame, cell: ``[N]``, of each object.
        y, x: ``[N]``, px, its middle; ``area`` ``[N]``, px², ``brightness`` ``[N]``, mean.
        mother: of each cell that was born in the movie.
        radius: px, of a typical cell.
        reason: why nothing is measured; None where it is.
    """

    labels: Labels
    frame: Numbers
    cell: Numbers
    y: Values
    x: Values
    area: Values
    brightness: Values
    mother: dict[int, int]
    radius: float
    reason: str | None = None

    @property
    def count(self) -> list[int]:
        """Number of cells in each frame; a cell that is not seen for a frame or two counts there too."""
        shown = [self.frame[self.cell == cell] for cell in self.cells]
        return [sum(bool(one.min() <= t <= one.max()) for one in shown) for t in range(len(self.labels))]

    @property
    def cells(self) -> list[int]:
        """Numbers of the cells."""
        return [int(cell) for cell in np.unique(self.cell)]

    @property
    def divisions(self) -> list[tuple[int, int, list[int]]]:
        """First frame of the daughters, mother and daughters of each division, in the order of time."""
        found = []
        for mother in sorted(set(self.mother.values())):
            daughters = [cell for cell, parent in self.mother.items() if parent == mother]
            found.append((min(int(self.frame[self.cell == cell].min()) for cell in daughters), mother, daughters))
        return sorted(found)


def measure_cells(movie: Movie) -> Lineage:
    """Find the bright cells of a movie ``[T, H, W]``, follow them, and find their divisions.

    Objects of each frame, see `segment_nuclei`, are linked from frame to frame where the sum of squared distances is
    least, gaps of up to two frames are closed, and what is seen for less than three frames is none. A cell that appears
    beside another one is its sister where both are alike in size, together as large as their mother was, and last; it
    is none where another cell went into that one up to 12 frames before: two that had met part again.

    Source: Jaqaman et al. (2008), Nature Methods 5:695; Magnusson et al. (2015), IEEE Trans. Med. Imaging 34:911.

    >>> y, x = np.mgrid[:40, :60]
    >>> def disc(row, column): return 1 / (1 + np.exp(np.hypot(y - row, x - column) - 6.0))
    >>> one, two = [disc(20, 30)] * 5, [np.maximum(disc(20, 22), disc(20, 38))] * 5
    >>> found = measure_cells(np.stack(one + two))
    >>> found.count, found.divisions
    ([1, 1, 1, 1, 1, 2, 2, 2, 2, 2], [(5, 1, [2, 3])])
    """
    movie = np.ascontiguousarray(movie, dtype=np.float64)
    if reason := why_unusable(movie):
        return _nothing(movie, reason)
    if degenerate(torch.from_numpy(movie)[None, None])[0] == "frozen":
        return _nothing(movie, "still: nothing changes by more than noise")
    radius = typical_radius(movie)
    labels = np.stack([segment_nuclei(frame, radius) for frame in movie])
    if not labels.any() or _contrast(movie, labels) < CONTRAST:
        return _nothing(movie, "no cells are seen")
    frame, index, y, x, area, brightness = _objects(movie, labels)
    places, frames = np.column_stack([y, x]), [np.flatnonzero(frame == t) for t in range(len(movie))]
    if scrambled(places, frames, np.zeros((len(frames) - 1, 2))) > CHANCE:
        return _nothing(movie, "aliased: in the next frame a cell is no nearer to itself than to others")
    following = -np.ones(len(frame), dtype=np.int64)
    for a, b in pairwise(frames):
        i, j = assign(places[a], places[b], REACH * radius)
        following[a[i]] = b[j]
    track = close_gaps(places, frame, join(following), REACH * radius)
    track = close_gaps(places, frame, track, APART * radius, gaps=(1, 1))  # to a daughter, if not to itself
    lasted = np.bincount(track, minlength=track.max() + 1)
    kept = lasted[track] >= min(SEEN, len(movie))
    frame, index, track = frame[kept], index[kept], track[kept]
    y, x, area, brightness = y[kept], x[kept], area[kept], brightness[kept]
    if not len(frame):
        return _nothing(movie, f"no cells are followed for {frames_read(SEEN)}")
    cell, mother = divide_tracks(frame, np.column_stack([y, x]), area, track, radius)
    numbered = np.zeros_like(labels)
    for t in range(len(movie)):
        here = frame == t
        names = np.zeros(labels[t].max() + 1, dtype=np.int64)
        names[index[here]] = cell[here]
        numbered[t] = names[labels[t]]
    return Lineage(numbered, frame, cell, y, x, area, brightness, mother, radius)


def divide_tracks(
    frame: Numbers, places: Values, area: Values, track: Numbers, radius: float
) -> tuple[Numbers, dict[int, int]]:
    """Number of the cell of each object ``[N]``, from 1, and mothers: a track is cut where a sister begins beside it.

    Args:
        frame: ``[N]``, of each object.
        places: ``[N, 2]``, px.
        area: ``[N]``, px²; the same for all where it is not known.
        track: ``[N]``, of each object; objects of a track are in the order of time, and go on in one of the daughters.
        radius: px, of a cell.

    >>> frame = np.array([0, 1, 2, 3, 4, 5, 3, 4, 5])
    >>> places = np.array([[0.0, 0], [0, 0], [0, 0], [0, -4], [0, -4], [0, -4], [0, 4], [0, 4], [0, 4]])
    >>> divide_tracks(frame, places, np.ones(9), np.array([0] * 6 + [1] * 3), radius=4.0)
    (array([1, 1, 1, 2, 2, 2, 3, 3, 3]), {2: 1, 3: 1})
    """
    rows, columns, costs = [], [], []
    begins = {int(name): np.flatnonzero(track == name) for name in np.unique(track)}
    parted = part_again(frame, places, begins, radius)
    for name, objects in begins.items():
        first = objects[0]
        start = int(frame[first])
        if start == 0 or len(objects) < DAUGHTERS or name in parted:
            continue
        for other, theirs in begins.items():
            before, after = theirs[frame[theirs] < start], theirs[frame[theirs] >= start]
            if other == name or not len(before) or len(after) < DAUGHTERS or start - frame[before[-1]] > SEEN:
                continue
            mother, sister = before[-1], after[0]
            far = float(np.hypot(*(places[first] - places[mother])))
            pair = sorted([float(area[first]), float(area[sister])])
            whole = sum(pair) / float(np.median(area[before[-SEEN:]]))
            middle = (places[first] + places[sister]) / 2 - places[mother]
            between = np.hypot(*middle) < ASIDE * np.hypot(*(places[first] - places[sister]))
            alike = pair[0] > ALIKE * pair[1] and TOGETHER[0] < whole < TOGETHER[1]
            if far < APART * radius and alike and between:
                rows.append(name)
                columns.append(int(mother))
                costs.append(far**2)
    born, split = cheapest(
        np.array(rows, np.int64), np.array(columns, np.int64), np.array(costs), (APART * radius) ** 2 * 2
    )
    pieces = {name: [objects] for name, objects in begins.items()}
    origin: dict[tuple[int, int], tuple[int, int]] = {}
    for daughter, dividing in sorted(
        zip(born.tolist(), split.tolist(), strict=True), key=lambda p: frame[begins[p[0]][0]]
    ):
        start, other = frame[begins[daughter][0]], int(track[dividing])
        last = pieces[other][-1]
        before, after = last[frame[last] < start], last[frame[last] >= start]
        lived = len(before) >= (DAUGHTERS if len(pieces[other]) > 1 or (other, 0) in origin else 1)
        if lived and len(after):
            pieces[other][-1:] = [before, after]
            mother = (other, len(pieces[other]) - 2)
            origin[other, len(pieces[other]) - 1] = origin[daughter, 0] = mother
    keys = sorted(((name, k) for name, parts in pieces.items() for k in range(len(parts))), key=lambda key: (
        frame[pieces[key[0]][key[1]][0]], key
    ))  # fmt: skip
    number = {key: position for position, key in enumerate(keys, start=1)}
    cell = np.zeros(len(frame), dtype=np.int64)
    for name, k in keys:
        cell[pieces[name][k]] = number[name, k]
    return cell, {number[daughter]: number[mother] for daughter, mother in sorted(origin.items())}


def part_again(frame: Numbers, places: Values, objects: dict[int, Numbers], radius: float) -> set[int]:
    """Tracks that begin beside one into which another had gone: each meeting explains one parting.

    >>> frame, x = np.array([0, 1, 2, 3, 0, 2, 3]), np.array([0.0, 1, 2, 3, 2, 1, 0])
    >>> tracks = {0: np.arange(4), 1: np.array([4]), 2: np.array([5, 6])}
    >>> part_again(frame, np.column_stack([x, 0 * x]), tracks, radius=1.2)
    {2}
    """
    there = {name: dict(zip(frame[own].tolist(), own.tolist(), strict=True)) for name, own in objects.items()}

    def beside(place: Values, before: int, at: int, other: int, near: float) -> bool:
        """Whether ``other`` is seen before and after the change, and near in frame ``at``."""
        seen = {before, before + 1} <= there[other].keys()
        return seen and bool(np.hypot(*(places[there[other][at]] - place)) < near)

    met: dict[int, list[int]] = {name: [] for name in objects}
    for own in objects.values():
        last = int(frame[own[-1]])
        for other in objects:
            if beside(places[own[-1]], last, last + 1, other, INTO * radius):
                met[other].append(last)
    parted = set()
    for name in sorted(objects, key=lambda name: frame[objects[name][0]]):
        start = int(frame[objects[name][0]])
        for other in objects:
            before = [t for t in met[other] if start - MET <= t + 1 < start]
            if before and beside(places[objects[name][0]], start - 1, start - 1, other, APART * radius):
                met[other].remove(before[-1])
                parted.add(name)
                break
    return parted


def _objects(movie: Movie, labels: Labels) -> tuple[Numbers, Numbers, Values, Values, Values, Values]:
    """Frame, label, row, column, area and mean of every object."""
    from skimage.measure import regionprops_table

    tables = []
    for t, (frame, numbered) in enumerate(zip(movie, labels, strict=True)):
        table = regionprops_table(numbered, frame, properties=("label", "centroid", "area", "mean_intensity"))
        columns = ("label", "centroid-0", "centroid-1", "area", "mean_intensity")
        tables.append(np.column_stack([np.full(len(table["label"]), t), *(table[name] for name in columns)]))
    frame, index, y, x, area, mean = np.concatenate(tables).T
    return frame.astype(np.int64), index.astype(np.int64), y, x, area, mean


def _contrast(movie: Movie, labels: Labels) -> float:
    """Brightness of objects above what is around, in standard deviations of the noise."""
    around = movie[labels == 0]
    noise = float(noise_level(torch.from_numpy(movie)[None])[0])
    above = float(np.median(movie[labels > 0]) - np.median(around)) if len(around) else 0.0
    return above / max(noise, 1e-9 * float(np.abs(movie).max()))


def _nothing(movie: Movie, reason: str) -> Lineage:
    none, values = np.zeros(0, np.int64), np.zeros(0)
    return Lineage(np.zeros(movie.shape, np.int64), none, none, values, values, values, values, {}, 0.0, reason)
