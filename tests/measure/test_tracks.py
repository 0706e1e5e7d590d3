"""Spots, tracks and diffusion against movies whose motion is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from moving_movies import draw_beads

from physgen.measure import find_spots, link_spots, measure_diffusion, measure_tracks
from physgen.measure.linking import Links
from physgen.measure.spots import Spots, Values
from physgen.measure.tracks import why_no_diffusion, why_unfollowed


def link_places(places: Values) -> Links:
    """Links of spots that are seen at places ``[T, N, 2]``, px, with an error of 0.1 px."""
    seen = (places + 0.1 * np.random.default_rng(99).standard_normal(places.shape)).reshape(-1, 2)
    frame, one = np.repeat(np.arange(len(places)), places.shape[1]), np.ones(len(seen))
    return link_spots(Spots(frame, seen[:, 0], seen[:, 1], 1.5 * one, 60 * one, 50 * one, 1.5, len(places)))


def on_a_grid(count: int, apart: float) -> Values:
    side = int(np.ceil(np.sqrt(count)))
    return apart * np.stack(np.divmod(np.arange(count), side), -1).astype(float)


@pytest.mark.parametrize("dark", [False, True])
def test_spots_are_found_where_they_are(dark: bool) -> None:
    movie, places = draw_beads(0, beads=6, frames=4, noise=1.0, dark=dark)
    spots = find_spots(movie)
    assert (spots.brightness < 0).all() == dark
    assert np.median(spots.width) == pytest.approx(1.8, rel=0.03)
    for t in range(4):
        here = np.column_stack([spots.y, spots.x])[spots.of_frame(t)]
        seen = places[t][((places[t] > 5) & (places[t] < 91)).all(1)]
        distance = np.hypot(*(here[:, None] - seen[None]).transpose(2, 0, 1)).min(0)
        assert np.median(distance) < 0.05


def test_spots_that_overlap_shift_each_other_by_a_quarter_of_a_pixel_at_most() -> None:
    y, x = np.mgrid[:40, :120]
    columns = [17.0, 23.5, 50.0, 70.0, 90.0]
    spots = find_spots(np.sum([np.exp(-((y - 20) ** 2 + (x - column) ** 2) / 8) for column in columns], 0)[None])
    np.testing.assert_allclose(np.sort(spots.x), columns, atol=0.25)


@pytest.mark.parametrize("gap", [1, 2])
def test_a_gap_of_up_to_two_frames_is_closed(gap: int) -> None:
    y, x = np.mgrid[:48, :48]
    shown = [np.exp(-((y - 24) ** 2 + (x - 15 - t) ** 2) / 8) * (not 5 <= t < 5 + gap) for t in range(14)]
    links = link_spots(find_spots(np.array(shown) + 0.01 * np.random.default_rng(0).standard_normal((14, 48, 48))))
    assert [len(track) for track in links.tracks()] == [14 - gap]


@pytest.mark.parametrize(
    "options",
    [{}, {"drift": (0.4, 0.8)}, {"noise": 20.0, "step": 0.7}],
)
def test_diffusion_is_that_of_the_beads(options: dict[str, Any]) -> None:
    movie, _ = draw_beads(2, **options)
    truth = options.get("step", 1.0) ** 2 / 2
    found = measure_tracks(movie)
    assert found.reason is None
    assert found.diffusion is not None
    value, low, high = found.diffusion.coefficient
    assert value == pytest.approx(truth, rel=0.3)
    assert low < truth < high
    assert found.diffusion.exponent[1] < 1 < found.diffusion.exponent[2]
    assert found.diffusion.memory == 1


@pytest.mark.slow
def test_long_steps_between_crowded_beads_are_in_the_interval_as_often_as_it_says() -> None:
    """95 % intervals of five movies: one may miss."""
    found = [measure_tracks(draw_beads(seed, step=2.0)[0]).diffusion for seed in range(5)]
    assert sum(f is not None and f.coefficient[1] < 2.0 < f.coefficient[2] for f in found) >= 4
    assert sum(f is not None and f.exponent[1] < 1 < f.exponent[2] for f in found) >= 4


def test_spots_at_the_edge_are_where_they_are() -> None:
    """A window that ends with the frame knows nothing beyond it."""
    y, x = np.mgrid[:48, :48]
    places = [(1.7, 14.2), (30.4, 1.9), (45.6, 33.3), (20.0, 45.2)]
    spots = find_spots(np.sum([np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 1.7**2)) for a, b in places], 0)[None])
    found = sorted(zip(spots.y, spots.x, strict=True))
    np.testing.assert_allclose(found, sorted(places), atol=0.05)


def test_fast_beads_among_slow_ones_are_followed() -> None:
    """9 of 30 beads with D = 2 px² a frame, the others with 0.005."""
    scale = np.where(np.arange(30) < 9, 2.0, 0.1)[:, None]
    walks = on_a_grid(30, 30.0) + (np.random.default_rng(3).normal(size=(30, 30, 2)) * scale).cumsum(0)
    assert [len(track) for track in link_places(walks).tracks()] == [30] * 30


def test_scale_is_that_of_the_options() -> None:
    movie, _ = draw_beads(3)
    one, other = (measure_tracks(movie, spacing=(s, s), dt=dt).diffusion for s, dt in ((1.0, 1.0), (0.2, 0.1)))
    assert one is not None
    assert other is not None
    assert other.coefficient[0] == pytest.approx(one.coefficient[0] * 0.04 / 0.1)
    assert other.exponent == one.exponent


def test_the_error_of_places_leaves_the_coefficient_alone() -> None:
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(60, 2)).cumsum(0) + rng.normal(scale=0.8, size=(60, 2)) for _ in range(200)]
    found = measure_diffusion([np.arange(60)] * 200, walks, dt=1.0)
    assert found is not None
    assert found.coefficient[1] < 0.5 < found.coefficient[2]
    assert found.error[1] < 0.8 < found.error[2]


def test_steps_that_remember_are_counted_together() -> None:
    """Places that follow the true ones with a delay, as in compressed films: D of single steps is far too small."""
    rng = np.random.default_rng(1)
    walks = []
    for _ in range(300):
        true, seen = rng.normal(size=(80, 2)).cumsum(0), np.zeros((80, 2))
        for t in range(1, 80):
            seen[t] = seen[t - 1] + 0.5 * (true[t] - seen[t - 1])
        walks.append(seen[10:])
    found = measure_diffusion([np.arange(70)] * 300, walks, dt=1.0)
    assert found is not None
    assert found.memory > 2
    assert found.coefficient[0] == pytest.approx(0.5, rel=0.1)
    assert found.msd[0] / 4 < 0.3


def test_gaps_are_no_steps() -> None:
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(60, 2)).cumsum(0) for _ in range(100)]
    kept = [np.sort(rng.choice(60, 45, replace=False)) for _ in walks]
    found = measure_diffusion(kept, [walk[k] for walk, k in zip(walks, kept, strict=True)], dt=1.0)
    assert found is not None
    assert found.coefficient[1] < 0.5 < found.coefficient[2]


@pytest.mark.slow
def test_intervals_cover_the_truth_of_40_movies() -> None:
    hits = {"coefficient": 0, "exponent": 0}
    for seed in range(40):
        found = measure_tracks(draw_beads(100 + seed, beads=30)[0]).diffusion
        assert found is not None
        hits["coefficient"] += found.coefficient[1] < 0.5 < found.coefficient[2]
        hits["exponent"] += found.exponent[1] < 1 < found.exponent[2]
    print(hits)
    assert min(hits.values()) >= 34


def test_what_cannot_be_measured_says_why() -> None:
    movie, _ = draw_beads(4)
    jumped = movie.copy()
    jumped[15:] = np.roll(jumped[15:], 12, axis=1)
    fast, _ = draw_beads(4, beads=80, frames=8, step=6.0)
    noise = np.random.default_rng(0).standard_normal((8, 64, 64))
    reasons = {
        "at least 3": movie[:2],
        "camera jumps between frames 14 and 15": jumped,
        "saturated": np.minimum(movie, 190),
        "aliased": fast,
        "still": np.repeat(movie[:1], 12, 0),
        "nothing to track": noise,
    }
    for words, given in reasons.items():
        found = measure_tracks(given)
        assert found.reason is not None, words
        assert words in found.reason


def test_directed_motion_has_no_diffusion_coefficient() -> None:
    y, x = np.mgrid[:96, :96]
    rng = np.random.default_rng(0)
    starts, ways = rng.uniform(20, 70, (12, 2)), rng.normal(size=(12, 2))
    places = starts + ways * np.arange(16.0)[:, None, None]
    frames = [100 * sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 6) for a, b in here) for here in places]
    found = measure_tracks(np.array(frames) + rng.standard_normal((16, 96, 96)))
    assert found.reason is not None
    assert "directed" in found.reason


@pytest.mark.parametrize(("step", "words"), [(1.5, ""), (3.0, "aliased: spots go 0.4")])
def test_steps_that_are_a_large_part_of_the_distance_between_beads_are_aliased(step: float, words: str) -> None:
    """60 beads whose median distance to the nearest is about 10 px: from 0.35 of it on D is too small."""
    rng = np.random.default_rng(0)
    links = link_places(160 * rng.random((60, 2)) + step * rng.normal(size=(8, 60, 2)).cumsum(0))
    reason = why_unfollowed(links, links.tracks(5))
    assert reason is None if not words else str(reason).startswith(words)


@pytest.mark.parametrize(("memory", "words"), [(3.0, "confined motion, exponent 0.01"), (np.inf, "")])
def test_confined_motion_has_no_diffusion_coefficient(memory: float, words: str) -> None:
    """Beads that are drawn back to where they stay (Ornstein and Uhlenbeck), and beads that are not."""
    rng, kept = np.random.default_rng(0), np.exp(-1 / memory)
    walks = np.zeros((60, 40, 2))
    for t in range(1, 60):
        walks[t] = kept * walks[t - 1] + 0.7 * rng.normal(size=(40, 2))
    found = measure_diffusion([np.arange(60)] * 40, list(walks.transpose(1, 0, 2)), dt=1.0)
    assert found is not None
    reason = why_no_diffusion(found)
    assert reason is None if not words else str(reason).startswith(words)


def test_two_beads_that_move_little_are_not_taken_for_aliased_ones() -> None:
    y, x = np.mgrid[:64, :96]
    rng = np.random.default_rng(3)
    walks = [rng.normal(scale=0.5, size=(60, 2)).cumsum(0) + start for start in ((32, 30), (32, 66))]
    frames = [100 * sum(np.exp(-((y - w[t, 0]) ** 2 + (x - w[t, 1]) ** 2) / 8) for w in walks) for t in range(60)]
    found = measure_tracks(np.array(frames) + rng.standard_normal((60, 64, 96)))
    assert len(found.used) == 2
    assert found.reason is None or "aliased" not in found.reason
