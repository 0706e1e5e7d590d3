"""Spots of a movie: found at the scale that fits them best, with sub-pixel positions and widths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from physgen.measure.degenerate import noise_level

Movie = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

#: standard deviations, in pixels, of the spots that are looked for
SCALES = tuple(2.0 ** (k / 2) for k in range(7))
#: response of a spot, in standard deviations of the noise and as a part of that of strong spots
SIGNIFICANT, PART = 5.0, 0.3
#: frames that scale and sign are read from
LOOKED_AT = 5
#: steps of the fit and how often it is made, each time without what the others were found to be; half width of what is
#: fitted, in standard deviations of a spot
STEPS, ROUNDS, REACH = 5, 3, 2.5
#: range of widths that are kept, and how far a fit may go from the brightest pixel, in standard deviations of a spot
WIDTHS, AWAY = (0.4, 2.5), 1.5


@dataclass(frozen=True)
class Spots:
    """Spots of all frames, in the order of the frames.

    Attributes:
        frame: ``[N]``, from 0.
        y, x: ``[N]``, px; whole numbers are the middles of pixels.
        width: ``[N]``, standard deviation of the Gaussian that was fitted, px.
        brightness: ``[N]``, peak above what is around, in the unit of the movie; negative of dark spots.
        response: ``[N]``, of the filter at the scale of the spots, in standard deviations of the noise.
        scale: px, standard deviation of the spots that were looked for.
        frames: of the movie.
    """

    frame: npt.NDArray[np.int64]
    y: Values
    x: Values
    width: Values
    brightness: Values
    response: Values
    scale: float
    frames: int

    def __len__(self) -> int:
        return len(self.frame)

    def of_frame(self, t: int) -> slice:
        """Where the spots of a frame are.

        >>> find_spots(np.zeros((2, 32, 32))).of_frame(1)
        slice(0, 0, None)
        """
        start, stop = np.searchsorted(self.frame, [t, t + 1])
        return slice(int(start), int(stop))

    def nearest(self) -> Values:
        """Distance ``[N]`` of each spot to the nearest one in its frame, px; infinite where it is alone.

        >>> y, x = np.mgrid[:32, :64]
        >>> pair = np.exp(-((y - 16) ** 2 + (x - 20) ** 2) / 8) + np.exp(-((y - 16) ** 2 + (x - 40) ** 2) / 8)
        >>> find_spots(pair[None]).nearest().round(1)
        array([20., 20.])
        """
        from scipy.spatial import cKDTree

        found = np.full(len(self), np.inf)
        for t in range(self.frames):
            here = self.of_frame(t)
            places = np.column_stack([self.y[here], self.x[here]])
            if len(places) > 1:
                found[here] = cKDTree(places).query(places, 2)[0][:, 1]
        return found

    def spacing(self) -> float:
        """Median distance of a spot to the nearest one in its frame, px; infinite where no frame has two."""
        nearest = self.nearest()
        return float(np.median(nearest[np.isfinite(nearest)])) if np.isfinite(nearest).any() else float("inf")


def find_spots(movie: Movie) -> Spots:
    """Bright or dark spots of a movie ``[T, H, W]``, whichever stand out more, of the size that stands out most.

    r = -s² LoG_s u is largest where a Gaussian spot of standard deviation s is. Local maxima of r that are above five
    times its noise and 0.3 of strong ones are fitted by u = b + a exp(-|x - x0|² / 2 w²), least squares.

    Returns:
        `Spots`: positions and widths in px.

    Source: scale selection, Lindeberg (1998), Int. J. Comput. Vis. 30:79; the fit, Thompson, Larson and Webb (2002),
        Biophys. J. 82:2775.

    >>> y, x = np.mgrid[:32, :32]
    >>> spots = find_spots(np.exp(-((y - 14.3) ** 2 + (x - 17.8) ** 2) / (2 * 1.7**2))[None])
    >>> spots.y.round(2), spots.x.round(2), spots.width.round(2)
    (array([14.3]), array([17.8]), array([1.7]))
    """
    movie = np.ascontiguousarray(movie, dtype=np.float64)
    noise = float(noise_level(torch.from_numpy(movie)[None])[0])
    taken = movie[np.linspace(0, len(movie) - 1, min(LOOKED_AT, len(movie))).round().astype(int)]
    options = [(strength(taken, sign, scale, noise), sign, scale) for sign in (1.0, -1.0) for scale in SCALES]
    strong, sign, scale = max(options)
    if strong == 0:
        return _empty(len(movie), scale)
    least = max(PART * strong, SIGNIFICANT * _noise_of(scale, noise))
    found = []
    for t, frame in enumerate(movie):
        peaks = list(_peaks(frame, sign, scale, least))
        if not peaks:
            continue
        places, response = np.array([place for place, _ in peaks]), np.array([value for _, value in peaks])
        y, x, width, brightness = fit_gaussians(frame, places, scale).T
        kept = (np.hypot(y - places[:, 0], x - places[:, 1]) < AWAY * scale) & (sign * brightness > 0)
        kept &= (width > WIDTHS[0] * scale) & (width < WIDTHS[1] * scale)
        response /= max(_noise_of(scale, noise), 1e-6 * strong)
        found.append(np.column_stack([np.full(len(peaks), t), y, x, width, brightness, response])[kept])
    if not found:
        return _empty(len(movie), scale)
    frame, y, x, width, brightness, response = np.concatenate(found).T
    return Spots(frame.astype(np.int64), y, x, width, brightness, response, scale, len(movie))


def strength(frames: Movie, sign: float, scale: float, noise: float) -> float:
    """Response of strong spots ``sum r³ / sum r²`` over the local maxima of frames ``[T, H, W]``; 0 of none.

    >>> y, x = np.mgrid[:32, :32]
    >>> spot = np.exp(-((y - 14) ** 2 + (x - 17) ** 2) / (2 * 2.0**2))[None]
    >>> max(SCALES, key=lambda scale: strength(spot, 1.0, scale, noise=0.0))
    2.0
    """
    largest = float(np.abs(frames).max())
    least = max(SIGNIFICANT * _noise_of(scale, noise), 1e-6 * largest)
    values = np.array([value for frame in frames for _, value in _peaks(frame, sign, scale, least)])
    return float((values**3).sum() / (values**2).sum()) if len(values) else 0.0


def _peaks(frame: Movie, sign: float, scale: float, least: float) -> Iterator[tuple[tuple[int, int], float]]:
    from scipy.ndimage import gaussian_laplace
    from skimage.feature import peak_local_max

    response = -sign * scale**2 * gaussian_laplace(frame, scale, mode="reflect")
    border = max(1, round(scale))
    places = peak_local_max(response, min_distance=max(1, round(scale)), threshold_abs=least, exclude_border=border)
    for row, column in places:
        yield (int(row), int(column)), float(response[row, column])


def _noise_of(scale: float, noise: float) -> float:
    """Standard deviation of the response to white noise: sqrt(1 / 2 pi) / s of it."""
    return noise / (np.sqrt(2 * np.pi) * scale)


def fit_gaussians(frame: Movie, places: npt.NDArray[np.int64], scale: float) -> Values:
    """Row, column, standard deviation and peak ``[N, 4]`` of Gaussian spots near pixels ``[N, 2]`` of a frame.

    Each is fitted in a window of 2.5 standard deviations, as far as the frame goes, by Gauss-Newton steps, all at once;
    then again without what the others were found to be, so that spots which overlap do not shift each other.

    >>> y, x = np.mgrid[:24, :24]
    >>> pair = [np.exp(-((y - 10.2) ** 2 + (x - column) ** 2) / 8) for column in (8.0, 15.1)]
    >>> fit_gaussians(5 + 2 * sum(pair), np.array([[10, 9], [10, 15]]), 1.5).round(1)
    array([[10.2,  8. ,  2. ,  2. ],
           [10.2, 15.1,  2. ,  2. ]])
    """
    half = max(2, int(np.ceil(REACH * scale)))
    offset = np.arange(-2 * half, 2 * half + 1)
    inner = np.abs(offset) <= half
    padded, inside = np.pad(frame, 2 * half), np.pad(np.ones(frame.shape), 2 * half)
    rows, columns = (places[:, axis, None] + offset + 2 * half for axis in (0, 1))
    wide = rows[:, :, None], columns[:, None, :]
    window = rows[:, inner][:, :, None], columns[:, inner][:, None, :]
    found = np.tile([0.0, 0.0, scale], (len(places), 1))
    peak, others = np.zeros(len(places)), np.zeros((len(places), int(inner.sum()) ** 2))
    for _ in range(ROUNDS):
        values = padded[window].reshape(len(places), -1) - others
        weights = inside[window].reshape(len(places), -1)
        found, peak = _fit(values, weights / weights.sum(1, keepdims=True), found, offset[inner], scale)
        shape, drawn = peak[:, None] * _shapes(found, offset), np.zeros(padded.shape)
        np.add.at(drawn, wide, shape.reshape(-1, len(offset), len(offset)))
        others = drawn[window].reshape(len(places), -1) - peak[:, None] * _shapes(found, offset[inner])
    return np.column_stack([found[:, :2] + places, found[:, 2], peak])


def _shapes(found: Values, offset: npt.NDArray[np.int64]) -> Values:
    """Gaussians ``[N, M²]`` of peak 1 in square windows."""
    v, u = (part.ravel().astype(float) for part in np.meshgrid(offset, offset, indexing="ij"))
    return np.exp(-((v - found[:, :1]) ** 2 + (u - found[:, 1:2]) ** 2) / (2 * found[:, 2:] ** 2))


def _fit(
    values: Values, weights: Values, found: Values, offset: npt.NDArray[np.int64], scale: float
) -> tuple[Values, Values]:
    """Gauss-Newton steps from ``found``, row, column and standard deviation ``[N, 3]``, in windows ``[N, M²]``.

    Weights are 0 outside the frame, and 1 in all.
    """

    def about_mean(x: Values) -> Values:
        w = weights.reshape(weights.shape + (1,) * (x.ndim - 2))
        return np.sqrt(w) * (x - (w * x).sum(1, keepdims=True))

    v, u = (part.ravel().astype(float) for part in np.meshgrid(offset, offset, indexing="ij"))
    found = found.copy()
    peak = np.zeros(len(found))
    for _ in range(STEPS):
        dv, du, width = v - found[:, :1], u - found[:, 1:2], found[:, 2:]
        shape = _shapes(found, offset)
        centred, level = about_mean(shape), about_mean(values)
        peak = (centred * level).sum(1) / np.maximum((centred**2).sum(1), 1e-300)
        rest = level - peak[:, None] * centred
        slope = np.stack([shape, shape * dv / width**2, shape * du / width**2, shape * (dv**2 + du**2) / width**3], -1)
        slope = about_mean(slope)
        slope[..., 1:] *= peak[:, None, None]
        normal = slope.transpose(0, 2, 1) @ slope
        normal += (1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-300) * np.eye(4)
        step = np.linalg.solve(normal, slope.transpose(0, 2, 1) @ rest[..., None])[:, 1:, 0]
        found += np.clip(step, -0.5 * scale, 0.5 * scale)
        found[:, :2] = np.clip(found[:, :2], offset[0], offset[-1])
        found[:, 2] = np.clip(found[:, 2], 0.3 * scale, 4 * scale)
    return found, peak


def _empty(frames: int, scale: float) -> Spots:
    none = np.array([])
    return Spots(none.astype(np.int64), none, none, none, none, none, scale, frames)
