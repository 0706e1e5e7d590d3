"""How far things go from the correlation of frames: a drift is exact, Brownian beads are within their statistics."""

from __future__ import annotations

import numpy as np
import pytest

from physgen.experiments.measure.correlation import squared_displacement
from physgen.simulators import beads

SPACING = beads.GRID.spacing[0]


@pytest.mark.parametrize("speed", beads.RADII)
def test_the_diffusivity_of_simulated_beads(speed: str) -> None:
    asked = [{"kind": "beads", "count": "twelve beads", "colour": "red", "speed": speed}] * 6
    clips = beads.simulate(6, rng=np.random.default_rng(4), attributes=asked)
    ratios, exponents = [], []
    for field, true in zip(clips.fields[:, 0].astype(float), clips.parameters, strict=True):
        near, far = squared_displacement(field, SPACING, (1, 4))
        ratios.append((far - near) / (12 * beads.GRID.dt) / true["D"])
        exponents.append(np.log(far / near) / np.log(4))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.2)
    assert np.mean(exponents) == pytest.approx(1.0, abs=0.15)


def test_a_drift_goes_with_the_square_of_time() -> None:
    rng = np.random.default_rng(5)
    places = rng.uniform(0, beads.SIDE, (1, 1, 2)) + 0.1 * np.arange(25.0)[:, None] * np.array([0.6, 0.8])
    movie = beads.spots(places % beads.SIDE, np.ones(1), 0.4, 64).astype(float)
    near, far = squared_displacement(movie, SPACING, (1, 4))
    assert near == pytest.approx(0.01, rel=0.1)
    assert far == pytest.approx(0.16, rel=0.1)


def test_nothing_that_is_shown_goes_nowhere() -> None:
    assert squared_displacement(np.full((9, 16, 16), 0.3), 1.0, (1, 4)).tolist() == [0.0, 0.0]
    still = np.random.default_rng(0).random((1, 16, 16)).repeat(9, 0)
    assert squared_displacement(still, 1.0, (1, 4)).max() < 1e-3
