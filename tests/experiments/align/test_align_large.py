"""The path of large worlds, on tiny random models of the same classes: read, project, train, load, draw, measure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_pipelines import save_lora, save_tiny_pipeline

from physgen.drawn import UNGUIDED
from physgen.experiments.align.asked import training
from physgen.experiments.align.job import draw_round
from physgen.experiments.align.measure import measure
from physgen.experiments.align.options import ALIGNED, AlignConfig
from physgen.experiments.align.pool import cost_of, draw, videos_of
from physgen.experiments.align.train import Training, train
from physgen.experiments.cli.dispatch import JOBS, read_options
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.draw.references import simulate
from physgen.experiments.draw.videos import plan, save_arrays
from physgen.experiments.finetune.train import TrainingArm
from physgen.worlds import world_spec
from physgen.worlds.loading import load


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AlignConfig:
    """Options of a tiny Wan pipeline in the smallest size that instruments read."""
    folder = tmp_path_factory.mktemp("wan")
    (folder / "train.txt").write_text("a cell divides\na dye\n")
    (folder / "held.txt").write_text("a heart beats\n")
    arguments = [
        *("world=wan2.1-t2v-1.3b", f"world.path={save_tiny_pipeline('wan2.1-t2v-1.3b', folder / 'pipe')}"),
        *("world.height=64", "world.width=64", "world.num_frames=25", "world.steps=2", "world.level=cellular"),
        *("family=null", f"prompts={folder / 'train.txt'}", f"held_out={folder / 'held.txt'}", "constraint=mass"),
        *("select=[presence]", "alpha=0.004", "samples=2", "n=8", "arms=[aligned,preference]", "seeds=[0]"),
        *("lora.rank=2", "lora.batch=1", "lora.schedule.steps=2", "processes=1"),
    ]
    found = read_options("align", JOBS["align"], arguments)
    assert isinstance(found, AlignConfig)
    found.check()
    return found


def test_a_lora_of_a_large_world_is_trained_on_projected_samples_and_draws(config: AlignConfig, tmp_path: Path) -> None:
    """Random weights draw noise, which is never accepted: videos of drops take the place of the first samples."""
    world = load(config.world, "cpu")
    drops = [simulate(p, world_spec("micro"), [p.seed]) for p in prompts("dye", 3, "train", 0) if p.index != 1]
    fading = torch.cat(drops) * torch.linspace(1.0, 0.8, 25).view(1, 1, -1, 1, 1)
    (task,) = plan(tmp_path / "round-1" / "samples" / "base-0", (UNGUIDED,), training(config, 0, 1), 0)
    task.path.parent.mkdir(parents=True)
    arrays: dict[str, Any] = {"video": fading.numpy(), "nfe": 8, "seconds": 0.0}
    save_arrays(task.path, arrays | {"sampled": world.encode(fading, normalised=False).numpy()})
    pool = draw_round(config, tmp_path, 0, 1, {})[ALIGNED]
    assert pool.accepted == [0, 1]
    assert pool.latents.shape == (2, 16, 7, 8, 8)
    assert float((pool.projected - pool.latents).abs().max()) > 0
    arm = TrainingArm(tmp_path / "round-1", ALIGNED, 0)
    train(Training(arm, pool, pool.prompts), config)
    assert all(bool(weight.isfinite().all()) for weight in load_file(arm.file).values())
    (drawn,) = draw(config, tmp_path / "later", training(config, 0, 2), arm.file)
    assert cost_of([drawn]).evaluations == 2 * 2 * 2
    found = measure(config, config.laws(), drawn.prompts[0], videos_of(drawn)[:1])
    assert {"violation: mass", "faults", "degenerate", "jitter, px"} <= found["values"].keys()
    assert set(found["readings"]) == {"rendering"}


def test_the_lora_changes_what_is_drawn(config: AlignConfig, tmp_path: Path) -> None:
    lora = tmp_path / "lora.safetensors"
    pipe: Any = load(config.world, "cpu").pipe
    for parameter in pipe.transformer.parameters():  # the output layer starts at zero
        parameter.data.normal_(std=0.2)
    pipe.save_pretrained(tmp_path / "pipe")
    lively = replace(config, world=replace(config.world, path=str(tmp_path / "pipe")))
    save_lora(lora, pipe.transformer)
    asked = training(config, 0, 1)[:1]
    (plain,), (changed,) = (draw(lively, tmp_path / name, asked, file) for name, file in (("a", None), ("b", lora)))
    assert not np.allclose(videos_of(plain), videos_of(changed))
