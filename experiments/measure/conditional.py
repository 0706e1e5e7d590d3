"""Distance to truth that is conditional on the prompt: it sees which content goes with which prompt.

A pooled distance compares all videos with all videos. It is 0 where every video of "one drop" shows two drops and every
video of "two drops" one. A product kernel on (prompt, features) compares videos of the same prompt only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from physgen.errors import InvalidArgument
from physgen.experiments.measure.distances import squared_distances
from physgen.experiments.measure.intervals import Array, Indices

#: swaps that a p-value is taken from
SWAPS = 199


def gaussian_kernel(x: Array, bandwidth: float) -> Array:
    """``exp(-|x_i - x_j|^2 / (2 bandwidth^2))`` of ``x [N, F]``, as ``[N, N]``.

    Raises: InvalidArgument for a bandwidth that is not positive.

    >>> gaussian_kernel(np.array([[0.0], [1.0]]), 1.0).round(3).tolist()
    [[1.0, 0.607], [0.607, 1.0]]
    """
    if not bandwidth > 0:
        raise InvalidArgument("bandwidth", bandwidth, "above 0")
    square = np.square(x).sum(1)
    return np.asarray(np.exp(-(square[:, None] + square - 2.0 * x @ x.T).clip(min=0) / (2.0 * bandwidth**2)))


def pair_terms(kernel: Array, x: Indices, y: Indices) -> Array:
    """``h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)``, ``[N, N]``, 0 where ``i = j``.

    ``x`` and ``y`` are rows ``[N]`` of the kernel; the i-th of both share a prompt.

    >>> pair_terms(np.eye(4), np.array([0, 1]), np.array([2, 3])).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    cross = kernel[np.ix_(x, y)]
    terms = kernel[np.ix_(x, x)] + kernel[np.ix_(y, y)] - cross - cross.T
    np.fill_diagonal(terms, 0.0)
    return np.asarray(terms)


def same_class(classes: Sequence[object]) -> Array:
    """1 where two prompts ask for the same, else 0, ``[N, N]``; 0 for a prompt and itself.

    >>> same_class(["a", "b", "a"]).tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    numbers = {label: i for i, label in enumerate(dict.fromkeys(classes))}
    labels = np.array([numbers[label] for label in classes])
    return np.asarray((labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool), float)


def swap_p_value(terms: Array, *, seed: int, swaps: int = SWAPS) -> float:
    """Probability of so large a sum of terms if sample and truth of each prompt may be exchanged.

    p = (1 + #{s : s' H s >= 1' H 1}) / (swaps + 1),  s_i = 1 or -1 at random

    To exchange ``x_i`` and ``y_i`` changes the sign of ``h_ij`` for every ``j``. With ``H = d d'`` it is the two-sided
    test of a mean of paired differences ``d [N]``. At most ``alpha`` of faultless samples have ``p <= alpha``.

    Source: Lehmann and Romano (2005), Testing Statistical Hypotheses, section 15.2.

    >>> swap_p_value(np.outer(np.ones(20), np.ones(20)), seed=0), swap_p_value(np.zeros((4, 4)), seed=0)
    (0.005, 1.0)
    """
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (swaps, len(terms)))
    swapped = ((signs @ terms) * signs).sum(1)
    return float((1 + (swapped >= terms.sum() - 1e-9 * np.abs(terms).sum()).sum()) / (swaps + 1))


def bandwidth_within(reference: Array, classes: Sequence[object]) -> float:
    """Median distance of two vectors of the reference ``[N, F]`` whose prompts ask for the same.

    Raises: InvalidArgument where no two do.

    >>> bandwidth_within(np.array([[0.0], [9.0], [1.0]]), ["a", "b", "a"])
    1.0
    """
    labels = list(classes)
    parts = [reference[[i for i, other in enumerate(labels) if other == label]] for label in dict.fromkeys(labels)]
    found = [np.sqrt(squared_distances(part, part))[np.triu_indices(len(part), 1)] for part in parts]
    distances = np.concatenate(found)
    if not len(distances):
        raise InvalidArgument("classes", f"{len(labels)} different ones", "two prompts that ask for the same")
    return float(np.median(distances))


@dataclass(frozen=True)
class ConditionalDiscrepancy:
    """Unbiased squared MMD with a product kernel on (prompt, features), of two sets whose i-th members share a prompt.

    sum_{i != j} w_ij h_ij / sum_{i != j} w_ij,  w_ij = 1 where prompts i and j ask for the same, else 0

    ``h`` is that of `pair_terms`. Where samples of each prompt have the law of truth, its expectation is 0 for every
    ``i != j``. Dividing by the weights makes it the mean over the pairs that are compared.

    Source: Gretton et al. (2012), JMLR 13:723, lemma 6; product kernels: Park and Muandet (2020), arXiv:2002.03689.

    >>> rng = np.random.default_rng(0)
    >>> classes, x = ["a", "b"] * 50, np.tile([[0.0], [9.0]], (50, 1)) + rng.normal(size=(100, 1))
    >>> y = np.tile([[9.0], [0.0]], (50, 1)) + rng.normal(size=(100, 1))
    >>> bool(ConditionalDiscrepancy.gaussian(x, y, classes, 1.0)() > 0.5)
    True
    """

    terms: Array
    weights: Array

    @classmethod
    def gaussian(cls, x: Array, y: Array, classes: Sequence[object], bandwidth: float) -> ConditionalDiscrepancy:
        """Of ``x [N, F]``, ``y [N, F]`` and what each of the N prompts asks for.

        Raises: InvalidArgument for sets of different sizes, or where no two prompts ask for the same.
        """
        if not len(x) == len(y) == len(classes):
            raise InvalidArgument("vectors", (len(x), len(y), len(classes)), "two sets and classes of the same size")
        weights = same_class(classes)
        if not weights.any():
            raise InvalidArgument("classes", f"{len(classes)} different ones", "two prompts that ask for the same")
        rows = np.arange(len(x))
        terms = pair_terms(gaussian_kernel(np.concatenate([x, y]), bandwidth), rows, rows + len(x))
        return cls(weights * terms, weights)

    def __call__(self, rows: Indices | None = None) -> float:
        """The estimate; with ``rows`` that of the resampled prompts, NaN where no two of them ask for the same."""
        count = np.ones(len(self.terms)) if rows is None else np.bincount(rows, minlength=len(self.terms))
        compared = float(count @ self.weights @ count)
        return float(count @ self.terms @ count) / compared if compared else float("nan")

    def p_value(self, *, seed: int, swaps: int = SWAPS) -> float:
        """See `swap_p_value`."""
        return swap_p_value(self.terms, seed=seed, swaps=swaps)
