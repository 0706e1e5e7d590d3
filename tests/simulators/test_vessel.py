"""Vessels that bend and split, measured from the ground truth: flow, cells that keep apart, walls that stand."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.streamlines import SIDE, Arc, Path, Split
from physgen.simulators.vessel import BENDS, COUNTS, simulate

Array = npt.NDArray[np.float64]
ATTRIBUTES = [{"kind": "vessel", **a} for a in GRAMMARS["vessel"]["vessel"].combinations()]
FORK = Split((22.0, 31.0), 0.4, 0.42, 12.5, 800.0)
#: along y and x
WAYS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


@pytest.fixture(scope="module")
def clips() -> Clips:
    return simulate(len(ATTRIBUTES), rng=np.random.default_rng(0), attributes=ATTRIBUTES)


def steps(clips: Clips, clip: int) -> Array:
    """Velocities ``[N, 2]`` of cells that stay in the frame, um/s; those that come in anew left out."""
    assert clips.places is not None
    moved = np.diff(clips.places[clip], axis=1).reshape(-1, 2) / clips.grid.dt
    moved = moved[np.isfinite(moved).all(1)]
    return moved[np.hypot(*moved.T) < SIDE / 2 / clips.grid.dt]


def flow_across(paths: list[Path], x: float) -> float:
    """Flow along x that goes between the first and the last of some streamlines."""
    y = [np.interp(x, p.points[:, 0], p.points[:, 1]) for p in paths]
    v = [np.interp(x, p.points[:, 0], np.gradient(p.points[:, 0], p.times)) for p in paths]
    return float(np.trapezoid(v, y))


def test_the_flow_divides_by_the_cube_law() -> None:
    assert (FORK.daughters**3).sum() == pytest.approx(FORK.half_width**3)
    whole = 4 / 3 * FORK.peak * FORK.half_width
    for upper, share in ((True, FORK.share), (False, 1 - FORK.share)):
        paths = [FORK.path(upper, u) for u in np.linspace(0.03, 0.97, 24)]
        for x in (5.0, 30.0, 45.0, 60.0):
            assert flow_across(paths, x) / whole == pytest.approx(share, abs=0.01)


def test_streamlines_of_a_fork_are_a_parabola_before_and_after_it() -> None:
    for x, width, peak in ((0.0, 2 * FORK.half_width, FORK.peak), (62.0, None, None)):
        upper, _, gap = (float(w[0]) for w in FORK.widths(np.array([x])))
        top, height = FORK.tip[1] - gap - upper, upper if width is None else width
        highest = peak or 1.5 * FORK.share * 4 / 3 * FORK.peak * FORK.half_width / upper
        for u in (0.1, 0.3, 0.5, 0.8):
            path = FORK.path(True, u)
            eta = (np.interp(x, path.points[:, 0], path.points[:, 1]) - top) / height
            speed = np.interp(x, path.points[:, 0], np.gradient(path.points[:, 0], path.times))
            assert speed == pytest.approx(4 * highest * eta * (1 - eta), rel=0.02)


def test_streamlines_do_not_cross_and_stay_inside() -> None:
    paths = [FORK.path(True, u) for u in (0.1, 0.5, 0.9)] + [FORK.path(False, u) for u in (0.1, 0.5, 0.9)]
    x = np.linspace(-5.0, 69.0, 75)
    y = np.stack([np.interp(x, p.points[:, 0], p.points[:, 1]) for p in paths])
    assert (np.diff(y, axis=0) > 0).all()
    assert (FORK.depth(x, y) > 0).all()


def test_an_arc_is_poiseuille_across() -> None:
    arc = Arc(50.0, 70.0, True, 12.0, 800.0)
    for n in (-9.0, 0.0, 6.0):
        path = arc.path(n)
        speed = np.hypot(*np.diff(path.points, axis=0).T) / np.diff(path.times)
        assert speed == pytest.approx(800.0 * (1 - (n / 12.0) ** 2), rel=1e-3)
        assert arc.depth(*path.points.T) == pytest.approx(12.0 - abs(n))


def test_cells_go_where_the_caption_says(clips: Clips) -> None:
    for clip, (attribute, parameters) in enumerate(zip(clips.attributes, clips.parameters, strict=True)):
        v = steps(clips, clip)
        along = v @ WAYS[attribute["direction"]]
        assert (along > 0).all()
        assert along.mean() > 0.8 * np.hypot(*v.T).mean()
        assert np.abs(v.mean(0) @ WAYS[attribute["direction"]][::-1]) < 0.4 * along.mean()
        assert np.hypot(*v.T).max() < 1.08 * parameters["v_max"]


def test_curved_vessels_turn_and_straight_ones_do_not(clips: Clips) -> None:
    for clip, attribute in enumerate(clips.attributes):
        v = steps(clips, clip)
        spread = np.ptp(np.rad2deg(np.arctan2(v[:, 0], v[:, 1]) - np.arctan2(*v.mean(0)) + 3 * np.pi) % 360)
        assert (spread > 20) == (attribute["shape"] != "straight")


def test_cells_are_as_many_as_stated_and_keep_apart(clips: Clips) -> None:
    assert clips.places is not None
    for places, attribute, parameters in zip(clips.places, clips.attributes, clips.parameters, strict=True):
        seen = np.isfinite(places[..., 0]).sum(0)
        low, high = COUNTS[attribute["count"]]
        assert low <= parameters["cells"] < high
        assert seen.max() <= parameters["cells"]
        assert seen.min() >= parameters["cells"] - (3 if high > 6 else 2)
        apart = np.hypot(*np.moveaxis(places[:, None] - places, -1, 0))
        apart[np.arange(len(places)), np.arange(len(places))] = np.inf
        assert np.nanmin(apart) > 2 * parameters["cell_radius"]


def test_places_are_where_cells_are_drawn(clips: Clips) -> None:
    assert clips.places is not None
    for fields, places, parameters in zip(clips.fields, clips.places, clips.parameters, strict=True):
        inside = ((places > 6) & (places < SIDE - 6)).all(-1)
        labels, count = ndimage.label(fields[0, 0] > 0.6)
        middles = np.array(ndimage.center_of_mass(fields[0, 0], labels, range(1, count + 1))) + 0.5
        for place in places[inside[:, 0], 0]:
            assert np.hypot(*(middles - place).T).min() < 0.3
        assert (fields[0] * (fields[1] < 0.3)).max() < 0.3
        area = np.pi * parameters["cell_radius"] ** 2
        whole = inside.all(0) & np.isfinite(places[..., 0]).any(0)
        assert all(fields[0, whole].sum((1, 2)) < 1.1 * np.isfinite(places[:, whole, 0]).sum(0) * area)


@pytest.mark.parametrize("shape", list(BENDS))
def test_one_vessel_the_same_in_every_direction(shape: str) -> None:
    """Turned back, lumen and walls of all four directions are the same."""
    drawn = [{"kind": "vessel", "direction": d, "shape": shape, "speed": "fast", "count": "many"} for d in WAYS]
    found = [simulate(1, rng=np.random.default_rng(7), frames=2, attributes=[a]).fields[0, 1:] for a in drawn]
    right, left, down, up = found
    for turned in (left[..., ::-1, ::-1], down.swapaxes(-1, -2), up.swapaxes(-1, -2)[..., ::-1, ::-1]):
        assert np.allclose(turned, right, atol=1e-5)
