"""Observations hide what they say, what needs no model is right where it must be, and scores see what was planted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from physgen.constraints import Observed
from physgen.errors import InvalidArgument
from physgen.experiments.assimilate.arms import (
    FREE_SCALE,
    ObservedCase,
    arms_of_movie,
    best_of,
    joined,
    observed,
    pool,
    timed,
)
from physgen.experiments.assimilate.cases import Case, crop_of, read_case
from physgen.experiments.assimilate.filled import write_filled
from physgen.experiments.assimilate.network import Network
from physgen.experiments.assimilate.observations import OBSERVATIONS, Observation
from physgen.experiments.assimilate.run import run_assimilate
from physgen.experiments.assimilate.scores import scores
from physgen.experiments.assimilate.table import less, tables
from physgen.experiments.assimilate.without_model import interpolated, law_alone, without_noise
from physgen.experiments.cli.dispatch import JOBS, main, read_options
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.movies.cut import Cut, Movie
from physgen.experiments.pages.sheet import CAPTION
from physgen.sampling import sample_flow
from physgen.worlds import World, world_spec
from physgen.worlds.loading import load


@pytest.fixture(scope="module")
def dye() -> Case:
    return read_case(prompts("dye", 1, "held_out", 501)[0], world_spec("micro"))


@pytest.fixture(scope="module")
def world() -> World:
    return load(world_spec("micro"), "cpu")


def seen_of(case: Case, name: str) -> Observation:
    return OBSERVATIONS[name](case.truth, case.generator(name))


def rmse(case: Case, observation: Observation, fields: Tensor) -> float:
    return float((fields.mean(0) - case.truth[0])[observation.asked].square().mean().sqrt())


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_the_truth_is_within_the_noise_that_is_told(dye: Case, name: str) -> None:
    observation = seen_of(dye, name)
    (deviation,) = observation.seen.describe(dye.truth, None)["deviation"]
    expected = 0.0 if observation.seen.hard else 1.0
    assert deviation == pytest.approx(expected, abs=0.05)
    if name != "light":
        assert not bool((observation.asked & observation.seen.mask).any())
        assert bool((observation.asked | observation.seen.mask).all())


def test_a_piece_of_a_real_movie(dye: Case) -> None:
    """Brightness, from dark to bright, is the first species; the law is the family's; a caption names colours."""
    movie = Movie("ramp", torch.linspace(0, 500, 100).expand(30, 100, 100) + torch.arange(30.0).view(30, 1, 1))
    piece = crop_of(movie, Cut(), None, dye.prompt, world_spec("micro"))
    assert list(piece.truth.shape[2:]) == [25, 64, 64]
    assert piece.law is not None
    assert float(piece.truth.min()) == 0
    assert float(piece.truth.max()) == 1
    assert bool((piece.truth[0, 0].diff(dim=2) >= 0).all())
    named = crop_of(movie, Cut(), "red and blue dye in water", dye.prompt, world_spec("micro"))
    assert torch.equal(named.truth[:, 0], piece.truth[:, 0])
    assert named.observable.species == ("red", "blue")
    assert not bool(named.truth[:, 1].any())
    with pytest.raises(InvalidArgument, match="families=dye"):
        crop_of(movie, Cut(), "a colony of bacteria", dye.prompt, world_spec("micro"))


def test_interpolation_is_exact_between_planes() -> None:
    """Values that are linear along an axis are harmonic: both ends give back what is between."""
    values = torch.linspace(0, 1, 9).view(1, 9, 1, 1).expand(1, 9, 6, 6)
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[:, [0, 8]] = True
    torch.testing.assert_close(interpolated(Observed(values, mask))[0], values, atol=1e-3, rtol=0)


def test_the_law_alone_is_nearer_than_interpolation_where_it_can_know(dye: Case) -> None:
    observation = seen_of(dye, "forecast")
    assert dye.law is not None
    alone = law_alone(observation.seen, dye.law, dye.grid)
    assert rmse(dye, observation, alone) < 0.5 * rmse(dye, observation, interpolated(observation.seen))


