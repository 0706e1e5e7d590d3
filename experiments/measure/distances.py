"""Distances between sets of feature vectors.

Unbiased MMD^2 is the primary distance: of prompts drawn at random its expectation does not depend on their number.
Prompts that go round the combinations of attributes make it a little low, see `Discrepancy`. The Frechet distance is
biased upwards by about (dimensions / samples), so it is measured on the leading principal components of the reference
(`principal_axes`) and never without a floor of the same size beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physgen.errors import InvalidArgument
from physgen.experiments.measure.intervals import Array, Indices


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
