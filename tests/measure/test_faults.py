"""Faults are found where they were planted, and none where nothing was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from moving_movies import Movie, draw_beads, texture
from scipy.ndimage import gaussian_filter

from physgen.measure import find_faults
from physgen.measure.light import measure_gain, steps_of
from physgen.measure.order import compare_frames, jumps, shorter_orders


def found(movie: Movie) -> dict[str, int | None]:
    return {sign.fault: sign.frame for sign in find_faults(movie) if sign.found}


def beads(seed: int = 0) -> Movie:
    return 400 + draw_beads(seed, beads=80, frames=24, size=128, step=0.6)[0]


def flowing(frames: int = 16) -> Movie:
    """A coarse texture that goes by 1.4 px a frame, with noise."""
    coarse = gaussian_filter(texture(0, 96), 3.0, mode="wrap")
    noise = np.random.default_rng(1).standard_normal((frames, 96, 96))
    return np.stack([500 + 50 * np.roll(coarse / coarse.std(), (t, t), (0, 1)) for t in range(frames)]) + noise


@pytest.mark.parametrize("movie", [beads(), beads(1), flowing()], ids=["beads", "other beads", "flow"])
def test_nothing_is_found_where_nothing_is_wrong(movie: Movie) -> None:
    assert found(movie) == {}


@pytest.mark.parametrize("movie", [beads(), flowing()], ids=["beads", "flow"])
def test_frames_out_of_order_are_found(movie: Movie) -> None:
    swapped, permuted = movie.copy(), movie.copy()
    swapped[[7, 8]] = movie[[8, 7]]
    permuted[7:10] = movie[[8, 9, 7]]
    for given in (swapped, permuted):
        said = found(given)
        assert set(said) <= {"order", "gap"}
        assert said["order"] is not None
        assert 4 <= said["order"] <= 8


@pytest.mark.parametrize("movie", [beads(), flowing()], ids=["beads", "flow"])
def test_missing_frames_are_found_where_they_are_missing(movie: Movie) -> None:
    assert found(np.delete(movie, [8, 9, 10], 0))["gap"] == 7


@pytest.mark.parametrize("movie", [beads(), flowing()], ids=["beads", "flow"])
def test_light_that_falls_is_found_at_once_or_slowly_and_nothing_else(movie: Movie) -> None:
    at_once, slowly = movie.copy(), movie * np.linspace(1, 0.7, len(movie))[:, None, None]
    at_once[9:] *= 0.8
    assert found(at_once) == {"light": 8, "fade": None}
    assert found(slowly) == {"fade": None}
    assert found(slowly[::-1]) == {}


def test_a_bead_from_nowhere_is_found() -> None:
    movie = beads()
    y, x = np.mgrid[:128, :128]
    clear = gaussian_filter(np.max(movie[10:14], 0), 3.0)[20:108, 20:108]
    row, column = (int(k) + 20 for k in np.unravel_index(clear.argmin(), clear.shape))
    movie[12:] += 100 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.8**2))
    assert found(movie).get("arrival") == 11


def test_a_camera_that_jumps_is_found() -> None:
    movie = flowing()
    movie[8:] = np.roll(movie[8:], 12, axis=2)
    assert found(movie)["camera"] == 7


def test_a_movie_that_shows_nothing_has_reasons_and_no_numbers() -> None:
    noise = np.random.default_rng(0).standard_normal((12, 64, 64))
    hole = beads()
    hole[3, 4, 5] = np.nan
    given = {
        "at least 16 x 16": beads()[:, :8, :8],
        "NaN": hole,
        "saturated": np.minimum(beads(), 600),
        "uniform": 500 + noise,
        "frozen": np.repeat(beads()[:1], 12, 0),
        "at least": beads()[:2],
    }
    for words, movie in given.items():
        for sign in find_faults(movie):
            assert sign.value is None
            assert not sign.found
            assert sign.reason is not None
            assert words in sign.reason
    short = {sign.fault: sign.reason for sign in find_faults(beads()[:4])}
    assert short["light"] is None
    assert short["order"] == "4 frames, at least 5 are needed"


def test_gain_is_of_the_light_and_not_of_what_moves() -> None:
    light = np.array([1.0, 1.0, 1.05, 1.0, 0.9, 0.9, 0.9, 0.9])
    gain = measure_gain(flowing(8) * light[:, None, None])
    np.testing.assert_allclose(np.exp(gain), light, atol=0.01)
    steps = steps_of(np.log(light))
    assert steps.argmin() == 3
    assert abs(steps[1]) < 0.02  # one bright frame is no step


def test_likeness_tells_order_whatever_the_noise_adds() -> None:
    quiet, loud = flowing(), flowing() + 20 * np.random.default_rng(2).standard_normal((16, 96, 96))
    for movie in (quiet, loud):
        assert shorter_orders(compare_frames(movie))[0].max() < 0
        assert jumps(compare_frames(np.delete(movie, [5, 6], 0))).argmax() == 4


def test_real_nuclei_are_in_order_until_two_frames_are_swapped(shared: Path) -> None:
    movie = tifffile.imread(shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif")[:20].astype(float)
    assert found(movie) == {}
    movie[[9, 10]] = movie[[10, 9]]
    assert set(found(movie)) == {"order"}