def test_non_local_means_take_noise_away(dye: Case) -> None:
    observation = seen_of(dye, "light")
    before = float((observation.seen.values - dye.truth).square().mean().sqrt())
    assert rmse(dye, observation, without_noise(observation.seen)) < 0.3 * before


def test_scores_see_what_was_planted(dye: Case) -> None:
    observation = seen_of(dye, "half")
    noise = torch.Generator().manual_seed(0)
    right = dye.truth + 0.05 * torch.randn(16, *dye.truth.shape[1:], generator=noise)
    found = scores(dye, observation, right)
    assert found["rmse"] == pytest.approx(0.05 / 4, rel=0.05)
    assert found["single"] == pytest.approx(0.05, rel=0.02)
    same = scores(dye, observation, dye.truth.expand(2, -1, -1, -1, -1))
    assert same["rmse"] == same["crps"] == same["missed"] == same["invented"] == same["log_D_c"] == 0
    assert scores(dye, observation, 0 * dye.truth)["missed"] > 0
    another = dye.truth.clone()
    another[..., 2:12, 2:12] = dye.truth.max()
    assert scores(dye, observation, another)["invented"] > 0
    exchangeable = dye.truth + 0.05 * torch.randn(dye.truth.shape, generator=noise)
    spread = Case(dye.prompt, exchangeable, dye.law, dye.observable, dye.grid)
    held = scores(spread, observation, right)
    assert held["cover90"] == pytest.approx(held["due90"], abs=0.02)
    assert held["cover50"] == pytest.approx(held["due50"], abs=0.02)
    assert held["skill"] == pytest.approx(1, abs=0.05)


def test_the_network_is_that_of_the_pipeline_and_counts(world: World, dye: Case) -> None:
    """The same noise, by `sample_flow` of the network and by the pipeline itself."""
    network = Network(world, dye.prompt.caption, dye.observable, 3.0)
    generator = torch.Generator("cpu").manual_seed(4)
    with torch.no_grad():
        found = world.decode(sample_flow(network, network.noise(1, generator), network.sigmas(3)))
    drawn = world.sample(dye.prompt.caption, seed=4, steps=3, guidance_scale=3.0)
    torch.testing.assert_close(found, drawn, atol=2e-4, rtol=0)
    assert network.calls == 6


