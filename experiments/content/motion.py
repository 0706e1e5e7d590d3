"""How fast, how far and along what things move, each read in several ways; a number, of which more is better."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from physgen.experiments.content.asked import Asked
from physgen.experiments.content.readings import UNTOLD
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices import attributes, forms
from physgen.experiments.measure.correlation import squared_displacement
from physgen.experiments.measure.laws import mean_flow
from physgen.simulators import blood, sheet

#: part of the slowest, or of the gentlest, below which nothing moves: what stands still is not slow
STILL = 1.0 / 3.0
#: diffusivity of beads, µm²/s, below which they are held
HELD = STILL * min(low for low, _ in attributes.DIFFUSIVITY.values())
#: mean speed of red cells as a part of the highest, that on the axis of the vessel
MEAN = 0.8
#: frames over which beads are compared; what chance makes of the correlation of their steps, and of an exponent of 1
LAGS, CHANCE, OFF = (1, 4), 0.25, 0.35
#: frequencies of beats that are looked for, 1/s, and points of the spectrum
BEATS, POINTS = (0.5, 3.0), 256


def speed_by_device(clip: Clip, asked: Asked) -> float:
    """Minus the logarithm by which a constant is on the wrong side of the border between slow and fast.

    D of dye, r of growth and the period of a beat by their laws, red cells and beads by their tracks.
    """
    return _in_range(clip, *attributes.pace(clip), "speed") if clip.moves else UNTOLD


def speed_by_flow(clip: Clip, asked: Asked) -> float:
    """Minus the logarithm by which the mean flow of red cells, or a sheet's beats a second, is on the wrong side."""
    assert clip.subject
    if clip.subject.family == "sheet":
        beat, _ = beat_by_flow(clip)
        return _in_range(clip, frequency(beat, clip.grid.dt), attributes.BEATS, "speed")
    speed = float(np.hypot(*mean_flow(clip.field))) * clip.grid.spacing[0] / clip.grid.dt
    return _in_range(clip, speed, _scaled(blood.SPEED, MEAN), "speed")


def speed_by_correlation(clip: Clip, asked: Asked) -> float:
    """Minus the logarithm by which the diffusivity of beads, by the correlation of frames, is on the wrong side."""
    near, far = _spread(clip)
    diffusivity = (far - near) / (4.0 * (LAGS[1] - LAGS[0]) * clip.grid.dt)
    return _in_range(clip, diffusivity, attributes.DIFFUSIVITY, "speed")


def brownian_by_tracks(clip: Clip, asked: Asked) -> float:
    """Minus how much steps of tracked beads know of the next ones, beyond chance: of drift, or of a cage."""
    if not clip.moves or attributes.diffusivity(clip) < HELD:
        return UNTOLD
    return _at_least(max(0.0, attributes.brownian(clip) - CHANCE))


def brownian_by_correlation(clip: Clip, asked: Asked) -> float:
    """Minus how far the exponent of the squared displacement is from 1, beyond chance; from correlations of frames."""
    near, far = _spread(clip)
    if not clip.moves or near / (4.0 * LAGS[0] * clip.grid.dt) < HELD:
        return UNTOLD
    exponent = np.log(max(far, 1e-9) / near) / np.log(LAGS[1] / LAGS[0])
    return _at_least(max(0.0, abs(float(exponent) - 1.0) - OFF))


def strength_by_registration(clip: Clip, asked: Asked) -> float:
    """Minus the logarithm by which the way to and fro is on the wrong side of the border of gentle and strong.

    Frames are laid over the first one.
    """
    return _in_range(clip, float(np.ptp(forms.beat_of(clip))), _ways(clip), "strength")


def strength_by_flow(clip: Clip, asked: Asked) -> float:
    """Minus the logarithm by which the flow of a sheet, summed up, goes too far to and fro, or not far enough."""
    return _in_range(clip, float(np.ptp(beat_by_flow(clip)[0])), _ways(clip), "strength")


def orientation_by_flow(clip: Clip, asked: Asked) -> float:
    """Minus the degrees between the axis along which a sheet moves and the one asked for, beyond 22.5, over these."""
    beat, angle = beat_by_flow(clip)
    if not clip.moves or np.ptp(beat) < STILL * next(iter(_ways(clip).values()))[0]:
        return UNTOLD
    return _at_least(max(0.0, attributes.off_axis(clip, angle) / attributes.BETWEEN - 1.0))


def beat_by_flow(clip: Clip) -> tuple[Array, float]:
    """Displacement of every frame along the axis of most motion ``[T]``, in pixels, and that axis, in degrees.

    The sum of the flows from frame to frame, one velocity each, see `mean_flow`.
    """
    steps = [mean_flow(clip.light[t : t + 2]) for t in range(len(clip.light) - 1)]
    places = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    places -= places.mean(0)
    _, axes = np.linalg.eigh(places.T @ places)
    return places @ axes[:, 1], float(np.degrees(np.arctan2(-axes[0, 1], axes[1, 1])))


def frequency(signal: Array, dt: float) -> float:
    """Frequency of most power of a signal ``[T]``, 1/s, within `BEATS`.

    Source: the periodogram, Schuster (1898), Terr. Magn. 3:13.

    >>> round(frequency(np.cos(2 * np.pi * 1.6 * 0.1 * np.arange(25.0)), 0.1), 1)
    1.6
    """
    found = np.fft.rfftfreq(POINTS, dt)
    power = np.abs(np.fft.rfft(signal - signal.mean(), POINTS)) ** 2
    return float(found[np.where((found > BEATS[0]) & (found < BEATS[1]), power, -1.0).argmax()])


def _spread(clip: Clip) -> Array:
    return squared_displacement(clip.field, clip.grid.spacing[0], LAGS)


def _ways(clip: Clip) -> dict[str, tuple[float, float]]:
    """Ranges of the way to and fro, in pixels."""
    return _scaled(sheet.AMPLITUDE, forms.PART / clip.grid.spacing[0])


def _scaled(ranges: Mapping[str, tuple[float, float]], factor: float) -> dict[str, tuple[float, float]]:
    return {word: (factor * low, factor * high) for word, (low, high) in ranges.items()}


def _in_range(clip: Clip, found: float, ranges: Mapping[str, tuple[float, float]], name: str) -> float:
    """0 on the side of the border that is asked for, unless hardly anything moves; `UNTOLD` where nothing does."""
    assert clip.subject
    if not (clip.moves and found > 0.0):  # NaN is not above
        return UNTOLD
    small, large = ranges.values()
    over = float(np.log(found / np.sqrt(small[1] * large[0])))
    too_still = float(np.log(STILL * small[0] / found))
    wrong_side = over if clip.subject.attributes[name] == next(iter(ranges)) else -over
    return _at_least(max(0.0, wrong_side, too_still))


def _at_least(wrong: float) -> float:
    return max(-wrong, UNTOLD) if wrong == wrong else UNTOLD
