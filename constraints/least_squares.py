"""Nonlinear least squares under bounds, with errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from physgen.constraints.fit import ENOUGH, Fit
from physgen.errors import InvalidArgument, NoSolution

#: residuals ``[N]`` and their Jacobian ``[N, P]`` at parameters ``[P]``
Model = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

#: largest condition number of the Jacobian, its columns scaled to length 1, at which the parameters are identifiable
IDENTIFIABLE = 1e4
#: part of the range, or of the value, within which a parameter is at its bound
AT_BOUND = 1e-6
#: probability of explaining as much by chance, above which nothing is measured
CHANCE = 0.01
#: part of the power that must be left without noise, to be motion
NOTHING = 0.01


@dataclass(frozen=True)
class Estimate:
    """Best parameters of one sample and their covariance.

    Attributes:
        value: of each parameter.
        covariance: of the parameters.
        condition: how badly the data tell them apart.
        identifiable: whether the data determine all of them.
        bounds: lowest and highest value that was allowed, ``[2, P]``.
        groups: of residuals that are independent of each other: degrees of freedom, and P.
        explained: the part of the data's power that they explain, NaN where nobody asked.
        chance: probability of explaining as much where the parameters do nothing, see `judged`.
        coarse: errors that steps of time make of the parameters, at most, as parts of their standard errors.
        interval: 95 % interval of each ``[P, 2]``, where it is not value +- t error.
        doubt: what else the data show that the parameters would be taken for, None where nothing.
    """

    value: Float64[np.ndarray, "P"]
    covariance: Float64[np.ndarray, "P P"]
    condition: float
    identifiable: bool
    bounds: Float64[np.ndarray, "2 P"]
    groups: int
    explained: float = math.nan
    chance: float = 1.0
    coarse: float = 0.0
    interval: Float64[np.ndarray, "P 2"] | None = None
    doubt: str | None = None

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

    at = lru_cache(maxsize=2)(lambda key: model(np.frombuffer(key).copy()))

    size = len(at(start.tobytes())[0])

    def residual(p: np.ndarray) -> np.ndarray:
        try:
            return at(p.tobytes())[0]
        except (InvalidArgument, NoSolution):
            return np.full(size, np.inf)

    found = scipy.optimize.least_squares(
        residual,
        start,
        lambda p: at(p.tobytes())[1],
        (low, high),
        xtol=precision,
        ftol=precision,
        gtol=1e-12,
        max_nfev=100,
    )
    return fitted(found.x, *at(found.x.tobytes()), low, high)


def fitted(
    value: Float64[np.ndarray, "P"],
    residual: Float64[np.ndarray, "N"],
    jacobian: Float64[np.ndarray, "N P"],
    low: Float64[np.ndarray, "P"],
    high: Float64[np.ndarray, "P"],
    groups: Int64[np.ndarray, "N"] | None = None,
) -> Estimate:
    """The estimate at its parameters, with the covariance, condition and verdict of `least_squares`.

    Residuals of one group may depend on each other. Where ``groups`` says which belong together, variances are
    `widened`.

    Source: cluster-robust variance, Liang and Zeger (1986), Biometrika 73:13.

    >>> fitted(np.ones(1), np.array([0.1, -0.1]), np.ones((2, 1)), np.zeros(1), np.full(1, 9.0)).identifiable
    True
    """
    covariance, condition = _errors(residual, jacobian)
    count = len(residual)
    if groups is not None:
        count = int(groups.max()) + 1
        scores = np.zeros((count, len(value)))
        np.add.at(scores, groups, jacobian * residual[:, None])
        if np.isfinite(covariance).all():
            covariance = widened(covariance, np.linalg.inv(jacobian.T @ jacobian), scores)
    determined = bool((np.diag(covariance) < (high - low) ** 2).all())
    identifiable = determined and condition <= IDENTIFIABLE
    return Estimate(value, covariance, condition, identifiable, np.stack([low, high]), count)


def widened(
    covariance: Float64[np.ndarray, "P P"], inverse: Float64[np.ndarray, "P P"], scores: Float64[np.ndarray, "G P"]
) -> Float64[np.ndarray, "P P"]:
    """Variances of residuals that depend on each other within groups, where they are larger; correlations stay.

    (J^T J)^-1 (sum_g s_g s_g^T) (J^T J)^-1 G / (G - 1),  s_g = J_g^T r_g

    >>> widened(np.eye(1), np.eye(1), np.array([[2.0], [-2.0]])).tolist()
    [[16.0]]
    """
    count = len(scores)
    if count < 2:
        return covariance
    robust = inverse @ (scores.T @ scores) @ inverse * count / (count - 1)
    variance = np.diag(covariance)
    ratio = np.divide(np.diag(robust), variance, out=np.ones_like(variance), where=variance > 0)
    factor = np.sqrt(ratio.clip(min=1.0))
    return covariance * np.outer(factor, factor)


def explained_part(left: float, power: float, noise: float = 0.0) -> float:
    """1 - (left - noise) / (power - noise): what a model explains of data of that power, noise apart; NaN of nothing.

    Of noise twice as much as is left, at least half was signal that turns fast: then what is left is the noise.

    >>> explained_part(1.0, 4.0), explained_part(2.0, 4.0, noise=2.0), explained_part(0.1, 4.0, noise=5.0)
    (0.75, 1.0, 1.0)
    """
    noise = left if noise > 2 * left else noise
    motion = power - noise
    return 1 - max(left - noise, 0.0) / motion if motion > NOTHING * power else math.nan


def judged(one: Estimate, left: float, power: float, noise: float = 0.0) -> Estimate:
    """The estimate with what it explains, and the probability of explaining as much by chance.

    F = (power - left) / left (G - P) / P, of F(P, G - P) where the parameters do nothing

    ``left`` and ``power`` are sums of squares with the parameters and without them, ``noise`` is what is in both.

    Source: the F-test of nested models, Fisher (1922), J. R. Stat. Soc. 85:597.
    """
    from scipy.stats import f

    free, count = one.groups - len(one.value), len(one.value)
    odds = (power - left) / left if left > 0 else math.inf
    chance = float(f.sf(odds * free / count, count, free)) if free > 0 and power > 0 else 1.0
    return replace(one, explained=explained_part(left, power, noise), chance=chance)


def joined(names: Sequence[str], estimates: Sequence[Estimate]) -> Fit:
    """Estimates of several samples as one fit, their constants by name.

    >>> one = fitted(np.ones(1), np.array([0.1, -0.1]), np.ones((2, 1)), np.zeros(1), np.full(1, 9.0))
    >>> joined(["k"], [one]).values
    {'k': [1.0]}
    """
    reasons = [why_unmeasured(names, one) for one in estimates]
    return Fit(
        {name: [float(one.value[index]) for one in estimates] for index, name in enumerate(names)},
        {name: [float(one.error[index]) for one in estimates] for index, name in enumerate(names)},
        {name: [interval_of(one, index) for one in estimates] for index, name in enumerate(names)},
        [one.condition for one in estimates],
        [one.identifiable for one in estimates],
        [one.explained for one in estimates],
        [reason is None for reason in reasons],
        reasons,
    )


def interval_of(one: Estimate, index: int) -> list[float]:
    """95 % interval of a parameter, within its bounds: its own, or value +- t error.

    >>> one = fitted(np.ones(1), np.array([0.1, -0.1]), np.ones((2, 1)), np.zeros(1), np.full(1, 9.0))
    >>> [round(end, 2) for end in interval_of(one, 0)]
    [0.0, 2.27]
    """
    from scipy.stats import t

    low, high = one.bounds[:, index]
    if one.interval is not None:
        ends = one.interval[index]
    else:
        reach = t.ppf(0.975, max(one.groups - len(one.value), 1)) * one.error[index]
        ends = np.array([one.value[index] - reach, one.value[index] + reach])
    return [float(max(ends[0], low)), float(min(ends[1], high))]


def why_unmeasured(names: Sequence[str], one: Estimate) -> str | None:
    """Why the data do not carry the parameters of a fit; None where they do.

    They do where none is at a bound, they can be told apart, nothing else is seen that they would be taken for, and
    they explain at least `ENOUGH` of the motion, and more than chance does.

    >>> one = fitted(np.zeros(1), np.array([0.1, -0.1]), np.ones((2, 1)), np.zeros(1), np.full(1, 9.0))
    >>> why_unmeasured(["k"], one)
    'k is at its lowest value, 0'
    """
    for name, value, low, high in zip(names, one.value, *one.bounds, strict=True):
        size = max(abs(value), high - low if math.isfinite(high - low) else 0.0)
        for end, word in ((low, "lowest"), (high, "highest")):
            if math.isfinite(end) and abs(value - end) <= AT_BOUND * size:
                return f"{name} is at its {word} value, {end:g}"
    if not one.identifiable:
        return f"the fields do not tell {', '.join(names)} apart from other values"
    if one.doubt is not None:
        return one.doubt
    if math.isnan(one.explained):
        return "nothing moves by more than noise"
    if one.explained < ENOUGH:
        return f"the law explains {100 * max(one.explained, 0.0):.1f} % of the motion"
    if one.chance > CHANCE:
        return "as much would be explained by chance"
    return None


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
