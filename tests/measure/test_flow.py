"""Velocity fields and kymographs against textures that are carried by known flows."""

from __future__ import annotations

import numpy as np
import pytest
from moving_movies import Movie, carried, draw_beads, texture

from physgen.measure import correlate_windows, draw_kymograph, measure_flow, measure_streaks
from physgen.measure.flow import divergence_and_vorticity
from physgen.measure.kymograph import follow_flow
from physgen.measure.smoothing import smooth


def noisy(*frames: Movie) -> Movie:
    return np.stack(frames) + 0.1 * np.random.default_rng(0).standard_normal((len(frames), *frames[0].shape))


def test_rotation_has_vorticity_and_no_divergence() -> None:
    frame = texture(0)
    y, x = np.indices(frame.shape) - 64.0
    found = measure_flow(noisy(frame, carried(frame, 0.04 * x, -0.04 * y)))
    assert found.reason is None
    assert found.divergence is not None
    assert found.divergence[0] < 0.1
    assert found.direction is None
    field = found.field
    assert field is not None
    _, vorticity = divergence_and_vorticity(field.displacement, (field.y[1] - field.y[0],) * 2)
    assert np.median(vorticity[field.valid]) == pytest.approx(0.08, abs=0.005)


def test_displacements_are_within_a_tenth_of_a_pixel_of_vortices() -> None:
    frame = texture(1, 192)
    y, x = np.indices(frame.shape)
    k = 2 * np.pi / 96
    down, right = 2 * np.sin(k * x) * np.cos(k * y), -2 * np.cos(k * x) * np.sin(k * y)
    field = correlate_windows(*noisy(frame, carried(frame, down, right))[:, None])
    rows, columns = np.meshgrid(field.y, field.x, indexing="ij")
    truth = 2 * np.stack([np.sin(k * columns) * np.cos(k * rows), -np.cos(k * columns) * np.sin(k * rows)], -1)
    error = np.hypot(*np.moveaxis(field.displacement - truth, -1, 0))[field.valid]
    assert field.valid.mean() > 0.7
    assert np.median(error) < 0.2
    assert np.quantile(error, 0.9) < 0.5


@pytest.mark.parametrize(("down", "right", "degrees"), [(0.0, 3.0, 0.0), (-2.5, 0.0, 90.0), (2.0, 2.0, -45.0)])
def test_direction_is_counter_clockwise_from_the_right(down: float, right: float, degrees: float) -> None:
    frame = texture(2)
    still = np.zeros(frame.shape)
    found = measure_flow(noisy(frame, carried(frame, still + down, still + right)), spacing=(0.5, 0.5), dt=0.1)
    assert found.direction is not None
    assert found.speed is not None
    assert found.direction[0] == pytest.approx(degrees, abs=1.0)
    assert found.direction[1] <= found.direction[0] <= found.direction[2]
    assert found.speed[0] == pytest.approx(5 * np.hypot(down, right), rel=0.02)
    assert found.explained is not None
    assert found.explained[0] > 0.9


def test_what_stands_still_is_no_flow() -> None:
    """A bright pattern that stays before a dim one that goes on."""
    frame, wall = texture(3), 5 * texture(4)
    movie = noisy(*(wall + np.roll(frame, 2 * t, axis=1) for t in range(12)))
    found = measure_flow(movie)
    assert found.speed_px is not None
    assert found.speed_px[0] == pytest.approx(2.0, rel=0.1)


def drifting(speed: float, frames: int, seed: int = 0) -> Movie:
    """A texture, and noise of a twentieth of it, that goes to the right at a speed, px a frame."""
    frame = texture(seed, 96)
    moved = [carried(frame, 0 * frame, speed * t + 0 * frame) for t in range(frames)]
    return np.stack(moved) + 0.05 * np.random.default_rng(seed).standard_normal((frames, 96, 96))


@pytest.mark.parametrize("frames", [7, 8])
def test_slow_motion_is_as_slow_in_eight_frames_as_in_seven(frames: int) -> None:
    """The mean of few frames of a texture that has hardly moved is that texture, not a background."""
    found = measure_flow(drifting(0.3, frames))
    assert found.speed_px is not None
    assert found.speed_px[0] == pytest.approx(0.3, abs=0.02)
    line = np.array([[48.0, 4.0], [48.0, 91.0]])
    streak = measure_streaks(draw_kymograph(drifting(0.3, frames), line, width=9))
    assert streak.speed_px is not None
    assert streak.speed_px[0] == pytest.approx(0.3, abs=0.05)


