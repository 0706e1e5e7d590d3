"""Blood flow measured from the ground truth: cells counted, their speeds fitted to a parabola."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.blood import COUNTS, SPEED, lanes, place, poiseuille, simulate

Array = npt.NDArray[np.float64]
ATTRIBUTES = GRAMMARS["blood"]["flow"].combinations()
CELLS, LUMEN = 0, 1
#: whether the vessel lies along y, and the sign of the motion there; y grows downwards
DIRECTIONS = {"right": (False, 1.0), "left": (False, -1.0), "down": (True, 1.0), "up": (True, -1.0)}


@pytest.fixture(scope="module")
def clips() -> Clips:
    return simulate(len(ATTRIBUTES), rng=np.random.default_rng(0), attributes=ATTRIBUTES)


def upright(clips: Clips, clip: int, species: int) -> Array:
    """One field ``[T, across, along]``, the vessel lying along the last axis."""
    field = clips.fields[clip, species].astype(np.float64)
    return field.swapaxes(1, 2) if DIRECTIONS[clips.attributes[clip]["direction"]][0] else field


def count_cells(mask: npt.NDArray[np.bool_]) -> int:
    """Connected components of a mask that is periodic along its last axis."""
    labels, count = ndimage.label(mask)
    seam = {(int(a), int(b)) for a, b in zip(labels[:, 0], labels[:, -1], strict=True) if a and b}
    return int(count) - len(seam)


def lane_rows(cells: Array) -> list[slice]:
    """The bands of rows swept by the cells of one lane."""
    labels, _ = ndimage.label(cells.max((0, 2)) > 0.6)
    return [rows for (rows,) in ndimage.find_objects(labels)]


def shift_per_frame(lane: Array) -> float:
    """Displacement along the vessel from one frame to the next, in pixels, by averaged cross-correlation."""
    spectrum = np.fft.rfft(lane, axis=-1)
    cross = (spectrum[1:] * spectrum[:-1].conj()).sum((0, 1))
    shift = np.arange(-2.5, 2.5, 1e-3)
    wave = np.exp(2j * np.pi * np.outer(shift, np.arange(len(cross))) / lane.shape[-1])
    return float(shift[(wave @ cross).real.argmax()])


def measure_speeds(clips: Clips, clip: int) -> tuple[Array, Array]:
    """Positions y / R measured from the vessel's axis, and velocities in um/s."""
    cells, lumen = upright(clips, clip, CELLS), upright(clips, clip, LUMEN)[0, :, 0]
    rows = np.arange(len(lumen))
    middle, radius = np.average(rows, weights=lumen), lumen.sum() / 2.0
    mass = cells.sum((0, 2))
    bands = lane_rows(cells)
    y = [(np.average(rows[band], weights=mass[band]) - middle) / radius for band in bands]
    v = [shift_per_frame(cells[:, band]) * clips.grid.spacing[0] / clips.grid.dt for band in bands]
    return np.array(y), np.array(v)


@pytest.fixture(scope="module")
def lane_speeds(clips: Clips) -> list[tuple[Array, Array]]:
    return [measure_speeds(clips, clip) for clip in range(len(clips.captions))]


def test_poiseuille_mean_is_two_thirds_of_the_peak_between_plates() -> None:
    y = np.linspace(-7.0, 7.0, 100_001)
    v = poiseuille(y, 900.0, 7.0)
    assert np.trapezoid(v, y) / 14.0 == pytest.approx(600.0, rel=1e-6)
    assert v[[0, -1]].tolist() == [0.0, 0.0]


def test_cells_are_conserved_one_by_one(clips: Clips) -> None:
    for clip, (attribute, parameters) in enumerate(zip(clips.attributes, clips.parameters, strict=True)):
        assert {count_cells(frame > 0.6) for frame in upright(clips, clip, CELLS)} == {int(parameters["cells"])}
        low, high = COUNTS[attribute["count"]]
        assert low <= parameters["cells"] < high


@pytest.mark.parametrize(("size", "tolerance"), [(64, 0.012), (32, 0.03)])
def test_area_drifts_by_the_pixels_only(size: int, tolerance: float) -> None:
    clips = simulate(len(ATTRIBUTES), rng=np.random.default_rng(1), size=size, attributes=ATTRIBUTES)
    area = clips.fields[:, CELLS].sum((2, 3), dtype=np.float64)
    assert (np.ptp(area, axis=1) / area.mean(1)).max() < tolerance
    assert np.median(np.ptp(area, axis=1) / area.mean(1)) < tolerance / 2.0


def test_area_belongs_to_whole_cells(clips: Clips) -> None:
    area = clips.fields[:, CELLS].mean((1, 2, 3), dtype=np.float64) * 64**2
    disc = [p["cells"] * np.pi * p["cell_radius"] ** 2 for p in clips.parameters]
    assert np.ptp(area / disc) < 0.06


def test_speeds_are_parabolic(clips: Clips, lane_speeds: list[tuple[Array, Array]]) -> None:
    """Least squares of |v| = a - b (y/R)^2 over all lanes of all clips in units of the stated peak gives a = b = 1."""
    y = np.concatenate([y for y, _ in lane_speeds])
    v = np.concatenate([np.abs(v) / p["v_max"] for (_, v), p in zip(lane_speeds, clips.parameters, strict=True)])
    assert np.abs(v - (1.0 - y**2)).max() < 0.02
    (peak, curvature), *_ = np.linalg.lstsq(np.stack([np.ones_like(y), -(y**2)], axis=1), v, rcond=None)
    assert peak == pytest.approx(1.0, abs=0.01)
    assert curvature == pytest.approx(1.0, abs=0.02)


def test_direction_and_speed_class(clips: Clips, lane_speeds: list[tuple[Array, Array]]) -> None:
    for attribute, parameters, (_, v) in zip(clips.attributes, clips.parameters, lane_speeds, strict=True):
        _, sign = DIRECTIONS[attribute["direction"]]
        assert (sign * v > 0.0).all()
        low, high = SPEED[attribute["speed"]]
        assert low <= parameters["v_max"] <= high
        assert np.abs(v).max() < 1.02 * high


def test_vessel_is_still_and_as_wide_as_stated(clips: Clips) -> None:
    for clip, parameters in enumerate(clips.parameters):
        lumen = upright(clips, clip, LUMEN)
        assert np.ptp(lumen, axis=(0, 2)).max() == 0.0
        assert lumen[0, :, 0].sum() / 2.0 * clips.grid.spacing[0] == pytest.approx(parameters["radius"], rel=0.01)
        assert upright(clips, clip, CELLS)[:, lumen[0, :, 0] < 0.3].max(initial=0.0) < 0.2


@pytest.mark.parametrize("seed", range(20))
def test_cells_never_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    radius, half_width, length = rng.uniform(3.8, 4.3), rng.uniform(18.0, 24.0), 64.0
    lane_centres = lanes(half_width, radius, rng)
    cells = place(12, lane_centres, radius, length, rng)
    assert len(cells) == 12
    assert np.abs(cells[:, 1]).max() + radius < half_width
    along = (np.subtract.outer(cells[:, 0], cells[:, 0]) + length / 2.0) % length - length / 2.0
    across = np.subtract.outer(cells[:, 1], cells[:, 1])
    apart = np.where((across == 0.0) & (along != 0.0), np.abs(along), np.abs(across))
    assert apart[~np.eye(12, dtype=bool)].min() > 2.0 * radius + 0.7
