"""The diffusivity of a video in which nothing reacts, whatever its first frame was without noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from physgen.constraints.least_squares import Estimate, judged, widened
from physgen.dynamics.spectral import transform
from physgen.errors import InvalidArgument
from physgen.measure import noise_level

#: diffusivities that are tried, by equal ratios, and the relative precision of the best
TRIED, PRECISION = 24, 1e-7
#: D |lambda| time of the fastest mode at the slowest that is tried, of the slowest at the fastest
SLOWEST, FASTEST = 1e-3, 10.0
#: quantile of a normal distribution for 95 %, and times that the reach of an interval is doubled
NORMAL, DOUBLINGS = 1.96, 12
#: errors that a change of light must be beyond, and the part of D that it must be taken for
BEYOND, SHIFT = 3.0, 0.03
#: parts of a video whose darkest place is looked for, cells along each side of a place, and share of them that is dark
SPELLS, PLACE, DARK = 4, 5, 0.05
#: values that are looked at at once
PART = 2**18


def fit_heat(
    fields: Float64[Tensor, "1 1 T *space"],
    modes: Float64[Tensor, "*space"],
    bases: Sequence[Tensor],
    dt: float,
    low: float,
    high: float,
) -> Estimate:
    """Diffusivity for which a solution of the heat equation, from whatever start, is nearest to a video.

    argmin_{low <= D <= high} sum_k |a_k - P_k a_k|^2,  P_k = d_k d_k^T / |d_k|^2,  d_k = (e^{D lambda_k dt t})_t

    ``modes`` are the eigenvalues lambda_k <= 0 of the Laplacian, 1/µm², ``bases`` its eigenvectors along each axis and
    a_k(t) the amplitudes of the video. The start of each mode is eliminated, so noise of the first
    frame does not look like diffusion. Where the mode of lambda = 0, the light, does not stay, D is in ``doubt``.

    Source: variable projection, Golub and Pereyra (1973), SIAM J. Numer. Anal. 10:413.

    >>> import torch
    >>> from physgen.dynamics.spectral import laplacian_modes
    >>> from physgen.grid import Grid
    >>> values, bases = laplacian_modes((16,), Grid((1.0,), 0.5), 2)
    >>> decay = torch.exp(2.0 * values[3] * 0.5 * torch.arange(6.0, dtype=torch.float64))
    >>> field = (decay[:, None] * bases[0][:, 3]).view(1, 1, 6, 16)
    >>> fit_heat(field, values, bases, 0.5, 0.0, np.inf).value.round(5).tolist()
    [2.0]
    """
    import scipy.optimize

    seen = transform(fields, [basis.mT for basis in bases])[0, 0].flatten(1).cpu().numpy()
    rates = modes.flatten().cpu().numpy()
    times = dt * np.arange(len(seen))[:, None]
    parts = np.array_split(np.arange(len(rates)), max(1, seen.size // PART))

    def misfit(diffusivity: float) -> float:
        return sum(float(np.square(near - seen[:, part]).sum()) for part, _, near in solutions(diffusivity))

    def solutions(diffusivity: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Some modes, how they decay, and the nearest that do so."""
        for part in parts:
            decay = np.exp(diffusivity * times * rates[part])
            yield part, decay, decay * ((decay * seen[:, part]).sum(0) / np.square(decay).sum(0))

    span = dt * (len(seen) - 1)
    still = rates >= -1e-9 * np.abs(rates).max()
    moving = np.abs(rates[~still])
    if not moving.size:
        raise InvalidArgument("fields", fields, "more than one cell, between which something diffuses")
    slowest = moving.min()
    tried = np.geomspace(SLOWEST / (moving.max() * span), FASTEST / (slowest * span), TRIED)
    points = np.unique(np.clip([0.0, *tried], low, high))
    best = int(np.argmin([misfit(point) for point in points]))
    value = points[best]
    if len(points) > 1:
        ends = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
        fine = {"xatol": PRECISION * ends[1]}
        between = scipy.optimize.minimize_scalar(misfit, bounds=ends, method="bounded", options=fine)
        value = min((value, between.x), key=misfit)
    square, weighed = 0.0, 0.0
    of_modes, of_frames = np.zeros(len(rates)), np.zeros(len(seen))
    for part, decay, near in solutions(value):
        slope = times * rates[part] * near
        slope -= decay * ((decay * slope).sum(0) / np.square(decay).sum(0))
        scores = slope * (near - seen[:, part])
        of_modes[part] = scores.sum(0)
        of_frames += scores.sum(1)
        square += float(np.square(slope).sum())
        weighed += float((np.square(slope).sum(0) / np.maximum(np.abs(rates[part]), slowest)).sum())
    least = misfit(value)
    found = _estimate(value, least / max(seen.size - len(rates) - 1, 1), square, (of_modes, of_frames), low, high)
    noise = float(noise_level(fields[0]).square().sum()) * (seen.size - len(rates))
    found = judged(found, least, misfit(0.0), noise)
    if still.any() and square > 0:
        variance = least / max(seen.size - len(rates), 1) / len(rates)
        least_shift = max(float(found.error[0]), SHIFT * value)
        frames = fields[0, 0].cpu().numpy()
        light = frames.reshape(len(frames), -1).mean(1)
        doubt = _lost(light, _darkest(frames), times[:, 0], math.sqrt(variance), least_shift * square / weighed)
        found = replace(found, doubt=doubt)
    return replace(found, interval=_profile(misfit, value, float(found.error[0]), low, high)[None])


