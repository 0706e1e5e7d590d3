"""Nonlinear least squares under bounds, with errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from physgen.constraints.fit import Fit
from physgen.errors import InvalidArgument, NoSolution

#: residuals ``[N]`` and their Jacobian ``[N, P]`` at parameters ``[P]``
Model = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

#: largest condition number of the Jacobian, its columns scaled to length 1, at which the parameters are identifiable
IDENTIFIABLE = 1e4


@dataclass(frozen=True)
class Estimate:
    """Best parameters of one sample and their covariance.

    `condition`: how badly the data tell them apart; `identifiable`: whether they determine all of them; `explained`:
    the part of the data's power that they explain, NaN where nobody asked.
    """

    value: Float64[np.ndarray, "P"]
    covariance: Float64[np.ndarray, "P P"]
    condition: float
    identifiable: bool
    explained: float = math.nan

    @property
    def error(self) -> Float64[np.ndarray, "P"]:
        """Standard error of each parameter."""
        return np.sqrt(np.diag(self.covariance))


def least_squares(
    model: Model,
    start: Float64[np.ndarray, "P"],
    low: Float64[np.ndarray, "P"],
    high: Float64[np.ndarray, "P"],
    precision: float = 1e-8,
) -> Estimate:
    """Least squares under bounds.

    argmin |r(p)|^2 over low <= p <= high;  covariance = (J^T J)^-1 |r|^2 / (N - P),
    condition = s_max / s_min of J with columns of length 1

    Parameters are identifiable where the condition is at most `IDENTIFIABLE` and each error less than high - low. The
    covariance is infinite where N <= P or J does not determine the parameters. Steps to where the model raises
    `InvalidArgument` or `NoSolution` are cut short. The last step is shorter than ``precision``, or changes the sum of
    squares by less, both relatively.

    Raises:
        InvalidArgument: the model's, at the start.

    Source: trust region reflective, Branch, Coleman and Li (1999), SIAM J. Sci. Comput. 21:1.

    >>> t = np.arange(4.0)
    >>> line = lambda p: (p[0] + p[1] * t - (1 + 2 * t), np.stack([np.ones(4), t], 1))
    >>> least_squares(line, np.zeros(2), np.full(2, -9.0), np.full(2, 9.0)).value.round(9).tolist()
    [1.0, 2.0]
    """
    import scipy.optimize

    seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def at(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if p.tobytes() not in seen:
            seen[p.tobytes()] = model(p)
        return seen[p.tobytes()]

    size = len(at(start)[0])

    def residual(p: np.ndarray) -> np.ndarray:
        try:
            return at(p)[0]
        except (InvalidArgument, NoSolution):
            return np.full(size, np.inf)

    found = scipy.optimize.least_squares(
        residual, start, lambda p: at(p)[1], (low, high), xtol=precision, ftol=precision, gtol=1e-12, max_nfev=100
    )
    return fitted(found.x, *at(found.x), low, high)


def fitted(
    value: Float64[np.ndarray, "P"],
    residual: Float64[np.ndarray, "N"],
    jacobian: Float64[np.ndarray, "N P"],
    low: Float64[np.ndarray, "P"],
    high: Float64[np.ndarray, "P"],
) -> Estimate:
    """The estimate at its parameters, with the covariance, condition and verdict of `least_squares`.

    >>> fitted(np.ones(1), np.array([0.1, -0.1]), np.ones((2, 1)), np.zeros(1), np.full(1, 9.0)).identifiable
    True
    """
    covariance, condition = _errors(residual, jacobian)
    determined = bool((np.diag(covariance) < (high - low) ** 2).all())
    return Estimate(value, covariance, condition, determined and condition <= IDENTIFIABLE)


def explained_part(left: float, power: float) -> float:
    """1 - left / power: what a model explains of data of that power; NaN of nothing.

    >>> explained_part(1.0, 4.0)
    0.75
    """
    return 1 - left / power if power > 0 else math.nan


def joined(names: Sequence[str], estimates: Sequence[Estimate]) -> Fit:
    """Estimates of several samples as one fit, their constants by name.

    >>> joined(["k"], [Estimate(np.ones(1), np.eye(1), 1.0, True)]).values
    {'k': [1.0]}
    """
    return Fit(
        {name: [float(one.value[index]) for one in estimates] for index, name in enumerate(names)},
        {name: [float(one.error[index]) for one in estimates] for index, name in enumerate(names)},
        [one.condition for one in estimates],
        [one.identifiable for one in estimates],
        [one.explained for one in estimates],
    )


def _errors(residual: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, float]:
    values, parameters = jacobian.shape
    length = np.linalg.norm(jacobian, axis=0)
    unknown = np.full((parameters, parameters), np.inf), math.inf
    if values <= parameters or not (length > 0).all():
        return unknown
    _, singular, rows = np.linalg.svd(jacobian / length, full_matrices=False)
    if singular[-1] < 1e-14 * singular[0]:
        return unknown
    inverse = (rows.T / singular**2) @ rows / np.outer(length, length)
    return inverse * float(residual @ residual) / (values - parameters), float(singular[0] / singular[-1])
