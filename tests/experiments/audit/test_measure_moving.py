"""`physgen audit FILE measure=...`: numbers, tables, layers and pictures of what moves."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from moving_movies import texture

from physgen.experiments.audit.moving.flow import report_flow
from physgen.experiments.audit.moving.report import Scale
from physgen.experiments.cli.dispatch import main
from physgen.measure import measure_flow, measure_regions


def write_movie(path: Path, movie: np.ndarray, scaled: bool = True) -> Path:
    scale: dict[str, Any] = {"imagej": True, "resolution": (5.0, 5.0)} if scaled else {}
    meta: dict[str, Any] = {"axes": "TYX"} | ({"unit": "um", "finterval": 0.1} if scaled else {})
    tifffile.imwrite(path, movie.clip(0, 65535).astype(np.uint16), metadata=meta, **scale)
    return path


def walkers() -> np.ndarray:
    """Nine beads on a grid that diffuse by 0.5 px a frame."""
    rng = np.random.default_rng(0)
    start = 16.0 + 32 * np.indices((3, 3)).reshape(2, 9).T
    places = start + rng.normal(scale=0.5, size=(16, 9, 2)).cumsum(0)
    line = np.arange(96)[:, None]
    across, along = (np.exp(-((line - places[:, None, :, k]) ** 2) / 6) for k in (0, 1))
    return 500 + 1000 * (across @ along.transpose(0, 2, 1)) + 20 * rng.standard_normal((16, 96, 96))


def measured(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.json").read_text())["files"][0]["measures"]


@pytest.fixture(scope="module")
def beads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_movie(tmp_path_factory.mktemp("beads") / "beads.tif", walkers())


def test_tracks_have_numbers_tables_layers_and_pictures(
    beads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["audit", str(beads), "measure=tracks", f"out={out}"]) == 0
    assert "tracks: D = " in capsys.readouterr().out
    found = measured(out)["tracks"]
    assert found["measured"]
    assert found["D_low"] < found["D_um2_s"] < found["D_high"]
    assert found["D_low"] < 0.125 * 0.04 / 0.1 < found["D_high"]
    assert found["D_um2_s"] == pytest.approx(found["D_px"] * 0.04 / 0.1)
    assert found["n_tracks"] == 9
    folder = out / "measures" / "beads" / "tracks"
    with (folder / "spots.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["n_spots"]
    assert {"ID", "TRACK_ID", "FRAME", "POSITION_X", "POSITION_Y", "POSITION_T", "RADIUS", "QUALITY"} <= rows[0].keys()
    first = np.array([(float(row["POSITION_X"]), float(row["POSITION_Y"])) for row in rows if row["FRAME"] == "0"])
    assert len(first) == 9
    assert np.hypot(*(first - 3.2).T).min() < 0.5
    assert (folder / "napari-spots.csv").read_text().startswith("index,axis-0,axis-1,axis-2")
    assert (folder / "napari-tracks.csv").read_text().startswith("index,shape-type,vertex-index,axis-0,axis-1")
    assert all((folder / f"{name}.png").stat().st_size > 5000 for name in ("overlay", "msd"))
    assert "Mean squared displacement" in (out / "report.html").read_text()


def test_without_a_scale_numbers_are_in_pixels_and_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = write_movie(tmp_path / "a.tif", walkers(), scaled=False), tmp_path / "out"
    assert main(["audit", str(file), "measure=[tracks,regions]", f"out={out}"]) == 0
    printed = capsys.readouterr().out
    assert "px²/frame" in printed
    assert "no pixel size in the file" in printed
    found = measured(out)
    assert found["tracks"]["measured"]
    assert found["tracks"]["D_um2_s"] is found["tracks"]["D_low"] is None
    assert found["tracks"]["D_low_px"] < 0.125 < found["tracks"]["D_high_px"]
    assert set(found) == {"tracks", "regions"}


def test_a_pair_of_frames_has_a_flow(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    from scipy.ndimage import gaussian_filter

    frame = gaussian_filter(rng.random((128, 160)), 1.5, mode="wrap")
    frame = 1000 + 5000 * (frame - frame.min())
    file = write_movie(tmp_path / "pair.tif", np.stack([frame, np.roll(frame, (-2, 2), (0, 1))]))
    out = tmp_path / "out"
    assert main(["audit", str(file), "measure=[flow,tracks,cells]", f"out={out}"]) == 0
    found = measured(out)
    assert found["flow"]["measured"]
    assert found["flow"]["direction_deg"] == pytest.approx(45, abs=1)
    assert found["flow"]["speed_median_um_s"] == pytest.approx(np.hypot(2, 2) * 0.2 / 0.1, rel=0.03)
    assert found["flow"]["speed_low"] <= found["flow"]["speed_median_um_s"] <= found["flow"]["speed_high"]
    for kind in ("tracks", "cells"):
        assert not found[kind]["measured"]
        assert "at least 3" in found[kind]["reason"]
    folder = out / "measures" / "pair" / "flow"
    assert (folder / "field.png").stat().st_size > 5000
    with (folder / "vectors.csv").open() as file_:
        rows = list(csv.DictReader(file_))
    assert np.median([float(row["vx_um_s"]) for row in rows]) == pytest.approx(4.0, rel=0.05)
    assert np.median([float(row["vy_um_s"]) for row in rows]) == pytest.approx(-4.0, rel=0.05)


def test_cells_have_labels_and_a_lineage(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]

    def disc(row: float, column: float) -> np.ndarray:
        return 1000 / (1 + np.exp(np.hypot(y - row, x - column) - 6.0))

    frames = [disc(32, 32)] * 5 + [np.maximum(disc(32, 22), disc(32, 42))] * 5
    movie = 100 + np.stack(frames) + 10 * np.random.default_rng(0).standard_normal((10, 64, 64))
    file, out = write_movie(tmp_path / "cells.tif", movie), tmp_path / "out"
    assert main(["audit", str(file), "measure=cells", f"out={out}"]) == 0
    found = measured(out)["cells"]
    assert found["count"] == [1] * 5 + [2] * 5
    assert found["divisions"] == [{"frame": 5, "mother": 1, "daughters": [2, 3]}]
    folder = out / "measures" / "cells" / "cells"
    labels = tifffile.imread(folder / "labels.tif")
    assert labels.shape == (10, 64, 64)
    assert labels.dtype == np.uint32
    assert (folder / "lineage.csv").read_text().splitlines()[2].startswith("2,5,9,")
    assert all((folder / f"{name}.png").is_file() for name in ("overlay", "count", "lineage"))


@pytest.mark.parametrize("given", ["speed", "[tracks,speed]", "[tracks,tracks]", "3"])
def test_what_is_no_measurement_is_refused_in_one_line(
    beads: Path, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(beads), f"measure={given}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "tracks, flow, cells, regions" in error


def test_faults_of_a_file_are_named_with_their_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    movie = walkers()
    movie[9:] *= 0.8
    file, out = write_movie(tmp_path / "dimmed.tif", movie), tmp_path / "out"
    assert main(["audit", str(file), "measure=faults", f"out={out}"]) == 0
    assert "faults: the light of the whole picture changes at once after frame 8" in capsys.readouterr().out
    found = measured(out)["faults"]
    assert {"fault": "light", "frame": 8} in found["found"]
    assert found["tests"]["order"]["value"] <= found["tests"]["order"]["limit"]


@pytest.mark.parametrize("shape", [(12, 1, 1), (12, 1, 64), (12, 4, 4)])
def test_a_tiny_movie_is_not_measured_and_says_why(
    shape: tuple[int, int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, movie = tmp_path / "tiny.tif", np.random.default_rng(0).uniform(100, 200, shape)
    tifffile.imwrite(file, movie.astype(np.uint16), metadata={"axes": "TYX"})
    out = tmp_path / "out"
    assert main(["audit", str(file), "measure=[tracks,flow,cells,regions,faults]", f"out={out}"]) == 0
    assert capsys.readouterr().out.count("at least 16 x 16 are needed") == 5
    for numbers in measured(out).values():
        assert not numbers["measured"]
        assert not any(isinstance(value, float) for value in numbers.values())


def test_places_and_frames_are_those_of_the_file_whatever_part_is_read(beads: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert main(["audit", str(beads), "measure=tracks", f"out={whole}"]) == 0
    assert main(["audit", str(beads), "measure=tracks", "crop=[22,96,26,96]", "every=2", f"out={part}"]) == 0

    def rows(out: Path, name: str, columns: tuple[str, ...]) -> np.ndarray:
        with (out / "measures" / "beads" / "tracks" / f"{name}.csv").open() as file:
            return np.array([[float(row[key]) for key in columns] for row in csv.DictReader(file)])

    for name, columns in (
        ("spots", ("POSITION_T", "POSITION_Y", "POSITION_X", "FRAME")),
        ("napari-spots", ("axis-0", "axis-1", "axis-2")),
    ):
        every_spot, found = rows(whole, name, columns), rows(part, name, columns)
        assert len(found) > 20
        nearest = np.abs(found[:, None] - every_spot).max(2).min(1)
        assert np.median(nearest) < 0.05
    with (part / "measures" / "beads" / "tracks" / "napari-tracks.csv").open() as file:
        assert min(float(row["axis-0"]) for row in csv.DictReader(file)) > 22


@pytest.mark.parametrize("given", [["spacing=0.2", "dt=0.1"], []])
def test_frames_and_pixels_that_are_left_out_change_no_unit(given: list[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = np.kron(rng.random((40, 40)), np.ones((4, 4)))
    movie = 1000 + 5000 * np.stack([np.roll(frame, (0, 2 * t), (0, 1)) for t in range(5)])
    file, speeds = write_movie(tmp_path / "a.tif", movie, scaled=False), []
    for k, part in enumerate(([], ["every=2"], ["scale=0.5"])):
        out = tmp_path / str(k)
        assert main(["audit", str(file), "measure=flow", *given, *part, f"out={out}"]) == 0
        found = measured(out)["flow"]
        speeds.append((found["speed_median_px"], found["speed_median_um_s"] or 4.0))
    np.testing.assert_allclose(speeds, [(2.0, 4.0)] * 3, rtol=0.05)


def drifting_jump() -> np.ndarray:
    """A texture, still but for one shift by 24 px after frame 12 of 24."""
    frame = np.kron(np.random.default_rng(0).random((40, 40)), np.ones((4, 4)))
    return np.stack([1000 + 5000 * np.roll(frame, 0 if t < 13 else 24, axis=1) for t in range(24)])


def test_reasons_name_frames_and_pixels_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jumping, tiny = write_movie(tmp_path / "a.tif", drifting_jump()), write_movie(tmp_path / "b.tif", walkers())
    assert main(["audit", str(jumping), "measure=[tracks,flow,cells]", "every=2", "scale=0.5"]) == 0
    assert capsys.readouterr().out.count("the camera jumps between frames 12 and 14") == 3
    law = ["constraint=transport", "constraint.transport.form=frames"]
    assert main(["audit", str(jumping), *law, "every=2", "scale=0.25"]) == 0
    assert "the picture jumps between frames 12 and 14" in capsys.readouterr().out
    assert main(["audit", str(tiny), "measure=[tracks,faults]", "every=8", "scale=0.125"]) == 0
    printed = capsys.readouterr().out
    assert "tracks: not measured: 2 frames (every=8), at least 3 are needed" in printed
    assert "faults: not measured: 2 frames (every=8), at least" in printed
    assert main(["audit", str(tiny), "measure=cells", "scale=0.125"]) == 0
    assert "frames of 12 x 12 px (scale=1/8), at least 16 x 16" in capsys.readouterr().out
    assert main(["audit", str(tiny), "every=20"]) == 2
    assert "every=20" in capsys.readouterr().err


def test_distances_in_reasons_are_pixels_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 192, (16, 60, 2))
    line = np.arange(192)[:, None]
    across, along = (np.exp(-((line - places[:, None, :, k]) ** 2) / 24) for k in (0, 1))
    movie = 500 + 1000 * (across @ along.transpose(0, 2, 1)) + 20 * rng.standard_normal((16, 192, 192))
    file, found = write_movie(tmp_path / "a.tif", movie), []
    for part in ([], ["scale=0.5"]):
        assert main(["audit", str(file), "measure=tracks", *part]) == 0
        printed = capsys.readouterr().out
        found.append(float(printed.split("half of their distance to others, ")[1].split(" px")[0]))
    assert found[1] == pytest.approx(found[0], rel=0.1)


def twice(movie: np.ndarray, dropped: bool) -> np.ndarray:
    """Frames 5, 9, 14 and 18 shown again: in the place of the next one, or before it."""
    again = np.isin(np.arange(len(movie)), [5, 9, 14, 18])
    shown = np.repeat(np.arange(len(movie)), 1 + again)
    if dropped:
        shown = np.arange(len(movie))
        shown[[6, 10, 15, 19]] -= 1
    return movie[shown[: len(movie)]]


@pytest.mark.parametrize("dropped", [True, False])
def test_rates_are_not_measured_where_frames_were_put_in(
    dropped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    rng = np.random.default_rng(0)
    width = 20 + 2 * np.arange(24.0).reshape(-1, 1, 1)
    spot = 10000 * 20 / width * np.exp(-(x**2 + y**2) / 2 / width)
    spread = twice(500 + spot + 100 * rng.standard_normal(spot.shape), dropped)
    fading = twice(np.exp(-0.02 * np.arange(24.0)).reshape(-1, 1, 1) * (500 + spot[:1]), dropped)
    file = write_movie(tmp_path / "spread.tif", spread, scaled=False)
    law = ["constraint=diffusion", "background=500"]
    assert main(["audit", str(file), *law]) == 0
    printed = capsys.readouterr().out
    late = "4 frames are the one before again, first after frame 5, and nothing is left out after it"
    assert (f"diffusion: not measured: {late}" in printed) == (not dropped)
    if dropped:
        value = float(printed.split("D_c = ")[1].split()[0])
        assert value == pytest.approx(1.0, abs=0.05)
    fading += rng.standard_normal((1, 48, 48))
    file = write_movie(tmp_path / "fading.tif", fading, scaled=False)
    assert main(["audit", str(file), "constraint.mass.bleaching=exponential"]) == 0
    assert (late in capsys.readouterr().out) == (not dropped)


@pytest.mark.parametrize("dropped", [True, False])
def test_flow_and_recovery_are_not_measured_where_frames_were_put_in(dropped: bool) -> None:
    from scipy.ndimage import gaussian_filter, shift

    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(64, 160)), 2)
    moving = np.stack([shift(texture / texture.std(), (0, 1.5 * t), order=3)[:, 60:124] for t in range(24)])
    flow = measure_flow(twice(moving + 0.05 * rng.standard_normal(moving.shape), dropped))
    disc = np.hypot(*(np.mgrid[:48, :48] - 23.5)) < 8
    lost = np.where(np.arange(24) < 4, 0, 3 * 0.5 ** ((np.arange(24) - 4) / 4))
    light = 5 - lost.reshape(-1, 1, 1) * disc
    found = measure_regions(twice(light + 0.05 * rng.standard_normal(light.shape), dropped))
    for reason in (flow.reason, found.reason):
        assert (reason is None) == dropped
    if dropped:
        assert flow.speed is not None
        assert found.recovery is not None
        assert found.recovery.half_time is not None
        assert flow.speed[1] < 1.5 < flow.speed[2]
        assert found.recovery.half_time[1] < 4 < found.recovery.half_time[2]


def test_a_period_is_not_measured_where_frames_are_shown_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    beat = 1 + 0.5 * np.sin(2 * np.pi * np.arange(24) / 6.3).reshape(-1, 1, 1)
    movie = (
        500 + 1000 * beat * np.exp(-(x**2 + y**2) / 100) + 5 * np.random.default_rng(0).standard_normal((24, 48, 48))
    )
    again = movie.copy()
    again[9] = again[8]
    for given, said in ((movie, False), (again, True)):
        file = write_movie(tmp_path / "beat.tif", given, scaled=False)
        assert main(["audit", str(file), "constraint=periodic"]) == 0
        printed = capsys.readouterr().out
        assert ("periodic: not measured: 1 frame is the one before again, first after frame 8" in printed) == said


def test_kymograph_and_chart_of_speed_know_pixels_that_are_not_square() -> None:
    frame = texture(0, 96)
    movie = np.stack([np.roll(frame, 2 * t, axis=1) for t in range(9)])
    report = report_flow(movie, Scale((1.0, 0.25), 0.5, {"length": "µm", "time": "s"}), None)
    assert report.numbers["kymograph_um_s"] == pytest.approx(1.0, rel=0.03)
    assert report.charts["speed"].series[0].y == pytest.approx([1.0] * 8, rel=0.03)
