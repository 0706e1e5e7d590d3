"""Traces, recovery and exchange against curves and movies that are known."""

from __future__ import annotations

import numpy as np
import pytest
from moving_movies import recovering

from physgen.measure import change_from_baseline, find_bleached, fit_exchange, fit_recovery, measure_regions
from physgen.measure import trace_region as trace
from physgen.measure.recovery import normalise


@pytest.mark.parametrize("immobile", [0.0, 0.3])
def test_a_bleached_disc_recovers_by_diffusion(immobile: float) -> None:
    found = measure_regions(recovering(0, immobile), times=[0.5 * t for t in range(68)])
    assert found.bleached == 8
    recovery = found.recovery
    assert recovery is not None
    assert recovery.model == "diffusion"
    assert recovery.half_time is not None
    assert recovery.mobile is not None
    assert recovery.half_time[0] == pytest.approx(0.8813 * 8**2 / 4 * 0.5, rel=0.15)
    assert recovery.mobile[0] == pytest.approx(1 - immobile, abs=0.06)
    region = found.labels > 0
    y, x = np.indices(region.shape) - 40.0
    assert (region & (np.hypot(y, x) < 8)).sum() > 0.9 * (region | (np.hypot(y, x) < 8)).sum()


@pytest.mark.parametrize("draws", [6, pytest.param(40, marks=pytest.mark.slow)])
def test_intervals_of_a_half_time_cover_it(draws: int) -> None:
    t = np.arange(60.0)
    true = 0.2 + 0.5 * (1 - np.exp(-np.log(2) * t / 8))
    hits = []
    for seed in range(draws):
        noise = 0.03 * np.random.default_rng(seed).standard_normal(60)
        found = fit_recovery(t, true + noise, before=1.0, seed=seed)
        assert found.half_time is not None
        assert found.mobile is not None
        hits.append((found.half_time[1] < 8 < found.half_time[2], found.mobile[1] < 0.625 < found.mobile[2]))
    assert (np.mean(hits, 0) > 0.8).all()


def test_a_recovery_that_is_not_over_has_no_half_time() -> None:
    t = np.arange(30.0)
    rng = np.random.default_rng(0)
    found = fit_recovery(t, 0.2 + 0.6 * (1 - np.exp(-t / 200)) + 0.01 * rng.standard_normal(30), before=1.0)
    assert "not over" in (found.reason or "")
    assert found.half_time is None
    assert "nothing comes back" in (fit_recovery(t, 0.2 + 0.01 * rng.standard_normal(30)).reason or "")


def test_exchange_has_its_two_rates() -> None:
    t = np.arange(0, 80, 2.0)
    decay = np.exp(-0.08 * t)
    noise = 0.03 * np.random.default_rng(0).standard_normal((2, 40))
    found = fit_exchange(t, 3 - 2 * decay + noise[0], 1 + 2 * decay + noise[1])
    assert found.into is not None
    assert found.out_of is not None
    assert found.into[1] < 0.06 < found.into[2]
    assert found.out_of[1] < 0.02 < found.out_of[2]


def test_change_is_against_the_baseline_without_the_background() -> None:
    movie = np.full((20, 32, 32), 100.0)
    movie[:, 8:16, 8:16] += 50
    movie[10, 8:16, 8:16] += 25
    movie += np.arange(20.0)[:, None, None]
    cell, around = np.zeros((2, 32, 32), dtype=bool)
    cell[8:16, 8:16], around[20:, 20:] = True, True
    np.testing.assert_allclose(change_from_baseline(trace(movie, cell, around)), [0.5 * (t == 10) for t in range(20)])
    with pytest.raises(ValueError, match="region"):
        trace(movie, ~cell & cell)


def test_regions_that_flash_have_a_peak() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    light = 1 + 0.4 * np.exp(-0.5 * ((np.arange(30) - 12) / 2) ** 2)
    cells = [np.hypot(y - r, x - c) < 7 for r, c in ((16, 16), (16, 48), (48, 32))]
    movie = 20 + sum(100 * light[:, None, None] * cell for cell in cells) + rng.standard_normal((30, 64, 64))
    found = measure_regions(movie)
    assert found.labels.max() == 3
    assert found.peak is not None
    assert found.peak[0] == pytest.approx(0.4, abs=0.06)


def test_movies_without_bleaching_have_none() -> None:
    rng = np.random.default_rng(0)
    assert find_bleached(100 + rng.standard_normal((20, 48, 48))) is None
    y, x = np.mgrid[:64, :64]
    moving = [100 * np.exp(-((y - 32) ** 2 + (x - 10 - 2 * t) ** 2) / 50) for t in range(20)]
    assert find_bleached(np.array(moving) + rng.standard_normal((20, 64, 64))) is None
    fading = 100 * np.exp(-np.arange(20) / 10)[:, None, None] * np.ones((20, 48, 48))
    assert find_bleached(fading + rng.standard_normal((20, 48, 48))) is None


