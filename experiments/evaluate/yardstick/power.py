"""How often the 95 % test of each metric tells videos with a planted error from others of the same prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physgen.experiments.evaluate.yardstick.planted import ERRORS, NOTHING
from physgen.experiments.evaluate.yardstick.pool import (
    ASKED,
    ATTRIBUTE,
    CONTENT,
    JUDGE,
    LOOKS,
    MOTION,
    RENDERING,
    SCORES,
    Pool,
)
from physgen.experiments.instruments.clip import Array
from physgen.experiments.measure.conditional import (
    ConditionalDiscrepancy,
    bandwidth_within,
    gaussian_kernel,
    pair_terms,
    same_class,
    swap_p_value,
)
from physgen.experiments.measure.distances import median_bandwidth
from physgen.experiments.measure.intervals import Indices, Interval, bootstrap

LEVEL = 0.05
#: metric -> reading that it is taken from, and whether videos of the same prompt only are compared
METRICS = {
    "pooled MMD, judge": (JUDGE, False),
    "conditional MMD, judge": (JUDGE, True),
    "conditional MMD, content": (CONTENT, True),
    "conditional MMD, motion": (MOTION, True),
    "conditional MMD, rendering": (RENDERING, True),
    "attributes recognised": (ATTRIBUTE, False),
    "instruments, what is asked": (ASKED, False),
    "instruments, picture": (LOOKS, False),
}


@dataclass(frozen=True)
class Repetition:
    """Rows of truth and sample ``[N]`` whose i-th prompts ask for the same, and which of the sample have the error."""

    truth: Indices
    sample: Indices
    faulty: np.ndarray


def repetition(pool: Pool, error: str, n: int, rng: np.random.Generator) -> Repetition:
    """``n`` pairs of different videos out of a pool, and the planted share of those that can have the error."""
    rows: dict[object, list[int]] = {}
    for i, label in enumerate(pool.classes):
        rows.setdefault(label, []).append(i)
    pairs = np.concatenate([rng.permutation(same)[: len(same) // 2 * 2].reshape(-1, 2) for same in rows.values()])
    truth, sample = rng.permutation(pairs)[:n].T
    able = np.flatnonzero(np.isfinite(pool.read[error, JUDGE][sample, 0]))
    faulty = np.zeros(n, bool)
    faulty[rng.permutation(able)[: round(ERRORS[error] * len(able))]] = True
    return Repetition(truth, sample, faulty)


@dataclass(frozen=True)
class Metric:
    """Terms of the statistic of a metric, for a planted error; rows ``N + i`` of the kernel are video i with it."""

    kernel: Array | None
    scores: Array | None
    conditional: bool
    same: Array

    def terms(self, rep: Repetition) -> Array:
        """``[n, n]``, as `swap_p_value` takes them."""
        sample = np.where(rep.faulty, rep.sample + len(self.same), rep.sample)
        if self.scores is not None:
            difference = self.scores[sample] - self.scores[rep.truth]
            return np.outer(difference, difference)
        assert self.kernel is not None
        found = pair_terms(self.kernel, rep.truth, sample)
        return found * self.same[np.ix_(rep.truth, rep.truth)] if self.conditional else found


def metric(pool: Pool, error: str, name: str) -> Metric | None:
    """A metric made ready for a planted error; ``None`` where the family has no such reading.

    Features are divided by ``sqrt(1 + variance within a prompt)`` of faultless videos, but for those of the judge. The
    bandwidth is the median distance of faultless videos, at least 1 for plain readings.
    """
    reading, conditional = METRICS[name]
    same = same_class(pool.classes)
    clean, wrong = pool.read[NOTHING, reading], np.nan_to_num(pool.read[error, reading])
    if reading in SCORES:
        values = np.concatenate([clean, wrong]).reshape(len(clean) * 2, -1)[:, 0]
        return Metric(None, values, conditional, same)
    if not clean.shape[1]:
        return None
    if reading != JUDGE:
        centred = clean - same @ clean / same.sum(1)[:, None]
        scale = np.sqrt(1.0 + np.square(centred).mean(0))
        clean, wrong = clean / scale, wrong / scale
    width = bandwidth_within(clean, pool.classes) if conditional else median_bandwidth(clean)
    if reading != JUDGE:
        width = max(width, 1.0)
    return Metric(gaussian_kernel(np.concatenate([clean, wrong]), width), None, conditional, same)


def floor(pool: Pool, reading: str, n: int, seed: int) -> Interval:
    """Conditional MMD^2 of simulator and simulator, other seeds of the same prompts, with an interval over prompts."""
    rep = repetition(pool, NOTHING, n, np.random.default_rng([seed, n]))
    found = metric(pool, NOTHING, next(name for name, how in METRICS.items() if how == (reading, True)))
    assert found
    weights = found.same[np.ix_(rep.truth, rep.truth)]
    return bootstrap(ConditionalDiscrepancy(found.terms(rep), weights), n, seed=seed)


def p_values(pool: Pool, error: str, n: int, repetitions: int, seed: int) -> dict[str, list[float]]:
    """p-value of every metric in every repetition; all metrics see the same videos and the same swaps."""
    ready = {name: found for name in METRICS if (found := metric(pool, error, name))}
    values: dict[str, list[float]] = {name: [] for name in ready}
    for index in range(repetitions):
        rep = repetition(pool, error, n, np.random.default_rng([seed, n, index]))
        for name, found in ready.items():
            values[name].append(swap_p_value(found.terms(rep), seed=seed + index))
    return values
