"""Cells are counted, followed and divide as drawn, simulated and real ones do."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from moving_movies import Movie

from physgen.measure import measure_cells
from physgen.measure.lineage import divide_tracks
from physgen.measure.linking import close_gaps
from physgen.measure.nuclei import segment_nuclei
from physgen.simulators.mitosis import simulate


def discs(*centres: tuple[float, float], radius: float = 6.0) -> Movie:
    y, x = np.mgrid[:64, :96]
    return np.max([1 / (1 + np.exp(np.hypot(y - row, x - column) - radius)) for row, column in centres], axis=0)


@pytest.fixture(scope="module")
def movie() -> Movie:
    """One cell that stays, one that divides in frame 6 and whose lower daughter divides in frame 14."""
    frames = [discs((12, 20), (32, 60)) for _ in range(6)]
    frames += [discs((12, 20), (24 - t / 4, 60), (40 + t / 4, 60)) for t in range(8)]
    frames += [discs((12, 20), (22, 60), (42, 51 - t / 4), (42, 69 + t / 4)) for t in range(6)]
    return np.stack(frames) + 0.05 * np.random.default_rng(0).standard_normal((20, 64, 96))


def test_divisions_make_a_tree(movie: Movie) -> None:
    found = measure_cells(movie)
    assert found.count == [2] * 6 + [3] * 8 + [4] * 6
    (first, mother, daughters), (second, other, youngest) = found.divisions
    assert (first, second) == (6, 14)
    assert other in daughters
    assert len(daughters) == len(youngest) == 2
    assert mother not in found.mother
    assert {found.mother[cell] for cell in youngest} == {other}


def test_labels_are_the_cells(movie: Movie) -> None:
    found = measure_cells(movie)
    for t in (0, 9, 19):
        assert len(np.unique(found.labels[t])) - 1 == found.count[t]
        here = found.frame == t
        at = found.labels[t][found.y[here].round().astype(int), found.x[here].round().astype(int)]
        np.testing.assert_array_equal(at, found.cell[here])


def test_two_cells_that_pass_do_not_divide() -> None:
    frames = [discs((32, 20 + 2 * t), (48, 76 - 2 * t)) for t in range(20)]
    found = measure_cells(np.stack(frames) + 0.03 * np.random.default_rng(0).standard_normal((20, 64, 96)))
    assert found.count == [2] * 20
    assert found.divisions == []


def test_two_cells_that_meet_and_part_again_do_not_divide() -> None:
    away = [max(4.0, abs(t - 11.5) * 3 - 6) / 2 for t in range(24)]
    frames = [discs((32, 48 - half), (32, 48 + half)) for half in away]
    found = measure_cells(np.stack(frames) + 0.03 * np.random.default_rng(0).standard_normal((24, 64, 96)))
    assert min(found.count) == 1
    assert (found.count[0], found.count[-1]) == (2, 2)
    assert found.divisions == []


def test_a_cell_that_was_met_and_left_divides_later() -> None:
    frame = np.concatenate([np.arange(20), np.arange(3), np.arange(6, 20), np.arange(14, 20)])
    x = np.concatenate([np.zeros(14), np.full(6, -4), [9, 7, 5], np.arange(14) + 5, np.full(6, 4)])
    track = np.repeat([0, 1, 2, 3], [20, 3, 14, 6])
    _, mothers = divide_tracks(frame, np.column_stack([0.0 * x, x]), np.ones(len(x)), track, radius=4.0)
    assert len(mothers) == 2
    assert len(set(mothers.values())) == 1


def test_a_cell_that_is_missed_for_a_frame_is_the_same_one(movie: Movie) -> None:
    gap = movie.copy()
    gap[3, :24, :40] = 0.05 * np.random.default_rng(1).standard_normal((24, 40))
    found = measure_cells(gap)
    assert found.count[:6] == [2] * 6
    assert len(found.divisions) == 2


def test_dim_and_bright_neighbours_are_told_apart() -> None:
    pair = np.maximum(discs((32, 40)), 0.4 * discs((32, 52)))
    assert segment_nuclei(pair, radius=6.0).max() == 2


def test_simulated_cells_divide_once() -> None:
    fields = simulate(2, rng=np.random.default_rng(3)).fields[:, 0]
    movie = np.concatenate(list(fields), -1)
    movie = movie + 0.02 * np.random.default_rng(0).standard_normal(movie.shape)
    found = measure_cells(movie)
    assert found.reason is None
    assert (found.count[0], found.count[-1]) == (2, 4)
    assert len(found.divisions) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.random.default_rng(0).standard_normal((6, 48, 48)), "no cells"),
        (np.zeros((6, 48, 48)), "no cells"),
        (np.stack([discs((20, 20))] * 2), "at least 3"),
    ],
)
def test_what_cannot_be_measured_says_why(given: Movie, words: str) -> None:
    assert words in (measure_cells(given).reason or "")


@pytest.mark.slow
def test_real_nuclei_are_counted_and_their_three_divisions_seen(shared: Path) -> None:
    folder = shared / "microscopy"
    movie = tifffile.imread(folder / "cancer_nuclei_48x130x130_u16.tif").astype(np.float64)
    given = np.array([len(np.unique(frame)) - 1 for frame in tifffile.imread(folder / "cancer_nuclei_labels.tif")])
    found = measure_cells(movie)
    print(f"\nnuclei: counted {found.count}, given {given.tolist()}, divisions {found.divisions}")
    assert (np.abs(np.array(found.count) - given) / given).mean() < 0.06
    assert [t for t, _, _ in found.divisions] == pytest.approx([7, 24, 29], abs=2)


def test_divisions_of_tracks_that_others_followed_are_those_of_their_graph(shared: Path) -> None:
    """500 frames of MDCK cells whose tracks end at each division; a nucleus has a radius of about 12 px."""
    radius, folder = 12.0, shared / "microscopy"
    with gzip.open(folder / "mdck_tracks.csv.gz", "rt") as file:
        table = np.array([[float(value) for value in row] for row in list(csv.reader(file))[1:]])
    graph = json.loads(gzip.decompress((folder / "mdck_graph.json.gz").read_bytes()))
    table = table[np.lexsort([table[:, 0], table[:, 1]])]
    given, frame, places = table[:, 0].astype(int), table[:, 1].astype(np.int64), table[:, 2:4]
    track = np.unique(given, return_inverse=True)[1].astype(np.int64)
    joined = close_gaps(places, frame, track, 2.5 * radius, gaps=(1, 1))
    cell, mothers = divide_tracks(frame, places, np.ones(len(frame)), joined, radius)
    names = {c: int(np.bincount(given[cell == c][:5]).argmax()) for c in np.unique(cell)}
    ends = {c: int(np.bincount(given[cell == c][-5:]).argmax()) for c in np.unique(cell)}
    found = {(names[daughter], ends[mother]) for daughter, mother in mothers.items()}
    true = {(int(daughter), mother[0]) for daughter, mother in graph.items()}
    right = len(found & true)
    print(f"{right} of {len(true)} daughters in the graph, {len(found)} found")
    assert right > 0.85 * len(true)
    assert right > 0.75 * len(found)


def test_a_neighbour_that_shows_up_beside_a_cell_is_no_daughter() -> None:
    frames = [discs((32, 40)) for _ in range(6)] + [discs((32, 40), (32, 56)) for _ in range(6)]
    found = measure_cells(np.stack(frames) + 0.02 * np.random.default_rng(0).standard_normal((12, 64, 96)))
    assert found.count == [1] * 6 + [2] * 6
    assert not found.divisions