def test_what_cannot_be_measured_says_why() -> None:
    y, x = np.mgrid[:48, :48]
    still = np.repeat(100.0 * (np.hypot(y - 24, x - 24) < 9)[None], 12, 0)
    still = still + np.random.default_rng(0).standard_normal(still.shape)
    assert "still" in (measure_regions(still).reason or "")
    assert "at least 3" in (measure_regions(still[:2]).reason or "")
    assert "no regions" in (measure_regions(np.random.default_rng(0).standard_normal((9, 48, 48))).reason or "")


@pytest.mark.parametrize("dark", [slice(10, 11), slice(12, None), slice(1, None, 2)])
def test_light_that_goes_out_is_no_recovery_and_no_change(dark: slice) -> None:
    y, x = np.mgrid[:64, :64]
    places = np.random.default_rng(0).uniform(8, 56, (12, 2))
    bright = sum(400 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 5) for a, b in places)
    movie = 100 + bright + np.random.default_rng(1).normal(0, 5, (40, 64, 64))
    movie[dark] = 0.0
    found = measure_regions(movie)
    assert found.reason is not None
    assert found.recovery is None
    assert found.peak is None


def test_a_recovery_that_is_faster_than_a_frame_has_no_half_time() -> None:
    t = np.arange(30.0)
    noise = 0.005 * np.random.default_rng(0).standard_normal(30)
    found = fit_recovery(t, 0.2 + 0.6 * (1 - np.exp(-np.log(2) / 0.02 * t)) + noise, before=1.0)
    assert found.half_time is None
    assert found.reason is not None
    assert "less than the time between two frames" in found.reason
    assert fit_recovery(t, np.where(t == 3, np.nan, t)).reason == "the brightness is not a number in every frame"


def bleached_cell(fade: float, pulse: float = 1.0) -> np.ndarray:
    """A region of 8 px in a cell of 10, bleached in frame 6, to 70 % mobile; ``pulse`` brightens frame 5."""
    t, r = np.arange(50.0), np.hypot(*(np.mgrid[:48, :48] - 23.5))
    light = np.where(t < 6, 1.0, 0.2 + 0.56 * (1 - np.exp(-0.1 * (t - 6))))
    light[5] = pulse
    inside = np.where(r < 8, light[:, None, None], 1.0) / (1 + np.exp(r - 10))
    noise = 3 * np.random.default_rng(0).standard_normal((50, 48, 48))
    return 100 + 200 * inside * np.exp(-fade * t)[:, None, None] + noise


def test_a_region_that_is_most_of_a_cell_is_not_measured_where_light_fades() -> None:
    found = measure_regions(bleached_cell(0.01))
    assert found.bleached == 6
    assert found.recovery is None
    assert "light fades" in (found.reason or "")
    steady = measure_regions(bleached_cell(0.0)).recovery
    assert steady is not None
    assert steady.half_time is not None
    assert steady.mobile is not None
    assert steady.half_time[0] == pytest.approx(np.log(2) / 0.1, rel=0.03)
    assert steady.mobile[0] == pytest.approx(0.7, abs=0.02)


def test_light_of_the_bleaching_pulse_is_not_brightness_before() -> None:
    recovery = measure_regions(bleached_cell(0.0, pulse=3.0)).recovery
    assert recovery is not None
    assert recovery.mobile is not None
    assert recovery.mobile[0] == pytest.approx(0.7, abs=0.03)
    np.testing.assert_allclose(normalise(np.array([4.0, 9.0, 1.0]), np.array([8.0, 9.0, 8.0]), 2), [1, 2, 0.25])


def test_no_more_comes_back_than_was_bleached() -> None:
    t = np.arange(60.0)
    found = fit_recovery(t, 0.2 + 0.92 * (1 - np.exp(-0.1 * t)), before=1.0)
    assert "the model does not hold" in (found.reason or "")
    assert found.mobile is None
    near = fit_recovery(t, 0.2 + 0.82 * (1 - np.exp(-0.1 * t)), before=1.0).mobile
    assert near is not None
    assert near[1] <= 1 < near[0]


@pytest.mark.parametrize("peak", [0.0, 0.5])
def test_a_common_fade_is_no_change_of_regions(peak: float) -> None:
    t, rng = np.arange(60.0), np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    cells = sum(np.hypot(y - r, x - c) < 6 for r in (16, 48) for c in (16, 48))
    light = (1 + peak * np.exp(-0.5 * ((t - 30) / 4) ** 2)) * np.exp(-0.006 * t)
    found = measure_regions(100 + 100 * light[:, None, None] * cells + 5 * rng.standard_normal((60, 64, 64)))
    assert found.faded == pytest.approx(1 - np.exp(-0.006 * 59), abs=0.03)
    if peak:
        assert found.peak is not None
        assert found.peak[0] == pytest.approx(peak, abs=0.05)
    else:
        assert found.peak is None
        assert "all regions fade" in (found.reason or "")
