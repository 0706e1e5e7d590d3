"""Tracks of simulated beads: their diffusion coefficient within its interval, places where the beads are."""

import numpy as np
import pytest

from physgen.measure import measure_tracks
from physgen.simulators import Clips, beads

PIXEL = float(beads.GRID.spacing[0])


def clips(count: int) -> Clips:
    drawn = [{"kind": "beads", **a} for a in beads.GRAMMARS["beads"].combinations()]
    return beads.simulate(count, rng=np.random.default_rng(5), attributes=(drawn * 2)[:count])


@pytest.mark.parametrize("count", [6, pytest.param(16, marks=pytest.mark.slow)])
def test_diffusion_is_in_its_interval(count: int) -> None:
    """0.95 is meant; movies of 5 to 12 beads that last 25 frames are few."""
    simulated = clips(count)
    covered, wrong = [], []
    for fields, said in zip(simulated.fields, simulated.parameters, strict=True):
        found = measure_tracks(fields[0].astype(float), (PIXEL, PIXEL), beads.GRID.dt)
        if found.diffusion is None:
            assert "tracks" in str(found.reason)
            continue
        value, low, high = found.diffusion.coefficient
        covered.append(low <= said["D"] <= high)
        wrong.append(abs(value / said["D"] - 1))
    assert len(covered) >= count - 2
    assert np.mean(covered) >= 0.8
    assert np.median(wrong) < 0.15


def test_places_are_the_beads() -> None:
    """Away from the edge of the frame within 0.1 pixel; spots that it cuts are not."""
    simulated = clips(4)
    assert simulated.places is not None
    for fields, places in zip(simulated.fields, simulated.places, strict=True):
        found = measure_tracks(fields[0].astype(float), (PIXEL, PIXEL), beads.GRID.dt)
        assert found.links is not None
        spots = found.links.spots
        inside = (np.minimum(spots.y, spots.x) > 5) & (np.maximum(spots.y, spots.x) < 58)
        true = places[:, spots.frame] / PIXEL - 0.5
        away = np.hypot(true[..., 0] - spots.y, true[..., 1] - spots.x)
        assert np.nanmin(away, axis=0)[inside].max() < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("speed", list(beads.RADII))
def test_medians_of_many_movies_are_right(speed: str) -> None:
    drawn = [{"kind": "beads", "count": "twelve beads", "colour": "green", "speed": speed}] * 24
    simulated = beads.simulate(24, rng=np.random.default_rng(8), attributes=drawn)
    ratios = []
    for fields, said in zip(simulated.fields, simulated.parameters, strict=True):
        found = measure_tracks(fields[0].astype(float), (PIXEL, PIXEL), beads.GRID.dt)
        assert found.diffusion is not None
        ratios.append(found.diffusion.coefficient[0] / said["D"])
    assert np.median(ratios) == pytest.approx(1.0, abs=0.1)
