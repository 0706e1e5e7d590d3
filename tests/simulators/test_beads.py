"""Brownian beads against the law of Einstein, their counts and spots."""

import numpy as np
import pytest

from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.beads import APART, COUNTS, GRID, RADII, SIDE, VISCOSITY, simulate, stokes_einstein, walk

ATTRIBUTES = [{"kind": "beads", **a} for a in GRAMMARS["beads"]["beads"].combinations()]


@pytest.fixture(scope="module")
def clips() -> Clips:
    return simulate(2 * len(ATTRIBUTES), rng=np.random.default_rng(0), attributes=ATTRIBUTES * 2)


def unwrapped(places: np.ndarray) -> np.ndarray:
    steps = (np.diff(places, axis=1) + SIDE / 2) % SIDE - SIDE / 2
    return np.concatenate([np.zeros_like(places[:, :1]), steps.cumsum(1)], axis=1)


def test_diffusion_coefficient_of_a_bead_in_water() -> None:
    """kT = 4.114e-21 J at 298 K: 0.49 um²/s for a diameter of one micrometre."""
    assert stokes_einstein(0.5) == pytest.approx(0.4905, rel=0.01)
    assert stokes_einstein(0.1) == pytest.approx(5 * stokes_einstein(0.5))
    assert pytest.approx(0.89e-3) == VISCOSITY


@pytest.mark.parametrize("lag", [1, 5])
def test_mean_squared_displacement_is_4_d_t(lag: int) -> None:
    """At the highest density, beads that keep apart are as fast as beads that do not."""
    rng, d = np.random.default_rng(1), 2.4
    found = np.concatenate([unwrapped(walk(12, d, 25, 1.3, rng)) for _ in range(100)])
    moved = found[:, lag:] - found[:, :-lag]
    assert (moved**2).sum(-1).mean() == pytest.approx(4 * d * lag * GRID.dt, rel=0.03)
    assert np.abs(moved.mean((0, 1))).max() < 3 * moved.std() / np.sqrt(len(found) * 24 / lag)


def test_steps_are_independent() -> None:
    steps = np.diff(unwrapped(walk(12, 1.0, 400, 0.0, np.random.default_rng(2))), axis=1)
    assert abs((steps[:, 1:] * steps[:, :-1]).mean()) < 0.03 * (steps**2).mean()


def test_count_speed_and_distance(clips: Clips) -> None:
    assert clips.places is not None
    for places, attribute, parameters in zip(clips.places, clips.attributes, clips.parameters, strict=True):
        there = np.isfinite(places).all((1, 2))
        assert there.sum() == COUNTS[attribute["count"]] == parameters["beads"]
        assert np.isnan(places[~there]).all()
        low, high = (stokes_einstein(radius) for radius in RADII[attribute["speed"]])
        assert high <= parameters["D"] <= low
        apart = (places[there, None] - places[there] + SIDE / 2) % SIDE - SIDE / 2
        distance = np.hypot(apart[..., 0], apart[..., 1])[~np.eye(there.sum(), dtype=bool)]
        assert distance.min() >= APART * parameters["sigma"]


def test_spots_are_gaussian_where_the_beads_are(clips: Clips) -> None:
    assert clips.places is not None
    axis = (np.arange(64) + 0.5) * GRID.spacing[0]
    for fields, places, parameters in zip(clips.fields, clips.places, clips.parameters, strict=True):
        place, frame = places[0, 3], fields[0, 3].astype(float)
        dy, dx = ((axis - p + SIDE / 2) % SIDE - SIDE / 2 for p in place)
        near = np.hypot(dy[:, None], dx) < 1.5 * parameters["sigma"]
        mass = frame[near].sum()
        assert (frame * dy[:, None])[near].sum() / mass == pytest.approx(0.0, abs=0.05)
        assert (frame * dx)[near].sum() / mass == pytest.approx(0.0, abs=0.05)
        height = np.log(frame[near])
        slope = np.polyfit((dy[:, None] ** 2 + dx**2)[near], height, 1)[0]
        assert slope == pytest.approx(-1 / (2 * parameters["sigma"] ** 2), rel=0.1)


def test_brightness_is_conserved(clips: Clips) -> None:
    mass = clips.fields[:, 0].sum((2, 3), dtype=np.float64)
    assert (np.ptp(mass, axis=1) / mass.mean(1)).max() < 1e-4
