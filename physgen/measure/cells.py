"""Cells of a movie, one by one: segmented in each frame, followed from frame to frame, cropped."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from physgen.measure.degenerate import degenerate

Movie = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: blur before objects are told from what is around them and from each other, in radii of an object
BLUR = 0.4
#: distance of the seeds of two objects, and reach of a cell into the next frame, in radii of an object
APART, REACH = 0.9, 1.5
#: objects that are smaller than this part of a disc of the typical radius are none
SMALLEST = 0.2
#: frames that daughters are followed together; longer, they are cells of their own
TOGETHER = 5
#: frames that show daughters where a division is seen
DAUGHTERS = 2
#: distance from a cell up to which its crop shows, and over which it fades, in radii of an object
MARGIN, FADE = 0.3, 0.1
#: frames in which objects are counted, and radii that they are counted with: chromosomes of one cell are one object
COUNTED, BROADER = 9, 2.0
#: part of the brightness of the largest object, below which a piece is a part of a cell
PIECE = 0.3
#: quantile of a frame that is its background
DARK = 0.2


@dataclass(frozen=True)
class Cell:
    """One cell followed through a movie; after its division the daughters together, for a while.

    Attributes:
        start: first frame that shows it.
        centres: row and column of its middle in each frame, pixels.
        pieces: number of objects that it is in each frame: 1, after its division 2.
        crop: the cell alone ``[T, H, W]``, above the background, 0 elsewhere.
        at_edge: share of its frames in which it touches the edge of the movie.
    """

    start: int
    centres: list[tuple[float, float]]
    pieces: list[int]
    crop: Movie
    at_edge: float

    @property
    def divides(self) -> bool:
        """Whether it is one object at one end of the time and several at the other, for two frames or more."""
        first, last = self.pieces[:DAUGHTERS], self.pieces[-DAUGHTERS:]
        return (self.pieces[0] == 1 and min(last) > 1) or (min(first) > 1 and self.pieces[-1] == 1)


def find_cells(movie: npt.NDArray, least: int = 6) -> list[Cell]:
    """Every bright cell of a movie ``[T, H, W]`` that is followed for at least ``least`` frames; none in noise.

    They are followed forward in time, and those that fuse backward, so that a reversed movie shows the same divisions.

    >>> y, x = np.mgrid[:40, :60]
    >>> frame = np.exp(-((y - 20) ** 2 + (x - 15) ** 2) / 50) + np.exp(-((y - 20) ** 2 + (x - 45) ** 2) / 50)
    >>> cells = find_cells(np.stack([frame * (1 + t) for t in range(8)]))
    >>> [(cell.start, [round(c) for c in cell.centres[0]], cell.crop.shape, cell.at_edge) for cell in cells]
    [(0, [20, 15], (8, 29, 29), 0.0), (0, [20, 45], (8, 29, 29), 0.0)]
    """
    movie = np.ascontiguousarray(movie, dtype=np.float64)
    if degenerate(torch.from_numpy(movie)[None, None])[0] in ("empty", "uniform"):
        return []
    radius = typical_radius(movie)
    objects = np.stack([segment(frame, radius) for frame in movie])
    onward, back = follow(objects, REACH * radius), follow(objects[::-1], REACH * radius)[::-1]
    found = [_cropped(movie, objects, onward == index, onward, radius) for index in range(1, onward.max() + 1)]
    divided = [index for index, cell in enumerate(found, start=1) if cell.divides and len(cell.crop) >= least]
    taken = np.isin(onward, divided)
    for index in range(1, back.max() + 1):
        fused = back == index
        if not (fused & taken).any() and (cell := _cropped(movie, objects, fused, back, radius)).divides:
            found.append(cell)
    return [cell for cell in found if len(cell.crop) >= least]


def count_objects(movie: Movie) -> list[int]:
    """Number of bright objects that stand apart in at most nine frames of a movie ``[T, H, W]``, equally spaced.

    Pieces with less than `PIECE` of the brightness of the largest object do not count: they are parts of a cell.

    >>> y, x = np.mgrid[:40, :60]
    >>> frame = np.exp(-((y - 20) ** 2 + (x - 15) ** 2) / 50) + np.exp(-((y - 20) ** 2 + (x - 45) ** 2) / 50)
    >>> count_objects(np.stack([frame, frame]))
    [2, 2]
    """
    taken = np.linspace(0, len(movie) - 1, min(COUNTED, len(movie))).round().astype(int)
    radius = BROADER * typical_radius(movie[taken])
    return [_count(frame, segment(frame, radius)) for frame in movie[taken]]


def _count(frame: Movie, labels: Labels) -> int:
    above = (frame - frame.min()).ravel()
    brightness = np.bincount(labels.ravel(), above)[1:]
    return int((brightness >= PIECE * brightness.max()).sum()) if len(brightness) else 0


def typical_radius(movie: Movie) -> float:
    """Radius, in pixels, of the discs that fit into the bright objects of a movie: the upper quartile over frames.

    >>> y, x = np.mgrid[:40, :40]
    >>> abs(typical_radius(1.0 * (np.hypot(y - 20, x - 20) < 8)[None]) - 8) < 1
    True
    """
    from scipy.ndimage import distance_transform_edt
    from skimage.feature import peak_local_max

    radii: list[float] = []
    for frame in movie:
        inside = distance_transform_edt(_bright(frame, 1.0)[0])
        peaks = peak_local_max(inside, min_distance=3, exclude_border=False)
        radii += list(inside[tuple(peaks.T)])
    return float(np.quantile(radii, 0.75)) if radii else 1.0


def segment(frame: Movie, radius: float) -> Labels:
    """Objects of a frame ``[H, W]`` that are about so large in pixels, numbered from 1; 0 is what is around them.

    The brightest points of the blurred frame are seeds; what is above the threshold is divided among them by a
    watershed.

    Source: threshold, Otsu (1979), IEEE Trans. Syst. Man Cybern. 9:62; watershed, Meyer (1994), Signal Processing
        38:113.

    >>> y, x = np.mgrid[:40, :40]
    >>> touching = (np.hypot(y - 20, x - 12) < 8) | (np.hypot(y - 20, x - 27) < 8)
    >>> int(segment(1.0 * touching, radius=8.0).max())
    2
    """
    from skimage.feature import peak_local_max
    from skimage.segmentation import relabel_sequential, watershed

    mask, blurred = _bright(frame, BLUR * radius)
    peaks = peak_local_max(blurred, min_distance=max(1, round(APART * radius)), labels=mask, exclude_border=False)
    seeds = np.zeros(frame.shape, dtype=np.int64)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-blurred, seeds, mask=mask)
    sizes = np.bincount(labels.ravel())
    labels[sizes[labels] < SMALLEST * np.pi * radius**2] = 0
    return relabel_sequential(labels)[0].astype(np.int64)


def follow(labels: Labels, reach: float) -> Labels:
    """Numbers of cells ``[T, H, W]`` in place of the numbers of objects in each frame.

    An object is the cell that it overlaps most in the frame before, otherwise the nearest one within ``reach`` pixels,
    otherwise a new one. Two objects may be one cell: its daughters, which become new cells after 5 frames.

    >>> labels = np.zeros((3, 1, 6), dtype=np.int64)
    >>> labels[0, 0, 2:4], labels[1, 0, 1:4], labels[2, 0, 1], labels[2, 0, 3] = 1, 1, 1, 2
    >>> follow(labels, reach=1.0)[:, 0].tolist()
    [[0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 0, 1, 0, 0]]
    """
    cells = np.zeros_like(labels)
    cells[0] = labels[0]
    newest = int(labels[0].max())
    divided: dict[int, int] = defaultdict(int)
    for before, now, objects in zip(cells, cells[1:], labels[1:], strict=False):
        pieces: dict[int, list[Labels]] = defaultdict(list)
        for index in range(1, objects.max() + 1):
            mask = objects == index
            pieces[_before(before, mask, reach)].append(mask)
        for cell, masks in pieces.items():
            divided[cell] = divided[cell] + 1 if len(masks) > 1 else 0
            alone = cell == 0 or divided[cell] > TOGETHER
            for mask in masks:
                newest += alone
                now[mask] = newest if alone else cell
    return cells


def _before(before: Labels, mask: npt.NDArray[np.bool_], reach: float) -> int:
    """The cell that an object was in the frame before; 0 for none."""
    from scipy.ndimage import distance_transform_edt

    overlap = np.bincount(before[mask])[1:]
    if overlap.sum():
        return int(overlap.argmax()) + 1
    if not before.any():
        return 0
    distance, nearest = distance_transform_edt(before == 0, return_indices=True)
    closest = np.unravel_index(np.where(mask, distance, np.inf).argmin(), mask.shape)
    return int(before[tuple(nearest[:, *closest])]) if distance[closest] <= reach else 0


def _cropped(movie: Movie, objects: Labels, cell: npt.NDArray[np.bool_], cells: Labels, radius: float) -> Cell:
    """One cell in a square that holds it in every frame."""
    shown = np.flatnonzero(cell.any((1, 2)))
    start, stop = int(shown[0]), int(shown[-1]) + 1
    masks, frames = cell[start:stop], movie[start:stop]
    places = [np.argwhere(mask) for mask in masks]
    centres = [(place.min(0) + place.max(0)) / 2 for place in places]
    reach = max(np.abs(place - centre).max() for place, centre in zip(places, centres, strict=True))
    half = int(np.ceil(reach + (MARGIN + 4 * FADE) * radius))
    crops = []
    for frame, mask, around, centre in zip(frames, masks, cells[start:stop], centres, strict=True):
        weight = _weight(mask, (around > 0) & ~mask, radius)
        alone = np.pad(np.maximum(frame - np.quantile(frame, DARK), 0) * weight, half)
        y, x = (round(float(c)) for c in centre)
        crops.append(alone[y : y + 2 * half + 1, x : x + 2 * half + 1])
    return Cell(
        start=start,
        centres=[(float(y), float(x)) for y, x in centres],
        pieces=[len(np.unique(part[mask])) for part, mask in zip(objects[start:stop], masks, strict=True)],
        crop=np.stack(crops),
        at_edge=float((masks[:, [0, -1]].any((1, 2)) | masks[:, :, [0, -1]].any((1, 2))).mean()),
    )


def _weight(mask: npt.NDArray[np.bool_], others: npt.NDArray[np.bool_], radius: float) -> Movie:
    """1 in a cell and near it, fading to 0; 0 where another cell is nearer."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(~mask)
    nearer = distance < distance_transform_edt(~others) if others.any() else True
    beyond = np.maximum(distance - MARGIN * radius, 0) / (FADE * radius)
    return np.exp(-np.square(beyond) / 2) * nearer


def _bright(frame: Movie, blur: float) -> tuple[npt.NDArray[np.bool_], Movie]:
    """What is brighter than the threshold of the blurred frame, and that frame."""
    from skimage.filters import gaussian, threshold_otsu

    blurred = gaussian(frame, blur)
    return blurred > threshold_otsu(blurred), blurred
