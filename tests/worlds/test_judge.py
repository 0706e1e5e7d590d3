"""The judge: labels, shapes, and that it can be trained, saved and read back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from physgen.experiments.train import judge as training
from physgen.experiments.train.data import plan, simulate_all
from physgen.experiments.train.latents import encode_all
from physgen.experiments.train.loop import Schedule
from physgen.simulators import GRAMMARS, SIMULATORS
from physgen.simulators.mitosis import GRID, PHASES
from physgen.worlds.micro.autoencoder import MicroAutoencoder
from physgen.worlds.micro.judge import Judge, heads, sampled


def test_every_attribute_has_a_head():
    found = heads()
    for family, kinds in GRAMMARS.items():
        for kind, grammar in kinds.items():
            for name, values in grammar.values.items():
                assert found[f"{family}.{kind}.{name}"] == values
    assert sum(p.numel() for p in Judge().parameters()) < 350_000


def test_save_and_load(tmp_path: Path):
    torch.manual_seed(0)
    judge = Judge(frames=9).eval()
    judge.save(tmp_path)
    video = torch.rand(3, 3, 9, 64, 64)
    torch.testing.assert_close(Judge.load(tmp_path).features(video), judge.features(video), atol=2e-2, rtol=2e-2)
    assert (tmp_path / "judge.safetensors").stat().st_size < 800_000
    with pytest.raises(FileNotFoundError, match="judge="):
        Judge.load(tmp_path / "nowhere")


def test_prediction_is_a_caption_of_some_family():
    torch.manual_seed(0)
    judge = Judge(frames=5)
    for found in judge.predict(torch.rand(4, 3, 5, 64, 64)):
        kind = found["attributes"]["kind"]
        assert set(found["attributes"]) == {"kind", *GRAMMARS[found["family"]][kind].values}
    assert judge.phases(torch.rand(2, 3, 5, 64, 64)).shape == (2, 3)


def test_training_runs_and_labels_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("physgen.experiments.train.data.SHARD", 2)
    shards = plan(tmp_path / "data", list(GRAMMARS), 4, 4, 0)
    simulate_all(shards, 1)
    autoencoder = MicroAutoencoder(z_dim=4, dims=(8, 8, 8))
    encode_all(tmp_path, shards, autoencoder, processes=1)
    settings = training.JudgeTraining(Schedule(steps=2, learning_rate=1e-3, warmup=1), batch=9, held_out=3)
    judge = training.train_judge(tmp_path, shards, autoencoder, settings, seed=0, processes=1)
    assert judge.config["frames"] == 25
    for family in GRAMMARS:
        files = sorted((tmp_path / "judge" / family).glob("*.json"))
        assert [len(json.loads(path.read_text())) for path in files] == [2, 1]
    accuracy = json.loads((tmp_path / "judge" / "accuracy.json").read_text())
    for source in ("truth", "reconstruction"):
        assert accuracy[source]["family"]["n"] == 4 * len(GRAMMARS)
        assert accuracy[source]["mitosis.phase"]["n"] == 4 * 13
    labels = training.read_labels(shards, "mitosis", "train", 25)
    assert (labels.phases.diff(dim=1) >= 0).all()
    assert labels.phases[:, 0].eq(0).all()
    assert labels.phases[:, -1].eq(6).all()
    assert labels.classes["dye.drop.colour"].eq(training.SKIP).all()


def test_phase_labels_are_the_simulators():
    clips = SIMULATORS["mitosis"](3, rng=np.random.default_rng(0))
    assert clips.phases is not None
    for row, parameters in zip(clips.phases, clips.parameters, strict=True):
        counts = [round(parameters[f"{phase}_s"] / GRID.dt) for phase in PHASES]
        assert np.repeat(np.arange(len(PHASES)), counts).tolist() == row.tolist()
    assert sampled(25)[-1] == 24


def test_augmentation_keeps_clips_in_order():
    video = torch.arange(5.0).view(5, 1, 1, 1, 1).expand(5, 3, 4, 8, 8) / 5
    settings = training.JudgeTraining(Schedule(steps=1, learning_rate=1e-3), noise=0.0, brightness=0.0)
    changed, jitter = training.augment(video, settings, torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed, video, atol=1e-5, rtol=0)
    assert 0 < (jitter > 0).sum() < 5
    assert jitter.max() <= settings.jitter


def test_head_of_jitter_learns_it_and_leaves_the_features_alone():
    torch.manual_seed(0)
    judge = Judge(frames=5)
    pooled = judge.frames(torch.rand(2, 3, 5, 64, 64)).detach()
    judge.log_jitter(pooled).sum().backward()
    assert all(p.grad is None for p in (*judge.temporal.parameters(), *judge.classes.parameters()))
    assert all(p.grad is not None for p in judge.tremor.parameters())
    assert judge.jitter(torch.rand(2, 3, 5, 64, 64)).shape == (2,)
