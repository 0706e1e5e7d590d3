"""Recovery after bleaching: half-time and mobile fraction; exchange between two compartments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from physgen.measure.spots import Values
from physgen.places import frames_read

Interval = tuple[float, float, float]
Shape = Callable[[Values, float], Values]

#: draws of an interval, and residuals that are drawn together
DRAWS, BLOCK = 300, 3
#: time constants that are tried, as parts of the interval between frames and of the whole time, and how many
SHORTEST, LONGEST, TRIED = 0.2, 5.0, 300
#: upper end of a half-time, as a part of the whole time, above which it is not known
UNKNOWN = 2.0
#: part of the variance that a recovery explains at least
EXPLAINED = 0.5
#: difference of the last frame before bleaching from the others that is the bleaching light: in median absolute
#: deviations of theirs, and as a part of their brightness
PULSE, FLASH = 5.0, 0.1
#: mobile fraction that a finite cell makes of 1: one that lies above it is impossible, not a small error of the model
WHOLE = 1.05


@dataclass(frozen=True)
class Recovery:
    """A recovery, each value with its 95 % interval.

    Attributes:
        model: ``reaction`` (exponential) or ``diffusion`` (into a disc), whichever is nearer.
        half_time: until half of what comes back is back.
        mobile: fraction that comes back; None where the brightness before is not known.
        fitted: ``[T]``, the model at the times given.
        explained: part of the variance of the trace that the model explains.
        reason: why nothing is measured; None where it is.
    """

    model: str | None
    half_time: Interval | None
    mobile: Interval | None
    fitted: Values | None
    explained: float | None
    reason: str | None


@dataclass(frozen=True)
class Exchange:
    """Exchange of two compartments a and b, 1/s with 95 % intervals: da/dt = in b - out a, db/dt = out a - in b."""

    into: Interval | None
    out_of: Interval | None
    fitted: tuple[Values, Values] | None
    reason: str | None


def fit_recovery(times: Values, trace: Values, before: float | None = None, seed: int = 0) -> Recovery:
    """Half-time and mobile fraction of a recovery ``[T]`` that begins with the first frame after bleaching.

    reaction:  F = F0 + (F1 - F0) (1 - exp(-k t)),  half-time ln 2 / k
    diffusion: F = F0 + (F1 - F0) exp(-2 w / t) (I0(2 w / t) + I1(2 w / t)),  half-time 0.88 w, w = r² / 4 D of a disc

    mobile = (F1 - F0) / (before - F0). Intervals are from residuals drawn anew, three in a row. One that lies up to 5 %
    above 1 reaches down to 1, as a finite cell explains it; above that the model does not hold: nothing is measured.

    Args:
        times: ``[T]``, s, from the first frame after bleaching.
        trace: ``[T]``, brightness.
        before: brightness before bleaching, in the unit of the trace.
        seed: of the draws of residuals.

    Source: Sprague et al. (2004), Biophys. J. 86:3473; diffusion, Soumpasis (1983), Biophys. J. 41:95; mobile fraction,
        Axelrod et al. (1976), Biophys. J. 16:1055.

    >>> t = np.arange(40.0)
    >>> found = fit_recovery(t, 0.2 + 0.6 * (1 - np.exp(-0.1 * t)), before=1.0)
    >>> found.model, round(found.half_time[0], 1), round(found.mobile[0], 2)
    ('reaction', 6.9, 0.75)
    """
    if len(trace) < 6:
        return _no_recovery(f"{frames_read(len(trace))} after bleaching, at least 6 are needed")
    if not np.isfinite(trace).all():
        return _no_recovery("the brightness is not a number in every frame")
    fits = {name: _fit(times, trace[None], shape) for name, shape in SHAPES.items()}
    model = min(fits, key=lambda name: float(fits[name][2][0]))
    scale, lines, misfit = fits[model]
    explained = 1 - float(misfit[0]) / max(float(((trace - trace.mean()) ** 2).sum()), 1e-300)
    fitted = lines[0, 0] + lines[0, 1] * SHAPES[model](times, float(scale[0]))
    if not explained >= EXPLAINED or lines[0, 1] <= 0:
        return _no_recovery("nothing comes back that is more than noise")
    rng = np.random.default_rng(seed)
    drawn = fitted + _redraw(trace - fitted, rng)
    scales, others, _ = _fit(times, drawn, SHAPES[model])
    half = HALF[model] * scales
    if np.quantile(scales, 0.025) <= _scales(times)[0]:
        return _no_recovery("half of it may be back in less than the time between two frames")
    high = float(np.quantile(half, 0.975))
    if half[0] > times[-1] - times[0] or high > UNKNOWN * (times[-1] - times[0]):
        return _no_recovery("the recovery is not over: half of it may take much longer than the movie")
    mobile = None
    if before is not None and before > lines[0, 0]:
        ratios = others[:, 1] / np.maximum(before - others[:, 0], 1e-300)
        value, low, top = _interval(float(lines[0, 1] / (before - lines[0, 0])), ratios)
        if low > WHOLE:
            return _no_recovery(f"the model does not hold: {value:.2f} of what was bleached would come back")
        mobile = value, min(low, 1.0), top
    half_time = _interval(float(HALF[model] * scale[0]), half)
    return Recovery(model, half_time, mobile, fitted, explained, None)


def normalise(trace: Values, reference: Values, bleached: int) -> Values:
    """A trace as a part of that before bleaching, with the loss of a reference, such as the whole cell, taken out.

    f(t) = F(t) / median F_before · median R_before / R(t)

    The last frame before is left out where the bleaching light brightens it, see `before_bleaching`.

    Source: double normalisation, Phair, Gorski and Misteli (2004), Methods Enzymol. 375:393.

    >>> normalise(np.array([4.0, 1.0, 1.5]), np.array([8.0, 8.0, 6.0]), bleached=1)
    array([1.  , 0.25, 0.5 ])
    """
    before = before_bleaching(trace, bleached)
    return trace / np.median(trace[before]) * np.median(reference[before]) / reference


def before_bleaching(trace: Values, bleached: int) -> slice:
    """Frames before bleaching, without the last where the bleaching light shows in it.

    >>> before_bleaching(np.array([4.0, 4.1, 3.9, 12.0, 1.0]), 4)
    slice(0, 3, None)
    """
    others = trace[: bleached - 1]
    if not len(others):
        return slice(0, bleached)
    middle = float(np.median(others))
    spread = float(np.median(np.abs(others - middle)))
    flash = abs(float(trace[bleached - 1]) - middle) > max(PULSE * spread, FLASH * abs(middle))
    return slice(0, bleached - 1 if flash else bleached)


def fit_exchange(times: Values, first: Values, second: Values, seed: int = 0) -> Exchange:
    """Rates of exchange between two compartments from their amounts ``[T]``, nothing entering or leaving both.

    a = a1 + (a0 - a1) exp(-(in + out) t),  b likewise,  in / out = a1 / b1 of the end

    Source: two-compartment kinetics, Jacquez (1985), Compartmental Analysis in Biology and Medicine.

    >>> t = np.arange(0, 60, 2.0)
    >>> decay = np.exp(-0.08 * t)
    >>> found = fit_exchange(t, 3 - 2 * decay, 1 + 2 * decay)
    >>> round(found.into[0], 3), round(found.out_of[0], 3)
    (0.06, 0.02)
    """
    if len(times) < 6:
        return Exchange(None, None, None, f"{frames_read(len(times))}, at least 6 are needed")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return Exchange(None, None, None, "the amounts are not numbers in every frame")
    both = np.concatenate([first, second])[None]
    rate, lines, misfit = _fit_pair(times, both)
    fitted = _pair(times, rate, lines)
    spread = sum(float(((part - part.mean()) ** 2).sum()) for part in (first, second))
    if not 1 - misfit[0] / max(spread, 1e-300) >= EXPLAINED:
        return Exchange(None, None, None, "nothing is exchanged that is more than noise")
    rng = np.random.default_rng(seed)
    n = len(times)
    drawn = np.hstack(
        [fitted[:, :n] + _redraw(first - fitted[0, :n], rng), fitted[:, n:] + _redraw(second - fitted[0, n:], rng)]
    )
    rates, others, _ = _fit_pair(times, drawn)
    if np.quantile(1 / rates, 0.025) <= _scales(times)[0]:
        return Exchange(None, None, None, "half of it may be exchanged in less than the time between two frames")
    share, shares = (part[:, 0] / (part[:, 0] + part[:, 2]) for part in (lines, others))
    if np.quantile(np.log(2) / rates, 0.975) > UNKNOWN * (times[-1] - times[0]) or not 0 < share[0] < 1:
        return Exchange(None, None, None, "the exchange is not over: half of it may take much longer than the movie")
    return Exchange(
        _interval(float(share[0] * rate[0]), shares * rates),
        _interval(float((1 - share[0]) * rate[0]), (1 - shares) * rates),
        (fitted[0, :n], fitted[0, n:]),
        None,
    )


def _exponential(times: Values, scale: float) -> Values:
    return -np.expm1(-(times - times[0]) / scale)


def _disc(times: Values, scale: float) -> Values:
    from scipy.special import ive

    argument = 2 * scale / np.maximum(times - times[0], 1e-6 * scale)
    return ive(0, argument) + ive(1, argument)


SHAPES: dict[str, Shape] = {"reaction": _exponential, "diffusion": _disc}
HALF = {"reaction": float(np.log(2)), "diffusion": 0.8813}


def _scales(times: Values) -> Values:
    step, whole = float(np.diff(times).min()), float(times[-1] - times[0])
    return np.geomspace(SHORTEST * step, LONGEST * whole, TRIED)


def _fit(times: Values, traces: Values, shape: Shape) -> tuple[Values, Values, Values]:
    """Scale ``[B]``, start and gain ``[B, 2]``, and misfit ``[B]`` of the nearest curves to traces ``[B, T]``."""
    return _nearest(traces, _scales(times), lambda scale: np.column_stack([np.ones(len(times)), shape(times, scale)]))


def _fit_pair(times: Values, traces: Values) -> tuple[Values, Values, Values]:
    """Rate ``[B]``, and end and distance from it of both, ``[B, 4]``."""
    scale, lines, misfit = _nearest(traces, _scales(times), lambda scale: _pair_design(times, scale))
    return 1 / scale, lines, misfit


def _pair_design(times: Values, scale: float) -> Values:
    decay = np.column_stack([np.ones(len(times)), np.exp(-(times - times[0]) / scale)])
    none = np.zeros_like(decay)
    return np.block([[decay, none], [none, decay]])


def _pair(times: Values, rate: Values, lines: Values) -> Values:
    return (_pair_design(times, 1 / float(rate[0])) @ lines[0])[None]


def _nearest(traces: Values, scales: Values, design: Callable[[float], Values]) -> tuple[Values, Values, Values]:
    """The scale of least misfit for each trace, between those tried by a parabola, with its linear coefficients."""
    bases = [np.linalg.qr(design(float(scale))) for scale in scales]
    whole = (traces**2).sum(1)
    misfit = np.stack([np.maximum(whole - ((traces @ q) ** 2).sum(1), 0) for q, _ in bases], 1)
    best = misfit.argmin(1)
    inner = np.clip(best, 1, len(scales) - 2)
    row = np.arange(len(traces))
    left, here, right = misfit[row, inner - 1], misfit[row, inner], misfit[row, inner + 1]
    bend = left - 2 * here + right
    between = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend > 0).clip(-1, 1)
    logs = np.log(scales)
    scale = np.exp(np.where(best == inner, logs[inner] + between * (logs[1] - logs[0]), logs[best]))
    inverses = np.stack([np.linalg.solve(r, q.T) for q, r in bases])
    lines = np.einsum("bkt,bt->bk", inverses[best], traces)
    lines[0] = np.linalg.lstsq(design(float(scale[0])), traces[0], rcond=None)[0]
    return scale, lines, misfit[row, best]


def _redraw(residual: Values, rng: np.random.Generator) -> Values:
    """Residuals ``[B, T]`` drawn anew, a few in a row, as wide as those of a fit of three values are narrow."""
    n = len(residual)
    starts = rng.integers(n, size=(DRAWS, -(-n // BLOCK)))
    index = (starts[:, :, None] + np.arange(BLOCK)).reshape(DRAWS, -1)[:, :n] % n
    return (residual - residual.mean())[index] * np.sqrt(n / max(n - 3, 1))


def _interval(value: float, draws: Values) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return value, min(float(low), value), max(float(high), value)


def _no_recovery(reason: str) -> Recovery:
    return Recovery(None, None, None, None, None, reason)
