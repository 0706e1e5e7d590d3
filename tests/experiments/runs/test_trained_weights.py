"""Two trainings of a world in one folder are told apart: in a run's name, its record, a resumed folder and a sweep."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_world import SIZES

from physgen.experiments.cli.dispatch import main
from physgen.experiments.runs.records import origin, run_name
from physgen.experiments.runs.weights import weights_digest, with_weights
from physgen.worlds import world_spec


@pytest.fixture
def mine(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "mine"))


def train_again(folder: Path) -> None:
    """One number of the transformer becomes another; every file keeps its size."""
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    before, tensors = file.stat().st_size, load_file(file)
    next(iter(tensors.values())).view(-1)[0] += 0.1
    save_file(tensors, file, metadata={"format": "pt"})
    assert file.stat().st_size == before


def test_the_name_of_a_run_and_its_record_have_the_weights(mine: Path, tiny: Path) -> None:
    spec = replace(world_spec("micro"), path=str(mine))
    first = origin(spec)
    assert first["world"] == world_spec("micro").label
    assert first["weights"] == weights_digest(str(tiny)), "contents, not places"
    name = run_name("run", {"world": asdict(spec)})
    train_again(mine)
    again = origin(spec)
    assert again["weights"] not in (None, first["weights"])
    assert run_name("run", {"world": asdict(spec)}) != name


def test_a_checkpoint_and_a_scheduler_count_and_other_files_do_not(mine: Path, tmp_path: Path) -> None:
    found = [weights_digest(str(mine))]
    (mine / "README.md").write_text("mine")
    assert weights_digest(str(mine)) == found[0]
    scheduler = mine / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("2.0", "3.0"))
    found.append(weights_digest(str(mine)))
    save_file({"a": torch.zeros(2)}, tmp_path / "step-1.safetensors")
    found.append(weights_digest(str(mine), str(tmp_path / "step-1.safetensors")))
    save_file({"a": torch.ones(2)}, tmp_path / "step-1.safetensors")
    found.append(weights_digest(str(mine), str(tmp_path / "step-1.safetensors")))
    assert None not in found
    assert len(set(found)) == 4
    assert weights_digest(None, str(tmp_path / "nothing.safetensors")) is None


@pytest.mark.parametrize("world", ["micro", "wan2.1-t2v-1.3b"])
def test_what_is_shipped_or_on_the_hub_is_named_as_before(world: str) -> None:
    settings = {"world": asdict(world_spec(world))}
    assert with_weights(settings) == settings
    assert "weights" not in origin(world_spec(world))


def test_a_folder_that_was_begun_with_other_weights_is_refused(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("physgen.experiments.evaluate.quality.evaluate", lambda *_: None)
    command = ["evaluate", "suite=quality", f"world.path={mine}", f"out={tmp_path / 'out'}"]
    assert main(command) == 0
    assert main(command) == 0, "resumed"
    train_again(mine)
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "(world.weights is " in error


def test_a_sweep_takes_one_training_of_a_folder(
    mine: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    command = ["ablate", "-m", *SIZES, f"runs={runs}", "tracker=none", "law=mass", "guidance=none", "seed=0"]
    assert main([*command, f"world.path={mine},{tiny}"]) == 0, "two folders are two arms"
    (first, other) = (json.loads(path.read_text("utf-8")) for path in sorted(runs.glob("run-*/metrics.json")))
    assert first["weights"] == other["weights"] == weights_digest(str(tiny))
    train_again(mine)
    capsys.readouterr()
    assert main([*command, f"world.path={mine}"]) == 2
    error = capsys.readouterr().err
    assert f"allowed: one of the weights {weights_digest(str(mine))} of world=micro and world.path={mine}" in error
    assert main([*command, f"world.path={mine}", "name=again"]) == 0
    assert len(list(runs.glob("run-*/metrics.json"))) == 3, "the old run does not stand for the new weights"
