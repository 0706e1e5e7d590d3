"""Training resumes exactly, and `physgen train` goes from nothing to a world that samples."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import configure, typed
from physgen.experiments.cli.dispatch import main
from physgen.experiments.train import sizes
from physgen.experiments.train.data import Videos, plan, simulate_all
from physgen.experiments.train.distributed import launch
from physgen.experiments.train.job import TrainConfig
from physgen.experiments.train.latents import latents_path
from physgen.experiments.train.loop import Schedule, fit, optimisers
from physgen.experiments.train.transformer import train_transformer, velocity_loss
from physgen.simulators import GRAMMARS
from physgen.worlds import load_world
from physgen.worlds.micro.pipeline import MicroPipeline

TINY = [
    "simulator=dye",
    "simulator.clips=4",
    "simulator.validation=2",
    "autoencoder.arguments={z_dim: 4, dims: [8, 8, 8]}",
    "autoencoder.batch=2",
    "autoencoder.schedule.steps=3",
    "transformer.batch=2",
    "transformer.compile=false",
    "transformer.arguments.num_attention_heads=2",
    "transformer.arguments.attention_head_dim=12",
    "transformer.arguments.in_channels=4",
    "transformer.arguments.out_channels=4",
    "transformer.arguments.text_dim=16",
    "transformer.arguments.ffn_dim=32",
    "transformer.arguments.num_layers=1",
]


class Killed(Exception):
    """Stands for the kill."""


def regression(folder: Path, *, kill_at: int | None, muon: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.ModuleDict({"block": nn.Linear(4, 4), "head": nn.Linear(4, 1)})
    calls = 0

    def objective(
        draw: np.random.Generator, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, dict[str, float]]:
        nonlocal calls
        calls += 1
        if kill_at == calls:
            raise Killed
        x = torch.randn(8, 4, generator=generator) * float(draw.uniform(0.5, 1.0))
        return (model["head"](model["block"](x).tanh()) - x.sum(1, keepdim=True)).square().mean(), {"p": progress}

    schedule = Schedule(steps=9, learning_rate=0.1, warmup=2, muon=muon, log_every=2, checkpoint_every_s=0.0)
    return fit(0, 1, folder, "toy", model, objective, schedule, seed=3)


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize("kill_at", [2, 6, 9])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, kill_at: int, muon: bool) -> None:
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
    whole = regression(folders[0], kill_at=None, muon=muon)
    with pytest.raises(Killed):
        regression(folders[1], kill_at=kill_at, muon=muon)
    resumed = regression(folders[1], kill_at=None, muon=muon)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    steps = [json.loads(line)["step"] for line in (folders[1] / "toy.log.jsonl").read_text().splitlines()]
    assert steps[-1] == 9
    assert steps == sorted(set(steps))


def test_a_finished_run_is_loaded_and_not_repeated(tmp_path: Path) -> None:
    first = regression(tmp_path, kill_at=None, muon=False)
    again = regression(tmp_path, kill_at=1, muon=False)
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_shards_split_the_grammar_and_are_not_made_twice(tmp_path: Path) -> None:
    shards = plan(tmp_path, ["dye"], train=30, validation=10, seed=0)
    simulate_all(shards, processes=1)
    stamps = {shard.videos: shard.videos.stat().st_mtime_ns for shard in shards}
    simulate_all(shards, processes=1)
    assert stamps == {shard.videos: shard.videos.stat().st_mtime_ns for shard in shards}
    for split, held_out in (("train", False), ("validation", True)):
        videos = Videos.open(shards, "dye", split)
        assert len(videos) == {"train": 30, "validation": 10}[split]
        assert videos[3].shape == (3, 25, 64, 64)
        assert {GRAMMARS["dye"][a["kind"]].is_held_out(a) for a in videos.attributes} == {held_out}


def test_train_makes_a_world_that_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ["transformer.schedule.steps=3", "processes=1", f"out={tmp_path}"]
    assert main(["train", *TINY, *steps]) == 0
    assert str(tmp_path / "world") in capsys.readouterr().out
    pipe = MicroPipeline.from_pretrained(tmp_path / "world", dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    frames = pipe("one drop of green dye", num_inference_steps=2, output_type="pt").frames
    assert frames.shape == (1, 25, 3, 64, 64)
    assert frames.isfinite().all()
    assert set(json.loads((tmp_path / "transformer.log.jsonl").read_text().splitlines()[-1])) >= {"loss", "loss_dye"}


def test_work_of_other_options_is_not_taken_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def train(*options: str) -> int:
        counts = ["simulator=dye", "simulator.clips=2", "simulator.validation=1", "processes=1", "until=simulate"]
        return main(["train", *counts, *options, f"out={tmp_path}"])

    assert train() == 0
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    capsys.readouterr()
    assert train("simulator.clips=3", "seed=1") == 2
    assert "seed is 0 there and 1 here; simulator.clips is 2 there and 3 here" in capsys.readouterr().err
    assert train() == 0, "the same work"
    assert train("processes=2") == 2, "each worker trains on a batch of its own"
    assert "processes is 1 there and 2 here" in capsys.readouterr().err
    (tmp_path / "config.yaml").unlink()
    assert train() == 2, "of a version that did not keep its options"
    assert "this one has files and no config.yaml" in capsys.readouterr().err
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("simulator=dyes", "dye"),
        ("until=encoding", "encode"),
        ("judge.held_out=0", "at least 1"),
        ("simulator.families=[dye,fire]", "blood"),
        ("transformer.batchsize=2", "transformer.batch"),
        ("judge.schedule.ema=2", "judge.schedule.ema"),
    ],
)
def test_bad_options_are_one_line(
    argument: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", argument, f"out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_killed_transformer_keeps_the_balance_of_its_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = plan(tmp_path / "data", ["dye", "growth"], train=2, validation=0, seed=0)
    simulate_all(shards, processes=1)
    options = [option for option in TINY if option.startswith("transformer.")]
    schedule = ["steps=4", "warmup=1", "checkpoint_every_s=0"]
    options += ["transformer.batch=4", *(f"transformer.schedule.{one}" for one in schedule)]
    settings = typed(configure("train", options), TrainConfig).transformer

    def train(name: str) -> dict[str, torch.Tensor]:
        folder = tmp_path / name
        for shard in shards:
            path = latents_path(folder, shard)
            path.parent.mkdir(parents=True, exist_ok=True)
            generator = torch.Generator().manual_seed(len(shard.family))
            torch.save(torch.randn(2, 4, 3, 8, 8, generator=generator).half(), path)
        train_transformer(folder, shards, settings, seed=0, processes=1)
        return torch.load(folder / "transformer.ckpt", weights_only=True)

    whole = train("whole")
    calls = []

    def killed(*arguments: Any) -> torch.Tensor:
        calls.append(arguments)
        if len(calls) == 3:
            raise Killed
        return velocity_loss(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("physgen.experiments.train.transformer.velocity_loss", killed)
        with pytest.raises(Killed):
            train("killed")
    shutil.copytree(tmp_path / "killed", tmp_path / "former")
    resumed = train("killed")
    assert all(torch.equal(whole["model"][key], resumed["model"][key]) for key in whole["model"])
    assert torch.equal(whole["state"], resumed["state"])
    saved = torch.load(tmp_path / "former" / "transformer.ckpt", weights_only=True)
    del saved["state"]
    torch.save(saved, tmp_path / "former" / "transformer.ckpt")
    assert train("former")["step"] == 4, "checkpoints of before have no state"


@pytest.mark.slow
def test_every_worker_resumes_with_the_state_of_its_own(tmp_path: Path) -> None:
    for name, stops in (("whole", [6]), ("twice", [3, 6])):
        (tmp_path / name).mkdir()
        for stop in stops:
            launch(remember, 2, tmp_path / name, stop)
    whole, twice = (torch.load(tmp_path / name / "toy.ckpt", weights_only=True) for name in ("whole", "twice"))
    assert whole["state"].shape == (2, 1)
    assert whole["state"][0] != whole["state"][1]
    assert torch.equal(whole["state"], twice["state"])
    assert all(torch.equal(whole["model"][key], twice["model"][key]) for key in whole["model"])


def remember(rank: int, world: int, folder: Path, steps: int) -> None:
    """Train a number whose loss depends on a sum of the draws that this worker has had."""
    model, state = nn.Linear(1, 1), torch.zeros(1)
    nn.init.ones_(model.weight)
    nn.init.zeros_(model.bias)

    def objective(
        draw: np.random.Generator, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, dict[str, float]]:
        state.add_(float(draw.uniform()))
        return model(state).square().sum(), {}

    schedule = Schedule(steps=steps, learning_rate=0.1, warmup=1, floor=1.0)
    fit(rank, world, folder, "toy", model, objective, schedule, seed=0, state=state)


@pytest.mark.slow
def test_workers_that_share_muon_train_as_one_would_and_resume(tmp_path: Path) -> None:
    for name, stops in (("whole", [6]), ("twice", [3, 6])):
        (tmp_path / name).mkdir()
        for stop in stops:
            launch(shared, 2, tmp_path / name, stop)
    whole, twice = (torch.load(tmp_path / name / "toy.ckpt", weights_only=True) for name in ("whole", "twice"))
    alone = deep()
    first, second = optimisers(alone, MUON, 1)
    for step in range(6):
        for one in (first, second):
            one.zero_grad()
            for group in one.param_groups:
                group["lr"] = MUON.learning_rate * MUON.rate(step)
        for rank in range(2):
            (shown(alone, np.random.default_rng([0, rank, step])) / 2).backward()
        torch.nn.utils.clip_grad_norm_(alone.parameters(), 1.0)
        first.step()
        second.step()
    for key, value in alone.state_dict().items():
        assert torch.equal(whole["model"][key], twice["model"][key])
        torch.testing.assert_close(whole["model"][key], value, rtol=1e-4, atol=1e-4)
    assert len(whole["optimisers"][1]["state"]) == 3, "momenta of the matrices of both workers"
    assert not torch.equal(whole["model"]["blocks.2.weight"], deep().state_dict()["blocks.2.weight"])


MUON = Schedule(steps=6, learning_rate=0.1, warmup=1, floor=1.0, muon=True)


def deep() -> nn.Module:
    """Three matrices that Muon updates, of two shapes."""
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    return nn.ModuleDict({"blocks": blocks})


def shown(model: nn.Module, draw: np.random.Generator) -> torch.Tensor:
    """Loss of one drawn row."""
    return model["blocks"](torch.tensor(draw.normal(size=(3, 4)), dtype=torch.float32)).square().sum()  # type: ignore[index]


def shared(rank: int, world: int, folder: Path, steps: int) -> None:
    """Train the matrices on rows of this worker's own."""
    model = deep()

    def objective(
        draw: np.random.Generator, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, dict[str, float]]:
        return shown(model, draw), {}

    fit(rank, world, folder, "toy", model, objective, replace(MUON, steps=steps), seed=0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX process groups")
def test_killing_the_driver_kills_the_workers_and_the_run_resumes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "physgen", "train", *TINY, "processes=2", f"out={tmp_path}"]
    command += ["transformer.schedule.steps=150", "transformer.schedule.checkpoint_every_s=0.5", "until=transformer"]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "transformer.ckpt"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.2)
    assert driver.poll() is None, "the driver ended by itself"
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(2.0)
    reached = torch.load(checkpoint, weights_only=True)["step"]
    assert 0 < reached < 150
    time.sleep(2.0)
    assert torch.load(checkpoint, weights_only=True)["step"] == reached, "an orphan goes on training"
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert torch.load(checkpoint, weights_only=True)["step"] == 150


@pytest.mark.slow
def test_smaller_models_are_worlds(tmp_path: Path) -> None:
    folder = sizes.train("xs", tmp_path, clips=20, steps=2)
    for other, name in (
        ({"clips": 40, "steps": 2}, "clips"),
        ({"clips": 20, "steps": 3}, "transformer.schedule.steps"),
        ({"clips": 20, "steps": 2, "processes": 2}, "processes"),
    ):
        with pytest.raises(InvalidArgument, match=rf"{name} is \d"):
            sizes.train("xs", tmp_path, **other)
    world = load_world("micro", str(folder))
    assert sum(p.numel() for p in world.pipe.transformer.parameters()) < 4e5
    assert world.sample("one drop of red dye diffusing quickly in water", seed=0, steps=1).isfinite().all()
