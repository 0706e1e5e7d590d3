"""Vector fields smoothed by as much as predicts them best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: rounds in which what is not valid is filled in
ROUNDS = 50
#: decimal logarithms of the smoothing that are tried
RANGE = (-3.0, 4.0)
#: from every second vector to all of them: the smoothing goes with the fourth power of the distance
FINER = 16.0
#: vectors along a side that smoothing needs
FEWEST = 6


def smooth(field: Values, valid: Mask) -> Values:
    """A field ``[N, M, 2]`` smoothed where neighbours overlap by half; what is not valid is filled in.

    min_z sum_valid |u - z|² + s sum |lap z|²

    s has the least generalised cross-validation error over every second vector along both axes: those come from windows
    that share no pixels, so that their errors know nothing of each other.

    Source: Garcia (2010), Comput. Stat. Data Anal. 54:1167; Craven and Wahba (1978), Numer. Math. 31:377.

    >>> y, x = np.mgrid[:24, :32]
    >>> flow = np.stack([np.sin(x / 8), np.cos(y / 8)], -1)
    >>> noisy = flow + 0.2 * np.random.default_rng(0).standard_normal(flow.shape)
    >>> bool(np.abs(smooth(noisy, np.ones((24, 32), bool)) - flow).mean() < 0.5 * np.abs(noisy - flow).mean())
    True
    """
    if min(field.shape[:2]) < 2 * FEWEST or not valid.any():
        return field
    parts = [(field[i::2, j::2], valid[i::2, j::2]) for i in (0, 1) for j in (0, 1)]
    amount = float(np.median([best_smoothing(part, mask) for part, mask in parts if mask.any()]))
    return fill(field, valid, FINER * amount)


def fill(field: Values, valid: Mask, amount: float) -> Values:
    """The smooth field ``[N, M, 2]`` nearest to a field where that is valid.

    >>> field = np.ones((8, 8, 2)); field[4, 4] = 9.0
    >>> bool(np.allclose(fill(field, field[..., 0] < 2, amount=1.0), 1, atol=0.1))
    True
    """
    return _filled(field, valid, _low_pass(field, amount))[0]


def best_smoothing(field: Values, valid: Mask) -> float:
    """The amount s of smoothing with the least generalised cross-validation error, sum |u - z|² / (1 - tr H / n)².

    >>> noise = np.random.default_rng(0).standard_normal((16, 16, 2))
    >>> best_smoothing(noise, np.ones((16, 16), bool)) > 10
    True
    """
    from scipy.optimize import minimize_scalar

    _, spectrum = _filled(field, valid, _low_pass(field, 0.1))
    weight = valid[..., None].astype(float)

    def error(exponent: float) -> float:
        passed = _low_pass(field, 10**exponent)
        misfit = (weight * (field - _inverse(passed[..., None] * spectrum)) ** 2).sum()
        return float(misfit / (1 - passed.mean()) ** 2)

    return float(10 ** minimize_scalar(error, bounds=RANGE, method="bounded", options={"xatol": 0.05}).x)


def _filled(field: Values, valid: Mask, passed: Values) -> tuple[Values, Values]:
    """The smoothed field, and the spectrum of the field with what is missing filled in."""
    weight = valid[..., None].astype(float)
    smoothed, spectrum = field, field
    for _ in range(1 if valid.all() else ROUNDS):
        spectrum = _transform(weight * (field - smoothed) + smoothed)
        smoothed = _inverse(passed[..., None] * spectrum)
    return smoothed, spectrum


def _low_pass(field: Values, amount: float) -> Values:
    """1 / (1 + s lap²) of cosines."""
    rows, columns = (2 * np.cos(np.pi * np.arange(n) / n) - 2 for n in field.shape[:2])
    return 1 / (1 + amount * (rows[:, None] + columns) ** 2)


def _transform(field: Values) -> Values:
    from scipy.fft import dctn

    return dctn(field, axes=(0, 1), norm="ortho")


def _inverse(spectrum: Values) -> Values:
    from scipy.fft import idctn

    return idctn(spectrum, axes=(0, 1), norm="ortho")
