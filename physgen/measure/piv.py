"""Velocity fields: windows of frames correlated with the next, each pass on frames that the last one has aligned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from physgen.measure.smoothing import smooth

Movie = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

#: sides of the windows of the passes, px, the last as often as is written; the last is used only where it finds enough
WINDOWS = (64, 32, 32, 16, 16)
#: part of the vectors that stand the test in the first windows that must do so in smaller ones
ENOUGH = 0.9
#: noise of displacements, px, and deviations from the neighbours' median that an outlier has
NOISE, OUTLIER = 0.1, 2.0
#: height of the second peak as a part of the first, above which a displacement is a guess
SECOND = 0.8
#: contrast of a window, as a part of that of the brightest ones, below which nothing is seen in it
CONTRAST = 0.1


@dataclass(frozen=True)
class Field:
    """Displacements of windows from a frame to the next, px.

    Attributes:
        y, x: ``[N]`` and ``[M]``, px, middles of the windows.
        displacement: ``[N, M, 2]`` along y (down) and x.
        valid: ``[N, M]``, whether something is seen and found there; elsewhere the neighbours' median stands.
        window: px, side of the last windows.
        second: median height of the second peak of the correlation as a part of the first, of the first pass.
    """

    y: Values
    x: Values
    displacement: Values
    valid: npt.NDArray[np.bool_]
    window: int
    second: float


def correlate_windows(before: Movie, after: Movie) -> Field:
    """Displacements between frames ``[P, H, W]`` and the next ones, for all P pairs together.

    Windows of 64, 32 and 16 px, at most a third of the frame, overlap by half. Each pass shifts the frames by half of
    what is known, forward and back, and correlates what remains; peaks are located by a Gaussian through three points.
    A vector that is not like its neighbours' median is replaced by that. Smaller windows are left out where too few of
    their vectors stand. The last field is smoothed, see `smooth`.

    Source: Scarano (2002), Meas. Sci. Technol. 13:R1; the test, Westerweel and Scarano (2005), Exp. Fluids 39:1096;
        pairs together, Meinhart, Wereley and Santiago (2000), J. Fluids Eng. 122:285.

    >>> from scipy.ndimage import gaussian_filter, shift
    >>> frame = gaussian_filter(np.random.default_rng(0).random((96, 128)), 1.5)
    >>> field = correlate_windows(frame[None], shift(frame, (1.3, -2.6), mode="wrap")[None])
    >>> np.median(field.displacement[field.valid], 0).round(1)
    array([ 1.3, -2.6])
    """
    side = min(before.shape[1:])
    windows = [w for w in WINDOWS if w <= side / 3] or [max(8, side // 4 * 2)]
    field = _pass(before, after, windows[0], None)
    first = _stood(before, field)
    for window in windows[1:]:
        found = _pass(before, after, window, field)
        if window < field.window and _stood(before, found) < ENOUGH * first:
            break
        field = found
    return replace(field, displacement=smooth(field.displacement, field.valid))


def _pass(before: Movie, after: Movie, window: int, known: Field | None) -> Field:
    height, width = before.shape[1:]
    y, x = (np.arange((window - 1) / 2, size - window / 2, window / 2) for size in (height, width))
    guess = np.zeros((len(y), len(x), 2)) if known is None else interpolate(known, y, x)
    if known is not None:
        dense = interpolate(known, np.arange(float(height)), np.arange(float(width)))
        before, after = warp(before, -dense / 2), warp(after, dense / 2)
    plane = _correlation(before, after, window)
    shift, second = find_peaks(plane)
    displacement = guess + shift
    seen = _contrast(before, window)
    near = np.abs(shift).max(-1) <= window / (2 if known is None else 4)
    valid = seen & near & (second < SECOND)
    for _ in range(2):
        outlier, middle = median_test(displacement, valid)
        valid &= ~outlier
        displacement = np.where(valid[..., None], displacement, middle)
    return Field(
        y,
        x,
        displacement,
        valid,
        window,
        known.second if known else float(np.median(second[seen])) if seen.any() else 1.0,
    )


def _tiles(frames: Movie, window: int) -> Values:
    """Windows ``[P, N, M, w, w]`` that overlap by half."""
    half = window // 2
    return np.lib.stride_tricks.sliding_window_view(frames, (window, window), axis=(1, 2))[:, ::half, ::half]


def _correlation(before: Movie, after: Movie, window: int) -> Values:
    """Normalised cross-correlation ``[N, M, w, w]``, displacement 0 in the middle, summed over pairs."""
    total: Values | None = None
    taper = np.hanning(window + 2)[1:-1]
    weight = np.sqrt(taper[:, None] * taper)
    for a, b in zip(before, after, strict=True):
        pair = []
        for frame in (a, b):
            tiles = _tiles(frame[None], window)[0]
            mean = (tiles * weight).mean((-2, -1), keepdims=True) / weight.mean()
            pair.append(np.fft.rfft2((tiles - mean) * weight, s=(2 * window, 2 * window)))
        plane = np.fft.irfft2(pair[0].conj() * pair[1], s=(2 * window, 2 * window))
        total = plane if total is None else total + plane
    assert total is not None
    centred = np.fft.fftshift(total, axes=(-2, -1))
    cut = slice(window // 2, window + window // 2 + 1)
    lags = np.arange(-(window // 2), window // 2 + 1)
    overlap = np.correlate(np.pad(taper, window), taper, "valid")[window + lags]
    return centred[..., cut, cut] / np.sqrt(np.maximum(overlap[:, None] * overlap, 1e-3 * overlap.max() ** 2))


def find_peaks(planes: Values) -> tuple[Values, Values]:
    """Sub-pixel place ``[..., 2]`` of the highest point of planes ``[..., h, w]``, and the second peak's height.

    Places are counted from the middle. The second peak is the highest other local maximum, three pixels or more away;
    its height is a part of the first's.

    Source: Gaussian through three points, Willert and Gharib (1991), Exp. Fluids 10:181.

    >>> y, x = np.mgrid[-8:9, -8:9]
    >>> place, second = find_peaks(np.exp(-((y - 1.3) ** 2 + (x + 2.2) ** 2) / 8)[None])
    >>> place.round(2)
    array([[ 1.3, -2.2]])
    """
    *shape, height, width = planes.shape
    flat = planes.reshape(-1, height, width)
    index = np.arange(len(flat))
    row, column = np.unravel_index(flat[:, 1:-1, 1:-1].reshape(len(flat), -1).argmax(1), (height - 2, width - 2))
    row, column = row + 1, column + 1
    top = flat[index, row, column]
    place = []
    for line, at, middle in (
        ([flat[index, row + d, column] for d in (-1, 0, 1)], row, height // 2),
        ([flat[index, row, column + d] for d in (-1, 0, 1)], column, width // 2),
    ):
        left, here, right = (np.log(np.maximum(value, 1e-6 * np.abs(top) + 1e-300)) for value in line)
        bend = 2 * left - 4 * here + 2 * right
        place.append(at - middle + np.divide(left - right, bend, out=np.zeros_like(bend), where=bend < 0).clip(-1, 1))
    inner = flat[:, 1:-1, 1:-1]
    around = [flat[:, i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    crest = np.all([inner >= one for one in around], axis=0)
    apart = np.maximum(
        np.abs(np.arange(1, height - 1) - row[:, None])[:, :, None],
        np.abs(np.arange(1, width - 1) - column[:, None])[:, None, :],
    )
    other = np.where(crest & (apart > 2), inner, 0).max((1, 2))
    second = np.divide(other, top, out=np.ones_like(top), where=top > 0)
    return np.stack(place, -1).reshape(*shape, 2), second.reshape(shape)


def median_test(displacement: Values, valid: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], Values]:
    """Valid vectors ``[N, M, 2]`` that differ from the median of their valid neighbours, and that median.

    r = |u - median| / (median |u_i - median| + 0.1 px) is above 2 in outliers. Where no neighbour is valid the median
    is that of the nearest vector that has one.

    Source: Westerweel and Scarano (2005), Exp. Fluids 39:1096.

    >>> field = np.zeros((5, 5, 2))
    >>> field[2, 2] = 3.0
    >>> outlier, middle = median_test(field, np.ones((5, 5), bool))
    >>> np.argwhere(outlier), middle[2, 2]
    (array([[2, 2]]), array([0., 0.]))
    """
    from scipy.ndimage import distance_transform_edt

    known = np.pad(np.where(valid[..., None], displacement, np.nan), ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(known, (3, 3), axis=(0, 1)).reshape(*displacement.shape, 9)
    around = np.delete(around, 4, axis=-1)
    alone = np.isnan(around).all((-2, -1))
    around[alone] = 0.0
    middle = np.nanmedian(around, -1)
    spread = np.nanmedian(np.abs(around - middle[..., None]), -1)
    if alone.any() and not alone.all():
        nearest = distance_transform_edt(alone, return_distances=False, return_indices=True)
        middle = middle[tuple(nearest)]
    outlier = np.hypot(*np.moveaxis((displacement - middle) / (spread + NOISE), -1, 0)) > OUTLIER
    return outlier & valid, middle


def warp(frames: Movie, displacement: Values) -> Movie:
    """Frames ``[P, H, W]`` read at each pixel plus its displacement ``[H, W, 2]``, by cubic splines.

    >>> frame = np.arange(64.0).reshape(1, 8, 8)
    >>> float(warp(frame, np.full((8, 8, 2), [0.0, 0.5]))[0, 3, 3].round(2))
    27.5
    """
    from scipy.ndimage import map_coordinates

    at = np.moveaxis(displacement, -1, 0) + np.indices(frames.shape[1:])
    return np.stack([map_coordinates(frame, at, order=3, mode="nearest") for frame in frames])


def interpolate(field: Field, y: Values, x: Values) -> Values:
    """Displacements ``[len(y), len(x), 2]`` at other places, linear, constant beyond the outermost windows."""
    from scipy.interpolate import RegularGridInterpolator

    if min(len(field.y), len(field.x)) < 2:
        return np.broadcast_to(field.displacement.mean((0, 1)), (len(y), len(x), 2)).copy()
    at = np.stack(np.meshgrid(np.clip(y, *field.y[[0, -1]]), np.clip(x, *field.x[[0, -1]]), indexing="ij"), -1)
    return RegularGridInterpolator((field.y, field.x), field.displacement)(at)


def _contrast(frames: Movie, window: int) -> npt.NDArray[np.bool_]:
    """Windows in which something is seen."""
    spread = _tiles(frames, window).std((-2, -1)).mean(0)
    return spread > CONTRAST * np.quantile(spread, 0.95)


def _stood(before: Movie, field: Field) -> float:
    """Part of the windows in which something is seen whose vectors stand."""
    seen = _contrast(before, field.window)
    return float(field.valid[seen].mean()) if seen.any() else 0.0