def _darkest(frames: np.ndarray) -> float:
    """Level of the darkest places of a video, 0 where it is below: a camera's offset is no higher, and never lost."""
    from scipy.ndimage import median_filter

    spells = np.array_split(frames, min(SPELLS, len(frames)))
    return max(0.0, min(float(np.quantile(median_filter(spell.mean(0), PLACE), DARK)) for spell in spells))


def _lost(light: np.ndarray, dark: float, times: np.ndarray, noise: float, least: float) -> str | None:
    """How light above ``dark`` changes, where its rate is more than ``least``, 1/s, and beyond its error."""
    light = light - dark
    seen = light > 0
    if seen.sum() < 2:
        return None
    times, light = times[seen], light[seen]
    slope, start = np.polyfit(times, np.log(light), 1, w=light)
    left = np.square(light * (np.log(light) - start - slope * times)).sum() / max(len(times) - 2, 1)
    middle = np.average(times, weights=np.square(light))
    error = max(math.sqrt(left), noise) / np.linalg.norm(light * (times - middle))
    if abs(slope) <= max(least, BEYOND * error):
        return None
    change = 100 * math.expm1(slope * (times[-1] - times[0]))
    above = " above the darkest place" if dark else ""
    if change < 0:
        return f"{-change:.2g} % of the light{above} is lost: bleaching would be taken for diffusion"
    return f"{change:.2g} % of light{above} is added: diffusion adds none, and would seem too slow"


def _estimate(
    value: float, variance: float, square: float, scores: tuple[np.ndarray, np.ndarray], low: float, high: float
) -> Estimate:
    """Of slopes whose sum of squares is known, and of each mode and each frame that of their products with residuals.

    A mode may be wrong in all frames together, and a lamp that flickers makes all modes of a frame wrong together.

    Source: clusters in two ways, Cameron, Gelbach and Miller (2011), J. Bus. Econ. Stat. 29:238; here the wider counts.
    """
    modes = len(scores[0])
    bounds = np.array([[low], [high]])
    if not square > 0:
        return Estimate(np.array([value]), np.full((1, 1), np.inf), math.inf, False, bounds, modes)
    covariance = np.array([[variance / square]])
    for groups in scores:
        covariance = widened(covariance, np.array([[1 / square]]), groups[:, None])
    identifiable = bool(covariance[0, 0] < (high - low) ** 2)
    return Estimate(np.array([value]), covariance, 1.0, identifiable, bounds, modes)


def _profile(misfit: Callable[[float], float], value: float, error: float, low: float, high: float) -> np.ndarray:
    """95 % interval: where the misfit rises by 1.96^2 units of what it rises by within one error.

    Where the misfit is a parabola that is value +- 1.96 error; near a bound, or for a D so large that all is gone
    within a frame, it is not.
    """
    import scipy.optimize

    if not math.isfinite(error) or error <= 0:
        return np.array([low, high])
    nearby = [x for x in (value - error, value + error) if low <= x <= high]
    unit = max(misfit(x) for x in nearby) - misfit(value) if nearby else 0.0
    if unit <= 0:
        return np.array([low, high])
    limit = misfit(value) + NORMAL**2 * unit

    def end(bound: float, direction: int) -> float:
        reach = NORMAL * error
        for _ in range(DOUBLINGS):
            x = value + direction * reach
            if not low <= x <= high:
                return bound
            if misfit(x) >= limit:
                return float(scipy.optimize.brentq(lambda x: misfit(x) - limit, value, x, xtol=PRECISION * reach))
            reach *= 2
        return bound

    return np.array([end(low, -1), end(high, 1)])
