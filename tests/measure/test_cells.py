"""Cells are found, followed through a division and cropped, in drawn movies and in a real one."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from physgen.measure import find_cells
from physgen.measure.cells import Labels, Movie, follow, segment, typical_radius

RADIUS, HEIGHT, WIDTH = 6.0, 48, 96


def discs(*centres: tuple[float, float]) -> Movie:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.maximum.reduce([1 / (1 + np.exp(np.hypot(y - row, x - column) - RADIUS)) for row, column in centres])


@pytest.fixture(scope="module")
def movie() -> Movie:
    """A cell that stays at the left; one at the right that moves, and divides in frame 8; with noise."""
    frames = [discs((24, 20), (24, 60 + t)) for t in range(8)]
    frames += [discs((24, 20), (24 - 8 - t, 68), (24 + 8 + t, 68)) for t in range(4)]
    return np.stack(frames) + 0.05 * np.random.default_rng(0).standard_normal((12, HEIGHT, WIDTH))


def test_a_division_is_one_cell(movie: Movie) -> None:
    still, dividing = find_cells(movie)
    assert (len(still.crop), len(dividing.crop)) == (12, 12)
    assert (still.pieces, dividing.pieces) == ([1] * 12, [1] * 8 + [2] * 4)
    assert (still.divides, dividing.divides) == (False, True)
    np.testing.assert_allclose(still.centres, [(24, 20)] * 12, atol=1)
    np.testing.assert_allclose(dividing.centres, [(24, 60 + min(t, 8)) for t in range(12)], atol=1.5)
    assert still.at_edge == 0


def test_a_reversed_movie_shows_the_same_division(movie: Movie) -> None:
    fusing = [cell for cell in find_cells(movie[::-1]) if cell.divides]
    assert [cell.pieces for cell in fusing] == [[2] * 4 + [1] * 8]


def test_a_crop_shows_the_cell_alone(movie: Movie) -> None:
    bright = 1000 * movie + 300
    still, dividing = find_cells(bright)
    assert all(frame.max() > 800 for frame in still.crop)
    assert still.crop.sum() == pytest.approx(1000 * discs((24, 20)).sum() * 12, rel=0.1)
    assert dividing.crop[-1].sum() == pytest.approx(2 * still.crop[-1].sum(), rel=0.1)
    assert still.crop[:, 0].max() < 1


def test_units_do_not_matter(movie: Movie) -> None:
    pair = [[(cell.start, cell.centres, cell.pieces) for cell in find_cells(scale * movie)] for scale in (1.0, 1e4)]
    assert pair[0] == pair[1]


@pytest.mark.parametrize("level", [0.0, 3.0])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_noise_and_nothing_have_no_cells(level: float, noise: float) -> None:
    assert find_cells(level + noise * np.random.default_rng(0).standard_normal((8, 40, 40))) == []


def test_daughters_are_cells_of_their_own_after_a_while() -> None:
    labels: Labels = np.zeros((9, 1, 9), dtype=np.int64)
    labels[0, 0, 3:6] = 1
    labels[1:, 0, 2], labels[1:, 0, 6] = 1, 2
    cells = follow(labels, reach=2.0)[:, 0]
    assert cells[5].tolist() == [0, 0, 1, 0, 0, 0, 1, 0, 0]
    assert cells[6].tolist() == cells[8].tolist() == [0, 0, 2, 0, 0, 0, 3, 0, 0]


def test_a_cell_too_far_away_is_a_new_one() -> None:
    labels: Labels = np.zeros((2, 1, 9), dtype=np.int64)
    labels[0, 0, 0] = labels[1, 0, 8] = 1
    assert follow(labels, reach=3.0)[1, 0, 8] == 2
    assert follow(labels, reach=8.0)[1, 0, 8] == 1


@pytest.mark.slow
def test_the_count_of_nuclei_agrees_with_given_labels(shared: Path) -> None:
    folder = shared / "microscopy"
    movie: npt.NDArray[np.float64] = tifffile.imread(folder / "cancer_nuclei_48x130x130_u16.tif").astype(np.float64)
    given = [len(np.unique(frame)) - 1 for frame in tifffile.imread(folder / "cancer_nuclei_labels.tif")]
    found = [segment(frame, typical_radius(movie)).max() for frame in movie]
    difference = np.array(found) - given
    print(
        f"\nnuclei: found {found[0]} to {found[-1]}, given {given[0]} to {given[-1]}; difference {difference.tolist()}"
    )
    assert np.abs(difference).max() <= 3
    assert abs(difference.mean()) <= 1
