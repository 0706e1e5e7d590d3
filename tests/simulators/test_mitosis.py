"""Mitosis measured from the ground truth: order of phases, plate, spindle axis, two daughters."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.mitosis import PHASES, clock, simulate

Array = npt.NDArray[np.float64]
ATTRIBUTES = GRAMMARS["mitosis"]["mitosis"].combinations()
CHROMATIN, MEMBRANE, SPINDLE, CYTOPLASM = range(4)
#: degrees from the horizontal, y up
ANGLE = {"horizontal": 0.0, "diagonal": 45.0, "vertical": 90.0}


@pytest.fixture(scope="module", params=[64, 32])
def clips(request: pytest.FixtureRequest) -> Clips:
    attributes = ATTRIBUTES * (2 if request.param == 64 else 1)
    return simulate(len(attributes), rng=np.random.default_rng(0), size=request.param, attributes=attributes)


def axis(density: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Direction of the long principal axis in degrees from the horizontal, y up, and the axes' ratio."""
    weight = density.astype(np.float64)
    y, x = np.indices(weight.shape)
    cov = np.cov(np.stack([x.ravel(), -y.ravel()]), aweights=weight.ravel())
    values, vectors = np.linalg.eigh(cov)
    return float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180.0), float(np.sqrt(values[1] / values[0]))


def between(a: float, b: float) -> float:
    """Angle between two undirected axes, degrees."""
    return abs((a - b + 90.0) % 180.0 - 90.0)


def during(clips: Clips, clip: int, species: int, phase: str) -> npt.NDArray[np.float32]:
    assert clips.phases is not None
    return clips.fields[clip, species, clips.phases[clip] == PHASES.index(phase)]


def components(mask: npt.NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask)[1])


def test_seven_phases_in_order_each_present(clips: Clips) -> None:
    assert clips.phases is not None
    assert len(PHASES) == 7
    for row in clips.phases:
        assert row[0] == 0
        assert set(np.diff(row)) == {0, 1}
        assert np.bincount(row).min() >= 2
        assert len(np.bincount(row)) == 7


def test_durations_are_those_of_the_recording(clips: Clips) -> None:
    assert clips.phases is not None
    for row, parameters in zip(clips.phases, clips.parameters, strict=True):
        assert list(parameters) == [f"{phase}_s" for phase in PHASES]
        assert sum(parameters.values()) == pytest.approx(clips.grid.dt * len(row))
        assert parameters["metaphase_s"] == pytest.approx(clips.grid.dt * (row == 3).sum())
    assert 30.0 * 60.0 <= clips.grid.dt * clips.phases.shape[1] <= 60.0 * 60.0


def test_clock_runs_through_every_phase_at_its_own_pace() -> None:
    p = clock(50, 25, np.random.default_rng(0))
    assert (np.diff(p, axis=1) > 0.0).all()
    assert p.min() > 0.0
    assert p.max() < 7.0
    shares = np.stack([np.bincount(row, minlength=7) for row in p.astype(int)]) / 25
    assert shares.std(0).min() > 0.01


def test_metaphase_plate_is_elongated_across_the_spindle(clips: Clips) -> None:
    for clip in range(len(clips.captions)):
        spindle_axis, _ = axis(clips.fields[clip, CYTOPLASM, -1])
        for plate in during(clips, clip, CHROMATIN, "metaphase"):
            plate_axis, ratio = axis(plate)
            assert ratio > 2.5
            assert between(plate_axis, spindle_axis) > 88.0


def test_nucleus_is_round_before_division(clips: Clips) -> None:
    for clip in range(len(clips.captions)):
        assert all(axis(nucleus > 0.2)[1] < 1.15 for nucleus in during(clips, clip, CHROMATIN, "interphase"))
        assert all(components(nucleus > 0.1) == 1 for nucleus in during(clips, clip, CHROMATIN, "interphase"))


def test_axis_lies_within_12_degrees_of_the_orientation(clips: Clips) -> None:
    for clip, attribute in enumerate(clips.attributes):
        for density in (
            clips.fields[clip, CYTOPLASM, -1],
            during(clips, clip, CHROMATIN, "telophase")[-1],
            during(clips, clip, SPINDLE, "anaphase")[-1],
        ):
            assert between(axis(density)[0], ANGLE[attribute["orientation"]]) < 12.0 + 2.0


def test_sister_plates_part_during_anaphase(clips: Clips) -> None:
    for clip in range(len(clips.captions)):
        spread = [
            axis_length(plates, axis(clips.fields[clip, CYTOPLASM, -1])[0])
            for plates in during(clips, clip, CHROMATIN, "anaphase")
        ]
        assert (np.diff(spread) > 0.0).all()
        assert spread[-1] > 1.5 * spread[0]


def axis_length(density: npt.NDArray[np.floating], angle: float) -> float:
    """Standard deviation of a density along a direction, in pixels."""
    y, x = np.indices(density.shape)
    along = x * np.cos(np.radians(angle)) - y * np.sin(np.radians(angle))
    return float(np.sqrt(np.cov(along.ravel(), aweights=density.astype(np.float64).ravel())))


def test_two_sets_of_chromosomes_in_telophase_and_after(clips: Clips) -> None:
    for clip in range(len(clips.captions)):
        for phase in ("telophase", "cytokinesis"):
            assert all(components(chromatin > 0.12) == 2 for chromatin in during(clips, clip, CHROMATIN, phase))


def test_one_membrane_until_anaphase_and_two_at_the_end(clips: Clips) -> None:
    for clip in range(len(clips.captions)):
        for phase in PHASES[:5]:
            assert all(components(cell > 0.5) == 1 for cell in during(clips, clip, CYTOPLASM, phase))
        cytoplasm, membrane = clips.fields[clip, CYTOPLASM, -1], clips.fields[clip, MEMBRANE, -1]
        daughters, count = ndimage.label(cytoplasm > 0.5)
        assert count == 2
        areas = np.bincount(daughters.ravel())[1:]
        assert areas.min() > 0.9 * areas.max()
        for daughter in (1, 2):
            rim = ndimage.binary_dilation(daughters == daughter) & (daughters != daughter)
            assert membrane[rim].min() > 0.5


def test_spindle_is_there_from_metaphase_to_anaphase_only(clips: Clips) -> None:
    for clip in range(len(clips.captions)):
        for phase, low, high in (
            ("interphase", 0.0, 1e-6),
            ("prophase", 0.0, 1e-6),
            ("metaphase", 0.8, 1.0),
            ("anaphase", 0.8, 1.0),
            ("cytokinesis", 0.0, 1e-6),
        ):
            peak = during(clips, clip, SPINDLE, phase).max((1, 2))
            assert (peak >= low).all()
            assert (peak <= high).all()