def test_what_is_observed_is_kept_to_and_joined(world: World, dye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 12 evaluations."""
    monkeypatch.setattr("physgen.experiments.assimilate.arms.BUDGET", 12)
    for network in (world.pipe.transformer, world.pipe.vae):
        network.eval().requires_grad_(False)
    observation = seen_of(dye, "forecast")
    asked = ObservedCase(world, dye, observation.seen, 2, "forecast")
    draws = timed(asked, lambda network: pool(asked, network), FREE_SCALE)
    best = best_of(asked, draws)
    kept = timed(asked, lambda network: observed(asked, network, "backward"))
    forward = timed(asked, lambda network: observed(asked, network, "forward"))
    assert {draws.calls, kept.calls, forward.calls} == {12}
    assert len(best.fields) == 2

    def off(fields: Tensor) -> float:
        return float(np.mean(observation.seen.describe(fields, None)["deviation"]))

    assert max(off(kept.fields), off(forward.fields)) < off(best.fields)
    both = joined(asked, kept.fields)
    assert rmse(dye, observation, both) < rmse(dye, observation, kept.fields)


def test_tables_compare_the_same_prompts() -> None:
    records = [
        {"family": "dye", "index": i, "observation": "half", "arm": arm, "samples": 4, "rmse": size * (1 + i)}
        for i in range(4)
        for arm, size in (("model and law", 0.5), ("model", 1.0), ("law alone", 2.0))
    ]
    first, arms = tables(records)
    rows = {row[2]: row for row in first.rows}
    best = rows["model and law against the better of model and law alone"]
    assert best[3] == "model"
    assert best[4].estimate == pytest.approx(0.5)  # type: ignore[union-attr]
    assert [row[0] for row in arms.rows] == ["law alone", "model", "model and law"]
    interval = less(np.array([1.0, 2.0, 1.5]), np.array([1.0, 2.0, 1.5]))
    assert interval.low == interval.high == 0


def test_bad_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for option, words in {
        "families=[ink]": "families",
        "observations=[]": "observations",
        "samples=1": "samples",
    }.items():
        assert main(["benchmark", "assimilate", option, f"out={tmp_path / 'x'}"]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_bad_movies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line that names the option, before anything is written."""
    np.save(tmp_path / "short.npy", np.random.default_rng(0).random((30, 100, 100)))
    for options, words in {
        ("lora=x.safetensors",): "movie",
        (f"movie={tmp_path / 'short.npy'}", "part=later"): "at least 25 frames",
        (f"movie={tmp_path / 'short.npy'}", "cut.side=120"): "cut.side=120",
        (f"movie={tmp_path / 'short.npy'}", "part=upper"): "earlier, later",
        (f"movie={tmp_path / 'short.npy'}", "cut.frames=[0,40]"): "cut.frames",
        (f"movie={tmp_path / 'short.npy'}", "lora=x.safetensors"): "lora=x.safetensors",
        (f"movie={tmp_path / 'short.npy'}", "caption=a colony grows"): "families=dye",
    }.items():
        arguments = ["benchmark", "assimilate", "families=[dye]", *options, f"out={tmp_path / 'x'}"]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert words in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_movie_is_filled_in_by_a_fine_tuned_world_as_well(
    world: World, dye: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 12 evaluations; with the world itself in the place of the fine-tuned one its arm is the model's."""
    monkeypatch.setattr("physgen.experiments.assimilate.arms.BUDGET", 12)
    for network in (world.pipe.transformer, world.pipe.vae):
        network.eval().requires_grad_(False)
    observation = seen_of(dye, "forecast")
    found = arms_of_movie(ObservedCase(world, dye, observation.seen, 2, "forecast"), world)
    assert list(found) == ["interpolation", "law alone", "model", "model and law", "fine-tuned", "fine-tuned, and law"]
    assert torch.equal(found["model"].fields, found["fine-tuned"].fields)
    write_filled(tmp_path / "filled.png", dye, observation, found)
    with Image.open(tmp_path / "filled.png") as sheet:
        pixels = np.asarray(sheet.convert("L"), float)
    height = pixels.shape[0] // 8
    truth, seen, *_ = (pixels[row * height : (row + 1) * height] for row in range(8))
    across = pixels.shape[1] // 9
    assert np.abs(truth - seen)[CAPTION + 2 :, : 3 * across].mean() < 15
    assert np.unique(seen[CAPTION + 2 : -4, -across + 4 : -4]).size == 1


@pytest.mark.slow
def test_a_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [
        "families=[dye]",
        "observations=[forecast]",
        "thorough=[]",
        "n=2",
        "samples=2",
        "calibrate=0",
        "processes=1",
    ]
    config = read_options("benchmark-assimilate", JOBS["benchmark-assimilate"], options)
    monkeypatch.setattr("physgen.experiments.assimilate.arms.BUDGET", 12)
    run_assimilate(config, tmp_path)
    first = json.loads((tmp_path / "assimilate.json").read_text())
    assert {one["arm"] for one in first} >= {"law alone", "model", "model and law"}
    (lost, *_), kept = sorted((tmp_path / "records").iterdir())[:1], sorted((tmp_path / "records").iterdir())[1]
    stamp, text = kept.stat().st_mtime_ns, lost.read_text()
    lost.unlink()
    run_assimilate(config, tmp_path)
    assert kept.stat().st_mtime_ns == stamp

    def without_time(records: list[dict[str, object]]) -> list[dict[str, object]]:
        return [{key: value for key, value in one.items() if key != "seconds"} for one in records]

    assert without_time(json.loads(lost.read_text())) == without_time(json.loads(text))
