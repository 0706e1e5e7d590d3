"""Light that is cut off is seen at whatever count, and brightness that truly ends there is not called so."""

from __future__ import annotations

import numpy as np
import pytest

from physgen.measure.ceiling import Ceiling, Clipped
from physgen.simulators import SIMULATORS

Y, X = np.mgrid[:64, :64] - 31.5
WIDTH = 20 + 2 * np.arange(8.0).reshape(-1, 1, 1)
SPOT = 20 / WIDTH * np.exp(-(X**2 + Y**2) / 2 / WIDTH)
NOISY = SPOT + np.random.default_rng(0).normal(0.1, 0.005, SPOT.shape)
DISTANCE = np.stack([np.hypot(X - 1.37 * t + 4, Y - 0.61 * t) for t in range(8)])
NOISE = np.random.default_rng(1).standard_normal(DISTANCE.shape)


def look(movie: np.ndarray, scale: float, step: float = 1.0) -> Clipped:
    ceiling = Ceiling(float(scale), step)
    for frame in movie.astype(float):
        ceiling.add(frame[None])
    return ceiling.clipped(0.0)


@pytest.mark.parametrize(
    ("movie", "scale", "count"),
    [
        ((400 * NOISY).clip(0, 255).round(), 255, 255),
        ((3000 * NOISY).clip(0, 255).round(), 255, 255),
        ((400 * SPOT).clip(0, 255).round(), 255, 255),
        ((6000 * NOISY).clip(0, 4095).round(), 65535, 4095),
        ((6000 * NOISY).clip(0, 3000).round(), 4095, 3000),
        (4 * (120 * NOISY).clip(0, 63).round(), 255, 252),
        ((250 + 5 * NOISE - 100 * SPOT).clip(0, 255).round(), 255, 255),
        ((600 / (1 + np.exp(1.5 * (DISTANCE - 14))) + 10 + 3 * NOISE).clip(0, 255).round(), 255, 255),
    ],
    ids=["8 bit", "most of it", "without noise", "12 bit in 16", "plateau", "comb", "bright field", "overexposed"],
)
def test_light_that_is_cut_off_is_seen(movie: np.ndarray, scale: float, count: float) -> None:
    found = look(movie, scale)
    assert found.count == count
    assert found.pixels == pytest.approx(float((movie == count).mean()))
    assert found.amount == pytest.approx(float(movie[movie == count].sum() / movie.sum()))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_none_are_left_out(value: float) -> None:
    movie = np.minimum(NOISY, 0.6)
    movie[3, 4, 5] = value
    assert look(movie, 1.0, step=0.0).count == pytest.approx(0.6)
    assert look(np.full((2, 8, 8), value), 1.0, step=0.0) == Clipped()


def test_floats_that_are_cut_off_are_seen() -> None:
    assert look(np.minimum(NOISY, 0.6), 1.0, step=0.0).count == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("movie", "scale"),
    [
        ((225 * NOISY).round(), 255),
        ((255 * SPOT / SPOT.max()).round(), 255),
        ((3500 * NOISY).round(), 65535),
        (255.0 * (DISTANCE < 12), 255),
        ((255 * np.clip(12.5 - DISTANCE, 0, 1)).round(), 255),
        ((255 / (1 + np.exp(2 * (DISTANCE - 12)))).round(), 255),
        ((255 * np.exp(-((X - WIDTH / 10) ** 2) / 50)).round(), 255),
        ((4000 * (1 - np.tanh((DISTANCE - 12) / 4)) / 2).round(), 4095),
        (np.full((4, 64, 64), 255.0), 255),
        (np.full((4, 64, 64), 7.0), 255),
        ((200 + 5 * NOISE).round(), 255),
        ((255 - 150 * SPOT).round(), 255),
        (np.random.default_rng(0).poisson(0.1, (8, 64, 64)), 3),
        (np.random.default_rng(0).integers(0, 256, (8, 64, 64)), 255),
        (1000 * (DISTANCE < 12) + 100 + 10 * NOISE.round(), 2047),
    ],
    ids=[
        "noisy", "true largest", "12 bit in 16", "mask", "even disc", "blurred disc", "ridge", "front", "constant",
        "grey", "flat", "white ground", "photons", "random", "two noisy levels",
    ],
)  # fmt: skip
def test_brightness_that_is_whole_is_not_called_cut_off(movie: np.ndarray, scale: float) -> None:
    assert look(movie, scale) == Clipped()


@pytest.mark.parametrize("name", sorted(SIMULATORS))
def test_fields_of_simulators_at_full_scale_are_whole(name: str) -> None:
    for fields in SIMULATORS[name](3, rng=np.random.default_rng(1)).fields:
        amount = np.asarray(fields).sum(0)
        for largest in (255, 60_000):
            assert look((largest * amount / amount.max()).round(), largest).pixels < 0.0005