def test_slow_motion_before_a_strong_background_is_not_told() -> None:
    movie = drifting(0.3, 8) + 2 * texture(9, 96)
    assert "cannot be told from what stands still" in (measure_flow(movie).reason or "")
    streak = measure_streaks(draw_kymograph(movie, np.array([[48.0, 4.0], [48.0, 91.0]])))
    assert streak.speed is None


def test_a_background_is_taken_off_a_kymograph() -> None:
    movie = drifting(1.5, 30) + 3 * texture(9, 96)
    found = measure_streaks(draw_kymograph(movie, np.array([[48.0, 4.0], [48.0, 91.0]])))
    assert found.speed_px is not None
    assert found.speed_px[0] == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("frames", [2, 6])
def test_a_translation_has_no_ratio_of_divergence_and_vorticity(frames: int) -> None:
    found = measure_flow(drifting(2.0, frames))
    assert found.reason is None
    assert found.divergence is None


def test_what_cannot_be_measured_says_why() -> None:
    frame = texture(5)
    noise = np.random.default_rng(0).standard_normal((10, 96, 96))
    stripes = np.sin(2 * np.pi * (np.arange(96) - 6 * np.arange(6)[:, None, None]) / 10) * np.ones((6, 96, 1))
    reasons = {
        "at least 2": frame[None],
        "nothing is found again": noise,
        "nothing is shown": np.zeros((3, 64, 64)),
        "still: all frames": np.repeat(frame[None], 3, 0),
        "still: nothing moves": noisy(*[frame] * 4),
        "aliased": stripes,
        "farther than half a window": np.stack([frame, np.roll(frame, 50, axis=1)]),
    }
    for words, given in reasons.items():
        found = measure_flow(given)
        assert found.reason is not None, words
        assert words in found.reason
        assert found.speed is None


def test_a_long_still_movie_is_still() -> None:
    assert "still" in (measure_flow(noisy(*[texture(6)] * 12)).reason or "")


def test_smoothing_takes_noise_and_leaves_the_flow() -> None:
    y, x = np.mgrid[:32, :40]
    flow = np.stack([np.sin(x / 6), np.cos(y / 6)], -1)
    rng = np.random.default_rng(0)
    valid = rng.random(x.shape) > 0.2
    seen = flow + 0.2 * rng.standard_normal(flow.shape) + 9 * ~valid[..., None]
    error = np.sqrt(((smooth(seen, valid) - flow) ** 2).mean())
    assert error < 0.12
    assert np.abs(smooth(flow, np.ones_like(valid)) - flow).mean() < 0.01


@pytest.mark.parametrize("speed", [1.7, -3.2])
def test_a_kymograph_tells_the_speed(speed: float) -> None:
    rng = np.random.default_rng(0)
    pattern = np.convolve(rng.standard_normal(600), np.ones(5) / 5, "same")
    along = np.arange(120.0)
    movie = np.stack([np.interp(along - speed * t + 250, np.arange(600), pattern) * np.ones((9, 1)) for t in range(40)])
    drawn = draw_kymograph(movie + 0.3 * rng.standard_normal(movie.shape), np.array([[4.0, 0.0], [4.0, 119.0]]))
    found = measure_streaks(drawn, spacing=0.5, dt=0.1)
    assert found.speed is not None
    assert found.speed_px is not None
    assert found.speed_px[0] == pytest.approx(speed, abs=0.1)
    assert found.speed_px[1] < speed < found.speed_px[2]
    assert found.speed[0] == pytest.approx(5 * found.speed_px[0])


def test_a_regular_pattern_that_is_too_fast_has_no_speed() -> None:
    wave = np.sin(2 * np.pi * (np.arange(100) - 5 * np.arange(30)[:, None]) / 10)
    assert "aliased" in (measure_streaks(wave).reason or "")


def test_a_line_follows_the_flow() -> None:
    frame = texture(7)
    found = measure_flow(noisy(*(np.roll(frame, 2 * t, axis=1) for t in range(9))))
    assert found.field is not None
    line = follow_flow(found.field)
    assert line is not None
    assert line[-1, 1] - line[0, 1] > 80
    assert np.ptp(line[:, 0]) < 8


def test_beads_that_diffuse_are_no_flow() -> None:
    movie, _ = draw_beads(0, frames=20)
    assert measure_flow(movie).reason is not None
