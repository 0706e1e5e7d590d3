"""Distances between sets of feature vectors, and intervals for them.

Unbiased MMD^2 is the primary distance: of prompts drawn at random its expectation does not depend on their number.
Prompts that go round the combinations of attributes make it a little low, see `Discrepancy`. The Frechet distance is
biased upwards by about (dimensions / samples), so it is measured on the leading principal components of the reference
(`principal_axes`) and never without a floor of the same size beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.errors import InvalidArgument

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """An estimate with a bootstrap interval."""

    estimate: float
    low: float
    high: float


def plain(found: Any) -> Any:
    """The same with its intervals as dictionaries, at any depth, as JSON has them.

    >>> plain({"mass": {"mean": Interval(0.5, 0.25, 1.0)}, "n": 8})
    {'mass': {'mean': {'estimate': 0.5, 'low': 0.25, 'high': 1.0}}, 'n': 8}
    """
    if isinstance(found, Interval):
        return asdict(found)
    return {key: plain(value) for key, value in found.items()} if isinstance(found, Mapping) else found


def matched_root(a: Array, b: Array) -> float:
    """Trace of the square root of ``a b`` for covariance matrices, from the symmetric ``a^1/2 b a^1/2``.

    >>> round(matched_root(np.diag([4.0, 1.0]), np.diag([9.0, 1.0])), 12)
    7.0
    """
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return float(np.sqrt(np.linalg.eigvalsh(root @ b @ root).clip(min=0)).sum())


def frechet(x: Array, y: Array) -> float:
    """Squared Frechet distance between the Gaussians fitted to two sets.

    |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^1/2)

    ``x`` is ``[N, F]``, ``y`` ``[M, F]``, in float64, without shrinkage.

    Raises: InvalidArgument for fewer than two vectors per dimension.

    Source: Dowson and Landau (1982); Heusel et al., arXiv:1706.08500.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(frechet(x, x + np.array([3.0, 4.0])), 9)
    25.0
    """
    if min(len(x), len(y)) < 2 * x.shape[1]:
        allowed = f"at least {2 * x.shape[1]} per set, twice the dimensions"
        raise InvalidArgument("vectors", (len(x), len(y)), allowed)
    cov_x, cov_y = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (x, y))
    shift = x.mean(0) - y.mean(0)
    return float(shift @ shift + np.trace(cov_x) + np.trace(cov_y) - 2.0 * matched_root(cov_x, cov_y))


def principal_axes(reference: Array, count: int) -> Array:
    """Leading principal directions ``[F, count]`` of the reference, scaled to unit variance of the first one.

    >>> reference = np.random.default_rng(0).normal(size=(500, 2)) * [10.0, 1.0]
    >>> bool(np.allclose(abs(principal_axes(reference, 1)[:, 0]), [0.1, 0.0], atol=1e-2))
    True
    """
    centred = reference - reference.mean(0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(axes[:count].T * np.sqrt(len(reference) - 1) / singular[0])


def median_bandwidth(reference: Array) -> float:
    """Median distance between two vectors of the reference.

    >>> median_bandwidth(np.array([[0.0], [1.0], [3.0]]))
    2.0
    """
    distance = np.sqrt(squared_distances(reference, reference))
    return float(np.median(distance[np.triu_indices(len(reference), 1)]))


def squared_distances(x: Array, y: Array) -> Array:
    """``|x_i - y_j|^2``, ``[N, M]``."""
    return np.asarray(np.square(x[:, None] - y[None]).sum(-1))


@dataclass(frozen=True)
class Discrepancy:
    """Unbiased squared maximum mean discrepancy of two sets whose i-th members share a prompt.

    mean_{i != j} h_ij,  h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)

    ``k(a, b) = exp(-|a - b|^2 / (2 bandwidth^2))``. Pairs ``i = j`` are left out of every term: members that share a
    prompt are not independent, and only so is the expectation 0 where samples of each prompt have the same law.

    Prompts that go round k combinations of attributes, equally often each, are not drawn at random. With d_p the
    difference of the mean embeddings of both sets at combination p, the expectation is then too low by the variance of
    d_p over the combinations, divided by n - 1. That is 0 where nothing differs. Two arms whose d_p vary alike have it
    in common, so their difference does not have it, to first order.

    Source: Gretton et al. (2012), JMLR 13:723, lemma 6.

    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> near, far = (Discrepancy.gaussian(x[:100], x[100:] + shift, 2.0)() for shift in (0, 1))
    >>> abs(near) < 0.01 < far
    True
    """

    terms: Array

    @classmethod
    def gaussian(cls, x: Array, y: Array, bandwidth: float) -> Discrepancy:
        """Of ``x [N, F]`` and ``y [N, F]``.

        Raises: InvalidArgument for sets of different sizes.
        """
        if len(x) != len(y):
            raise InvalidArgument("vectors", (len(x), len(y)), "two sets of the same size")
        xx, yy, xy = (np.exp(-squared_distances(a, b) / (2.0 * bandwidth**2)) for a, b in ((x, x), (y, y), (x, y)))
        terms = xx + yy - xy - xy.T
        np.fill_diagonal(terms, 0.0)
        return cls(terms)

    def __call__(self, rows: Indices | None = None) -> float:
        """The estimate; with ``rows`` that of the resampled prompts.

        A resampled set holds members more than once; pairs of a member with itself stay out, so that resampling adds no
        bias.
        """
        count = np.ones(len(self.terms)) if rows is None else np.bincount(rows, minlength=len(self.terms))
        return float(count @ self.terms @ count / (count.sum() ** 2 - np.square(count).sum()))


def bootstrap(
    statistic: Callable[[Indices], float], count: int, *, seed: int = 0, draws: int = 1000, level: float = 0.95
) -> Interval:
    """Percentile interval of ``statistic(rows)`` over resampled rows, centred on the estimate.

    The percentiles are those of the resampled statistic minus its mean, added to the estimate from all rows: a
    covariance of resampled vectors is too small, which would otherwise push a Frechet distance out of its own interval.
    A paired comparison of two arms is a statistic that looks up both in the same rows.

    Where nothing differs, `Discrepancy` is a degenerate U-statistic, whose variance resampling makes too large: its
    intervals are about 1.5 times too wide there (1.5 for 64 prompts and 1.6 for 32, normal features in 8 dimensions)
    and hold 0 too often. They are 1.2 times too wide where one feature is shifted by half a standard deviation.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap.

    >>> x = np.arange(100.0)
    >>> interval = bootstrap(lambda rows: float(x[rows].mean()), 100)
    >>> interval.low < 49.5 == interval.estimate < interval.high
    True
    """
    rng = np.random.default_rng(seed)
    estimate = statistic(np.arange(count))
    resampled = np.array([statistic(rng.integers(count, size=count)) for _ in range(draws)])
    spread = np.nanquantile(resampled - np.nanmean(resampled), [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(estimate + spread[0]), float(estimate + spread[1]))


def mean_interval(values: Array, *, seed: int = 0, draws: int = 1000, level: float = 0.95) -> Interval:
    """Mean with its bootstrap percentile interval, of the values that are finite; NaN when none is.

    Of few values the interval is too narrow: one of 95 % held the mean of normal values in 0.885 of cases for n = 8,
    0.926 for 16 and 0.945 for 64 (2,000 cases each). Where all values are equal it has no width, and excludes no other
    mean: where 64 of 64 are right, Wilson's interval is [0.94, 1].

    >>> mean_interval(np.array([1.0, 1.0, np.nan])).high
    1.0
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Interval(np.nan, np.nan, np.nan)
    means = finite[np.random.default_rng(seed).integers(len(finite), size=(draws, len(finite)))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(finite.mean()), float(low), float(high))
