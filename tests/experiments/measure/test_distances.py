"""Distances against closed forms, intervals against known sampling errors."""

import numpy as np
import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.measure.distances import Discrepancy, frechet, median_bandwidth, principal_axes
from physgen.experiments.measure.intervals import bootstrap, mean_interval


def standardised(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    """Vectors whose sample mean is 0 and sample covariance the identity, exactly."""
    x = rng.normal(size=(count, dimensions))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def test_frechet_of_gaussians_is_the_closed_form():
    rng = np.random.default_rng(0)
    x, y = standardised(rng, 200, 3), standardised(rng, 300, 3)
    scale, shift = np.array([2.0, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    expected = shift @ shift + np.square(scale - 1.0).sum()
    assert frechet(x, y * scale + shift) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_rotated_covariances():
    rng = np.random.default_rng(1)
    x, y = standardised(rng, 100, 2), standardised(rng, 100, 2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    a = np.diag([3.0, 1.0])
    b = turn @ np.diag([2.0, 0.5]) @ turn.T
    product = (a @ a) @ (b @ b)
    expected = np.trace(a @ a) + np.trace(b @ b) - 2.0 * np.sqrt(np.linalg.eigvals(product)).real.sum()
    assert frechet(x @ a, y @ b) == pytest.approx(expected, rel=1e-9)
    assert frechet(y @ b, x @ a) == pytest.approx(expected, rel=1e-9)
    assert frechet(x @ a, x @ a) == pytest.approx(0.0, abs=1e-9)


def test_frechet_refuses_too_few_vectors():
    with pytest.raises(InvalidArgument, match="twice the dimensions"):
        frechet(np.zeros((7, 4)), np.zeros((100, 4)))


def test_mmd_is_unbiased_and_matches_the_gaussian_closed_form():
    rng = np.random.default_rng(2)
    same = [Discrepancy.gaussian(rng.normal(size=(40, 5)), rng.normal(size=(40, 5)), 2.0)() for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(len(same))
    assert min(same) < 0
    # k = exp(-|a-b|^2 / 2h^2) of N(0, I) and N(m, I): E k = (1 + 2/h^2)^(-d/2) exp(-|m|^2 / (2h^2 + 4))
    h, shift = 2.0, np.array([1.0, 0, 0, 0, 0])
    base = (1 + 2 / h**2) ** -2.5
    expected = 2 * base * (1 - np.exp(-1.0 / (2 * h**2 + 4)))
    shifted = [
        Discrepancy.gaussian(rng.normal(size=(40, 5)), rng.normal(size=(40, 5)) + shift, h)() for _ in range(400)
    ]
    assert np.mean(shifted) == pytest.approx(expected, abs=float(4 * np.std(shifted) / 20))


def test_resampling_adds_no_bias_to_mmd():
    rng = np.random.default_rng(3)
    discrepancy = Discrepancy.gaussian(rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) + 0.5, 1.5)
    resampled = [discrepancy(rng.integers(60, size=60)) for _ in range(2000)]
    assert np.mean(resampled) == pytest.approx(discrepancy(), abs=4 * np.std(resampled) / np.sqrt(2000))
    assert discrepancy(np.arange(60)) == pytest.approx(discrepancy(), rel=1e-12)


def test_mmd_of_the_same_prompts_is_unbiased():
    """Prompts that differ much, two draws of each: the floor is 0 although both sets have the same mixture."""
    rng = np.random.default_rng(8)
    prompts = np.repeat(np.arange(4), 4)[:, None] * 3.0
    draws = [prompts + rng.normal(size=(2, 16, 1)) for _ in range(400)]
    floor = [Discrepancy.gaussian(x, y, 3.0)() for x, y in draws]
    assert abs(np.mean(floor)) < 3 * np.std(floor) / 20


def test_bootstrap_of_a_mean_has_its_standard_error():
    x = np.random.default_rng(4).normal(size=400)
    interval = mean_interval(x)
    assert interval.estimate == pytest.approx(x.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * x.std() / 20, rel=0.1)
    assert np.isnan(mean_interval(np.array([np.nan])).estimate)


def test_bootstrap_holds_the_estimate_of_a_biased_statistic():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(64, 8)), rng.normal(size=(64, 8))
    interval = bootstrap(lambda rows: frechet(x[rows], y[rows]), 64, draws=200)
    assert interval.low < interval.estimate < interval.high
    again = bootstrap(lambda rows: frechet(x[rows], y[rows]), 64, draws=200)
    assert again == interval


def test_pairing_shrinks_the_interval_of_a_difference():
    rng = np.random.default_rng(6)
    prompt = rng.normal(size=200) * 10
    a, b = prompt + rng.normal(size=200), prompt + 1.0 + rng.normal(size=200)
    paired = mean_interval(b - a)
    assert 0.5 < paired.low < 1.0 < paired.high < 1.5


def test_axes_and_bandwidth_ignore_the_sample():
    reference = np.random.default_rng(7).normal(size=(100, 4)) * [5.0, 1.0, 1.0, 1.0]
    axes = principal_axes(reference, 2)
    assert np.var(reference @ axes[:, 0], ddof=1) == pytest.approx(1.0)
    assert median_bandwidth(reference) == pytest.approx(median_bandwidth(reference + 3.0))
