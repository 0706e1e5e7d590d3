"""Clips of real movies: what is cut where, what is held out, and a LoRA that learns one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tifffile import imwrite as write
from tiny_world import SIZES

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.finetune.compare_movies import statistics
from physgen.experiments.movies.cut import PARTS, Cut, Movie, cut_piece, open_movie, part_of
from physgen.experiments.movies.shards import check_movies, cut_all, find_movies
from physgen.experiments.train.data import Videos, plan
from physgen.video import Video, write_tiff
from physgen.worlds import world_spec

SPEC = world_spec("micro")


def numbered(folder: Path) -> Path:
    """Pixels say where and when they are: frame + row / 1000 in the left half, and 500 more on the right."""
    t, y, x = np.meshgrid(np.arange(120.0), np.arange(90.0), np.arange(200.0), indexing="ij")
    np.save(folder / "numbered.npy", (t + y / 1000 + 500 * (x >= 100)).astype(np.float32) / 1000)
    return folder / "numbered.npy"


def test_a_piece_is_where_it_says(tmp_path: Path) -> None:
    """Square, frames and brightness, read again from the file at the place that the piece names."""
    path, cut = numbered(tmp_path), Cut(side=64, every=2, crop=[10, 90, 20, 180], dt=3.0, spacing=0.5)
    whole = np.load(path)
    fields, piece = cut_piece(open_movie(path, cut), cut, np.random.default_rng(1), SPEC)
    square = whole[piece.frame : piece.frame + 50 : 2, piece.top : piece.top + 64, piece.left : piece.left + 64]
    expected = ((square - piece.dark) / (piece.bright - piece.dark)).clip(0, 1)
    np.testing.assert_allclose(fields.numpy(), expected, atol=1e-4)
    assert (piece.dt, piece.spacing) == (6.0, 0.5)
    assert 10 <= piece.top <= 26
    assert 20 <= piece.left <= 116


@pytest.mark.parametrize("part", PARTS)
def test_parts_do_not_overlap(part: str, tmp_path: Path) -> None:
    frames = part_of(open_movie(numbered(tmp_path), Cut()), part).frames
    time, right = frames[:, 0, 0] * 1000, frames[0, 0] > 0.4
    if part in ("earlier", "later"):
        assert len(frames) == 60
        assert bool(((time >= 60) == (part == "later")).all())
    elif part != "all":
        assert frames.shape[2] == 100
        assert bool((right == (part == "right")).all())


def test_the_scale_is_that_of_the_file(tmp_path: Path) -> None:
    """OME-TIFF with µm and s; a clip of half the resolution has twice the µm a pixel."""
    frames = torch.rand(30, 1, 140, 140, generator=torch.manual_seed(0)).expand(-1, 3, -1, -1)
    write_tiff(tmp_path / "a.ome.tif", Video(frames, spacing=(0.25, 0.25), dt=2.0))
    _, piece = cut_piece(open_movie(tmp_path / "a.ome.tif", Cut()), Cut(side=128), np.random.default_rng(0), SPEC)
    assert piece.spacing == pytest.approx(0.5)
    assert piece.dt == pytest.approx(2.0)


def test_one_channel_and_plane_of_a_file(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (30, 2, 64, 64), np.uint8)
    write(tmp_path / "z.ome.tif", stack, metadata={"axes": "TZYX"})
    write(tmp_path / "c.ome.tif", stack, metadata={"axes": "TCYX"})
    with pytest.raises(InvalidArgument, match=r"cut\.channel=None"):
        open_movie(tmp_path / "c.ome.tif", Cut())
    with pytest.raises(InvalidArgument, match=r"cut\.crop="):
        open_movie(tmp_path / "z.ome.tif", Cut(plane=0, crop=[0, 99, 0, 99]))
    for cut, name in ((Cut(plane=1), "z"), (Cut(channel=1), "c")):
        frames = open_movie(tmp_path / f"{name}.ome.tif", cut).frames
        np.testing.assert_allclose(frames.numpy(), stack[:, 1] / 255, atol=1e-6)


def test_held_out_clips_share_no_frame_with_those_learned_from(tmp_path: Path) -> None:
    (tmp_path / "movies").mkdir()
    np.save(tmp_path / "movies" / "a.npy", np.load(numbered(tmp_path)))
    np.save(tmp_path / "movies" / "b.npy", np.load(numbered(tmp_path))[:, ::-1])
    movies = find_movies(tmp_path / "movies", "a colony of white bacteria")
    assert check_movies(movies, Cut(side=64), "later", SPEC) == "growth"
    shards = plan(tmp_path / "out", ["growth"], 5, 3, 0)
    cut_all(movies, shards, Cut(side=64), "later", SPEC)
    labels = {shard.split: json.loads(shard.labels.read_text()) for shard in shards}
    assert all(row["parameters"]["frame"] + 25 <= 60 for row in labels["train"])
    assert all(row["parameters"]["frame"] >= 60 for row in labels["validation"])
    assert [row["parameters"]["movie"] for row in labels["train"]] == ["a.npy", "b.npy", "a.npy", "b.npy", "a.npy"]
    videos = Videos.open(shards, "growth", "validation")
    read = SPEC.observable(videos.captions[0])(torch.from_numpy(np.array(videos[1]))[None] / 255.0)[0, 0]
    piece = labels["validation"][1]["parameters"]
    source = np.load(tmp_path / "movies" / "b.npy")[piece["frame"] : piece["frame"] + 25]
    square = source[:, piece["top"] : piece["top"] + 64, piece["left"] : piece["left"] + 64]
    expected = ((square - piece["dark"]) / (piece["bright"] - piece["dark"])).clip(0, 1)
    assert float(np.abs(read.numpy() - expected).max()) < 0.02
    stamp = shards[0].videos.stat().st_mtime_ns
    cut_all(movies, shards, Cut(side=64), "later", SPEC)
    assert shards[0].videos.stat().st_mtime_ns == stamp


def test_plain_figures_of_known_clips() -> None:
    """A plane that drifts: grain is its slope, change its speed, trend what it gained."""
    t, _, x = torch.meshgrid(torch.arange(5.0), torch.arange(8.0), torch.arange(8.0), indexing="ij")
    found = statistics((0.02 * x + 0.01 * t)[None])
    assert found["change"][0] == pytest.approx(0.01, rel=1e-4)
    assert found["grain"][0] == pytest.approx(0.02 / 2**0.5, rel=1e-4)
    assert found["trend"][0] == pytest.approx(0.04, rel=1e-4)
    assert found["bright"][0] == 0


def test_fine_tuning_on_a_folder_of_movies(tiny: Path, tmp_path: Path) -> None:
    """From the command line: clips, a LoRA, losses and samples of both, a picture; a second call has nothing to do."""
    rng, size = np.random.default_rng(0), 32
    (tmp_path / "movies").mkdir()
    np.save(tmp_path / "movies" / "a.npy", rng.random((30, size, 2 * size)))
    (tmp_path / "movies" / "a.txt").write_text("three colonies of golden bacteria")
    arguments = [f"data={tmp_path / 'movies'}", f"world.path={tiny}", *SIZES, "clips=8", "validation=8", "n=8"]
    arguments += ["rank=2", "batch=2", "processes=1", "schedule.steps=3", "cut.side=32", f"out={tmp_path / 'out'}"]
    assert main(["finetune", *arguments]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(metrics["models"]["held-out clips"]) == {"untuned", "without"}
    assert set(metrics["models"]["samples"]) == {"learned clips", "untuned", "without", "held-out clips"}
    assert metrics["models"]["samples"]["held-out clips"]["mmd2"]["estimate"] == pytest.approx(0, abs=1e-12)
    assert metrics["training"]["without-0"]["step"] == 3
    lora = tmp_path / "out" / "without-0" / "lora.safetensors"
    stamp = lora.stat().st_mtime_ns
    assert main(["finetune", *arguments]) == 0
    assert lora.stat().st_mtime_ns == stamp
    assert any(bool(tensor.any()) for key, tensor in load_file(lora).items() if "lora_B" in key)
    assert (tmp_path / "out" / "samples.png").stat().st_size > 1000


@pytest.mark.parametrize("changed", ["a.npy", "a.txt", "b.npy"])
def test_a_folder_of_movies_that_changed_is_not_gone_on_with(
    changed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Begun(Exception):
        pass

    def begin(*_: Any) -> None:
        raise Begun

    monkeypatch.setattr("physgen.experiments.finetune.job.cut_all", begin)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.random((60, 100, 200)))
    (tmp_path / "a.txt").write_text("a colony of golden bacteria")
    arguments = ["finetune", f"data={tmp_path}", "caption=a colony", "clips=8", "n=0", f"out={tmp_path / 'out'}"]
    for _ in range(2):
        with pytest.raises(Begun):
            main(arguments)
    if changed.endswith("txt"):
        (tmp_path / changed).write_text("a colony of white bacteria")
    else:
        np.save(tmp_path / changed, rng.random((60, 100, 200)))
    assert main(arguments) == 2
    assert f"movies.{Path(changed).with_suffix('.npy')}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["data=nowhere"], "nowhere"),
        (["data={empty}"], "a folder of movies"),
        (["data={movies}"], "a.txt"),
        (["data={movies}", "caption=a walk in the park"], "colony"),
        (["data={movies}", "caption=a colony"], "at least 25 frames"),
        (["data={movies}", "caption=a colony", "hold_out=upper"], "later"),
        (["data={movies}", "caption=a colony", "cut.every=0"], "cut.every"),
        (["data={movies}", "caption=a colony", "n=24", "validation=8"], "validation=8"),
        (["data={movies}", "caption=a colony", "hold_out=right", "cut.side=500"], "cut.side=500"),
        (["data={foreign}"], "a.txt': allowed: a text file in UTF-8"),
    ],
)
def test_bad_folders_are_one_line(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "movies", "foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "foreign" / "a.npy").touch()
    (tmp_path / "foreign" / "a.txt").write_bytes("Kolonie wächst".encode("latin-1"))
    np.save(tmp_path / "movies" / "a.npy", np.random.default_rng(0).random((30, 100, 200)))
    folders: dict[str, Any] = {name: tmp_path / name for name in ("empty", "movies", "foreign")}
    given = [argument.format(**folders) for argument in arguments]
    assert main(["finetune", *given, f"out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_movies_of_two_families_are_two_runs(tmp_path: Path) -> None:
    for name, text in {"a": "a colony of bacteria", "b": "red blood cells flow"}.items():
        np.save(tmp_path / f"{name}.npy", np.zeros((60, 100, 100)))
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(InvalidArgument, match="one family"):
        check_movies(find_movies(tmp_path, None), Cut(), "later", SPEC)


def test_what_shows_nothing_is_refused() -> None:
    for frames, words in (
        (torch.ones(30, 100, 100), "the same brightness everywhere"),
        (torch.full((30, 100, 100), torch.nan), "NaN or Inf"),
        (torch.rand(10, 100, 100), "10 frames"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            cut_piece(Movie("a", frames), Cut(), np.random.default_rng(0), SPEC)
    dark = Movie("b.tif", torch.zeros(25, 96, 96), first=7, corner=(10, 20))
    with pytest.raises(InvalidArgument, match=r"b\.tif: .* 96 px at row 10, column 20 from frame 7.*cut\.crop="):
        cut_piece(dark, Cut(side=96), np.random.default_rng(0), SPEC)
