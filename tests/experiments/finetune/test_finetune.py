"""Fine-tuning with and without constraints: the same draws, resumed after a kill, files that load, paired figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from markers import slow_except
from safetensors.torch import load_file
from tiny_world import SIZES
from torch import Tensor

from physgen.experiments.cli.config import configure, typed
from physgen.experiments.cli.dispatch import main
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.finetune import train
from physgen.experiments.finetune.compare import drawn, losses, models_of
from physgen.experiments.finetune.measure import MeasuredModel
from physgen.experiments.finetune.options import FinetuneConfig
from physgen.experiments.finetune.paired import summarise
from physgen.experiments.finetune.train import Clips, TrainingArm, constraint_loss, flow_matching
from physgen.experiments.train import latents
from physgen.experiments.train.data import Shard, plan, simulate_all
from physgen.worlds import load_checkpoint, load_world
from physgen.worlds.checkpoints.save_lora import save_lora
from physgen.worlds.loading import load


def options(tiny: Path, *more: str) -> list[str]:
    small = ["clips=6", "validation=8", "rank=2", "batch=2", "processes=1", "n=0", "schedule.steps=4"]
    return [
        "constraint=mass",
        f"world.path={tiny}",
        *(f"{size}" for size in SIZES),
        *small,
        "schedule.log_every=1",
        *more,
    ]


def prepared(config: FinetuneConfig, out: Path) -> list[Shard]:
    shards = plan(out / "data", [config.family], config.clips, config.validation, 0)
    simulate_all(shards, 1)
    latents.encode_all(out, shards, load(config.world, "cpu").pipe.vae, processes=1)
    return shards


def log(arm: TrainingArm) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (arm.folder / "lora.log.jsonl").read_text().splitlines()]


@torch.no_grad()
def output(pipe: Any) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    latents, text = torch.randn(1, 4, 3, 4, 4, generator=generator), torch.randn(1, 32, 16, generator=generator)
    return pipe.transformer(latents, torch.tensor([500]), text, return_dict=False)[0]


@pytest.mark.slow
def test_both_arms_have_the_same_start_and_data_and_the_files_load(tiny: Path, tmp_path: Path) -> None:
    assert main(["finetune", *options(tiny, f"out={tmp_path}")]) == 0
    plain, physical = TrainingArm(tmp_path, "without", 0), TrainingArm(tmp_path, "with", 0)
    assert log(plain)[0]["flow_loss"] == log(physical)[0]["flow_loss"]
    assert log(physical)[0]["excess"] > 0
    tuned, loaded = load_file(plain.file), load_file(physical.file)
    assert tuned.keys() == loaded.keys()
    assert any(not torch.equal(tuned[key], loaded[key]) for key in tuned)
    ours, diffusers_file, diffusers_loader = (load_world("micro", str(tiny), device="cpu").pipe for _ in range(3))
    assert load_checkpoint(ours, physical.file).unused == ()
    assert load_checkpoint(diffusers_file, physical.folder / "pytorch_lora_weights.safetensors").unused == ()
    diffusers_loader.load_lora_weights(physical.folder, weight_name="pytorch_lora_weights.safetensors")
    assert torch.equal(output(ours), output(diffusers_file))
    assert torch.allclose(output(ours), output(diffusers_loader), atol=1e-6)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["differences"]["held-out clips"]) == {"with - without", "with - untuned", "without - untuned"}
    assert (tmp_path / "finetune.md").read_text().count("held-out clips") == 3


def test_a_killed_run_ends_at_the_same_weights(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = typed(configure("finetune", options(tiny, "schedule.checkpoint_every_s=0")), FinetuneConfig)
    shards = prepared(config, tmp_path)
    whole, killed = TrainingArm(tmp_path, "with", 0), TrainingArm(tmp_path, "with", 0)
    train.train(whole, shards, config)
    expected = load_file(whole.file)
    for file in whole.folder.iterdir():
        file.unlink()
    rate, calls = type(config.schedule).rate, 0

    def dies(schedule: Any, step: int) -> float:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return rate(schedule, step)

    monkeypatch.setattr(type(config.schedule), "rate", dies)
    with pytest.raises(KeyboardInterrupt):
        train.train(killed, shards, config)
    assert not killed.file.exists()
    train.train(killed, shards, config)
    assert [row["step"] for row in log(killed)] == [1, 2, 3, 4]
    assert all(torch.equal(value, expected[key]) for key, value in load_file(killed.file).items())


def test_a_lora_is_measured_on_top_of_the_checkpoint_that_it_was_trained_from(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that changes nothing has the losses and the videos of the untuned model, whatever that began from."""
    pipe: Any = load_world("micro", str(tiny), device="cpu").pipe
    train.add_lora(pipe, 2, 0)
    arm = TrainingArm(tmp_path, "without", 0)
    arm.folder.mkdir()
    save_lora(pipe.transformer, arm.file)
    for name, weight in pipe.transformer.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(0.5)
    base = save_lora(pipe.transformer, tmp_path / "base.safetensors")
    arguments = options(tiny, "constraint=none", f"world.checkpoint={base}", "world.steps=1")
    config = typed(configure("finetune", arguments), FinetuneConfig)
    shards = prepared(config, tmp_path)
    untuned, tuned = losses(config, tmp_path, shards, models_of([arm]))
    assert tuned.values["flow_loss"].tolist() == untuned.values["flow_loss"].tolist()
    monkeypatch.setattr("physgen.experiments.finetune.compare.measure", lambda *_: untuned)
    for (model, seed), lora in models_of([arm]).items():
        drawn(config, tmp_path, model, seed, lora, prompts("dye", 1, "held_out", 0))
    first, second = (
        np.load(next(tmp_path.glob(f"{name}/videos/*.npz")))["video"] for name in ("untuned-0", "without-0")
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize("balance", slow_except({"null"}, ["null", "100.0"]))
def test_steps_on_the_constraint_lower_it(balance: str, tiny: Path, tmp_path: Path) -> None:
    """On the world's own classes: the mean excess over the same draws, before and after ten steps."""
    arguments = options(tiny, f"balance={balance}", "weight=all", "rank=8", "batch=4")
    config = typed(configure("finetune", arguments), FinetuneConfig)
    shards = prepared(config, tmp_path)
    world = load(config.world, "cpu")
    world.pipe.vae.requires_grad_(False)
    clips = Clips.open(world, tmp_path, shards, config.family)
    objective = flow_matching(world, clips, config, constraint_loss(clips, config))
    optimiser = torch.optim.Adam(world.pipe.transformer.parameters(), 3e-3)
    excess = []
    for _ in range(12):
        loss, figures = objective(np.random.default_rng(0), torch.Generator().manual_seed(0), 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        excess.append(figures["excess"])
    assert excess[-1] < 0.7 * excess[0]


def test_differences_are_paired_by_prompt_and_averaged_over_seeds() -> None:
    rng = np.random.default_rng(0)
    prompts, reference = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    found = [
        MeasuredModel(model, "unguided", seed, {"drift": prompts[:, 0] + shift + 0.1 * seed}, prompts + shift)
        for model, seeds, shift in (("untuned", [0], 1.0), ("without", [0, 1], 0.5), ("with", [0, 1], 0.0))
        for seed in seeds
    ]
    result = summarise(found, reference)
    drift = result["differences"]["unguided"]["with - without"]["drift"]
    assert drift == pytest.approx({"estimate": -0.5, "low": -0.5, "high": -0.5})
    assert result["differences"]["unguided"]["without - untuned"]["drift"]["estimate"] == pytest.approx(-0.45)
    mmd = result["differences"]["unguided"]["with - untuned"]["mmd2"]
    assert mmd["high"] < 0
    assert set(result["seeds"]["unguided"]) == {"0", "1"}


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("family=smoke", "blood"),
        ("world=microverse", "micro"),
        ("measure=ratio", "residual, distance"),
        ("constraint=gray_scott", "u, v"),
        ("weight=some", "explained"),
        ("balance=-1", "balance"),
        ("n=3", "8"),
        ("seeds=[]", "seeds"),
        ("seeds=[1,1]", "different"),
        ("seeds=[-1]", "seeds=[-1]: allowed: one or more different numbers, 0 or above"),
        ("batch=0", "batch"),
        ("schedule.step=3", "schedule.steps"),
        ("schedule.steps=0", "schedule.steps=0: allowed: a whole number, 1 or more"),
        ("schedule.warmup=0", "schedule.warmup=0: allowed: a whole number, 1 or more"),
        ("schedule.warmup=-5", "schedule.warmup=-5"),
        ("schedule.learning_rate=-1", "schedule.learning_rate=-1.0: allowed: a finite number > 0"),
        ("schedule.learning_rate=nan", "schedule.learning_rate=nan"),
        ("schedule.ema=2", "schedule.ema=2.0: allowed: from 0 to below 1"),
        ("schedule.floor=-1", "schedule.floor"),
        ("schedule.weight_decay=-1", "schedule.weight_decay"),
        ("schedule.log_every=0", "schedule.log_every"),
        ("drop_prompt=2", "drop_prompt=2.0: allowed: from 0 to below 1"),
    ],
)
def test_bad_options_are_one_line(
    argument: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finetune", argument, f"out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
