"""`physgen benchmark moving`: pieces, planted faults, trials of laws, and the tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.moving.faults import MEANT, UNTOUCHED, fault_tables, is_found, try_faults
from physgen.experiments.moving.laws import law_tables, try_laws
from physgen.experiments.moving.pieces import Piece, find_movies, pieces_of
from physgen.experiments.moving.plant import PLANTS, when
from physgen.experiments.moving.text import Text, read_text, runs_backward
from physgen.experiments.moving.trials import EXACT, PLANTED, SIMULATOR, make_trials

RNG = np.random.default_rng(0)


def beads(frames: int = 16, size: int = 64, count: int = 20) -> np.ndarray:
    rng = np.random.default_rng(5)
    places = rng.uniform(0, size, (count, 2)) + rng.normal(scale=0.5, size=(frames, count, 2)).cumsum(0)
    line = np.arange(size)[:, None]
    across, along = (np.exp(-((line - places[:, None, :, k] % size) ** 2) / 8) for k in (0, 1))
    return 500 + 300 * (across @ along.transpose(0, 2, 1)) + 10 * rng.standard_normal((frames, size, size))


def flowing(frames: int = 24, sign: int = 1) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    frame = gaussian_filter(np.random.default_rng(2).random((64, 96)), 1.5, mode="wrap")
    return np.stack([1000 * np.roll(frame, sign * 2 * t, 1) for t in range(frames)])


def test_pieces_of_the_second_half_are_held_back() -> None:
    found = pieces_of("long", np.zeros((120, 300, 260)))
    halves = {(0, False), (24, False), (48, True), (72, True), (96, True)}
    assert {(piece.start, piece.held) for piece in found} == halves
    assert {piece.frames.shape for piece in found} == {(24, 128, 128)}
    assert sorted({(piece.y, piece.x) for piece in found}) == [(0, 0), (0, 128), (128, 0), (128, 128)]
    single = pieces_of("five frames", np.zeros((5, 256, 256)))
    assert [piece.held for piece in single] == [False, False, True, True]


def test_movies_are_found_and_labels_left_out(tmp_path: Path) -> None:
    for name in ("a.tif", "a_labels.tif", "b.csv"):
        (tmp_path / name).touch()
    assert [path.name for path in find_movies([str(tmp_path)])] == ["a.tif"]
    with pytest.raises(InvalidArgument, match="movies"):
        find_movies([str(tmp_path / "none")])


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_changes_what_it_says_and_nothing_before_it(name: str) -> None:
    movie, at = beads(), 8
    planted = PLANTS[name](movie, at, np.random.default_rng(0))
    assert planted is not None
    lost = {"three frames dropped": 3, "one frame dropped": 1}.get(name, 0)
    assert len(planted) == len(movie) - lost
    assert not np.array_equal(planted[: len(movie) - lost], movie[: len(movie) - lost])
    if name not in ("reversed", "light falls by 0.3 slowly"):
        np.testing.assert_array_equal(planted[:7], movie[:7])
    if name in ("three frames permuted", "neighbours swapped", "reversed", "second part reversed"):
        np.testing.assert_allclose(np.sort(planted.mean((1, 2))), np.sort(movie.mean((1, 2))))


def test_faults_are_planted_in_the_middle_third() -> None:
    drawn = {when(24, RNG) for _ in range(200)}
    assert min(drawn) == 8
    assert max(drawn) == 16


def test_each_fault_has_a_test_and_beads_show_most_of_them() -> None:
    assert list(MEANT) == list(PLANTS)
    piece = Piece("beads", 0, 0, 0, True, beads(24, 128, 80))
    rows = try_faults([piece], Text(None, False), seed=0)
    said = {row["planted"]: is_found(row) for row in rows if row["planted"] != UNTOUCHED}
    assert said.pop("reversed") is None  # beads have no direction of time
    assert sum(bool(one) for one in said.values()) >= 6
    assert not any(sign["found"] for row in rows if row["planted"] == UNTOUCHED for sign in row["signs"].values())
    tables = fault_tables(rows)
    assert "says nothing" in tables[0].markdown()
    assert "| all | 0 |" in tables[1].markdown()


def test_a_flow_that_runs_backward_goes_against_its_text() -> None:
    text = read_text(flowing())
    assert text.flow is not None
    assert runs_backward(flowing(8), text) is False
    assert runs_backward(flowing(8, sign=-1), text) is True
    assert runs_backward(flowing(8), Text(None, False)) is None
    assert read_text(flowing(5)) == Text(None, False)


def test_laws_hold_in_their_trials_and_not_with_faults() -> None:
    trials = {name: found for name, found in make_trials(2, 0).items() if name != "transport"}
    rows = try_laws(trials)
    assert {row["law"] for row in rows} == {"permanence", "static", "progression", "periodic", "count"}
    for row in rows:  # fast beats of the sheet have more harmonics than the law
        if (row["law"], row["kind"]) != ("periodic", SIMULATOR):
            assert row["holds"] == (row["kind"] != PLANTED), row
    (first, second, _) = law_tables(rows)
    assert len(first.rows) == 5
    assert all(row[2] == "2 of 2" for row in second.rows)
    assert {row["kind"] for row in rows} == {EXACT, SIMULATOR, PLANTED}


@pytest.mark.slow
def test_the_benchmark_writes_its_tables_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "beads.tif", beads(28, 48).astype(np.uint16), metadata={"axes": "TYX"})
    out = tmp_path / "out"
    command = ["benchmark", "moving", f"movies=[{tmp_path / 'beads.tif'}]", "n=0", "pieces=1", f"out={out}"]
    assert main(command) == 0
    found = json.loads((out / "moving.json").read_text())
    assert {row["planted"] for row in found["faults"]} == {UNTOUCHED, *PLANTS}
    assert {row["kind"] for row in found["laws"]} == {"real"}
    text = (out / "moving.md").read_text()
    assert "Planted faults found" in text
    before = (out / "beads-faults.json").stat().st_mtime_ns
    assert main(command) == 0
    assert (out / "beads-faults.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("given", "named"),
    [("n=0", "movies"), ("part=both", "part"), ("pieces=0", "pieces"), ("movies=[gone.tif]", "movies")],
)
def test_bad_options_are_refused_in_one_line(
    given: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "moving", given, f"out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "out").exists()


def test_files_of_another_kind_and_two_of_one_name_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "beads.tif", beads(8, 16).astype(np.uint16), metadata={"axes": "TYX"})
    (tmp_path / "table.csv").touch()
    for movies, said in {
        f"[{tmp_path / 'table.csv'}]": "files ending in",
        f"[{tmp_path / 'one'},{tmp_path / 'other'}]": "different names",
    }.items():
        assert main(["benchmark", "moving", f"movies={movies}", "n=0", f"out={tmp_path / 'out'}"]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
