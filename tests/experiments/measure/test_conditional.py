"""Unbiased where nothing differs; sees what goes with which prompt; exact levels."""

import itertools

import numpy as np
import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.measure.conditional import (
    ConditionalDiscrepancy,
    bandwidth_within,
    gaussian_kernel,
    pair_terms,
    same_class,
    swap_p_value,
)
from physgen.experiments.measure.distances import Discrepancy, median_bandwidth
from physgen.experiments.measure.intervals import bootstrap

CLASSES = ["one", "two", "three", "four"] * 10


def draw(rng: np.random.Generator, shift: int = 0) -> np.ndarray:
    """Features whose mean is that of the class ``shift`` places on."""
    means = np.eye(4)[(np.arange(len(CLASSES)) + shift) % 4]
    return 4.0 * means + rng.normal(size=(len(CLASSES), 4))


def test_is_zero_on_average_where_nothing_differs():
    values = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values.append(ConditionalDiscrepancy.gaussian(draw(rng), draw(rng), CLASSES, 2.0)())
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert np.std(values) > 0


def test_sees_which_content_goes_with_which_prompt_and_the_pooled_distance_does_not():
    conditional, pooled = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x, y = draw(rng), draw(rng, shift=1)
        conditional.append(ConditionalDiscrepancy.gaussian(x, y, CLASSES, 2.0).p_value(seed=seed))
        pooled.append(swap_p_value(Discrepancy.gaussian(x, y, median_bandwidth(x)).terms, seed=seed))
    assert np.mean(np.array(conditional) <= 0.05) == 1.0
    assert np.mean(np.array(pooled) <= 0.05) < 0.15


def test_equals_the_mean_over_pairs_of_one_class_written_out():
    rng = np.random.default_rng(0)
    x, y = draw(rng), draw(rng, shift=1)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-np.square(a - b).sum() / (2 * 2.0**2)))

    terms = [
        k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i])
        for i, j in itertools.permutations(range(len(x)), 2)
        if CLASSES[i] == CLASSES[j]
    ]
    assert ConditionalDiscrepancy.gaussian(x, y, CLASSES, 2.0)() == pytest.approx(np.mean(terms), rel=1e-12)


def test_with_one_class_it_is_the_pooled_distance():
    rng = np.random.default_rng(0)
    x, y = draw(rng), draw(rng)
    conditional, pooled = ConditionalDiscrepancy.gaussian(x, y, ["a"] * 40, 2.0), Discrepancy.gaussian(x, y, 2.0)
    rows = rng.integers(40, size=40)
    assert conditional() == pytest.approx(pooled(), rel=1e-9)
    assert conditional(rows) == pytest.approx(pooled(rows), rel=1e-9)


def test_exchanging_a_pair_changes_the_sign_of_its_terms():
    rng = np.random.default_rng(0)
    kernel = gaussian_kernel(rng.normal(size=(20, 3)), 1.0)
    x, y = np.arange(10), np.arange(10, 20)
    signs = rng.choice([-1.0, 1.0], 10)
    swapped = pair_terms(kernel, np.where(signs > 0, x, y), np.where(signs > 0, y, x))
    assert np.allclose(swapped, pair_terms(kernel, x, y) * np.outer(signs, signs), atol=1e-12)


def test_the_level_is_kept():
    p = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        p.append(ConditionalDiscrepancy.gaussian(draw(rng), draw(rng), CLASSES, 2.0).p_value(seed=seed + 10_000))
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.085


def test_interval_over_prompts_holds_the_estimate():
    rng = np.random.default_rng(0)
    found = ConditionalDiscrepancy.gaussian(draw(rng), draw(rng, shift=1), CLASSES, 2.0)
    interval = bootstrap(found, len(CLASSES), draws=200)
    assert 0 < interval.low < interval.estimate < interval.high


def test_bandwidth_is_that_within_a_class():
    rng = np.random.default_rng(0)
    assert bandwidth_within(draw(rng), CLASSES) < 0.7 * median_bandwidth(draw(rng))
    assert same_class(CLASSES).sum() == 4 * 10 * 9


def test_refuses_what_it_cannot_compare():
    x = np.zeros((3, 2))
    for classes in (["a", "b", "c"], ["a", "a"]):
        with pytest.raises(InvalidArgument, match=r"vectors|classes"):
            ConditionalDiscrepancy.gaussian(x, x, classes, 1.0)
    with pytest.raises(InvalidArgument, match="classes"):
        bandwidth_within(x, ["a", "b", "c"])
    with pytest.raises(InvalidArgument, match="bandwidth"):
        gaussian_kernel(x, 0.0)
