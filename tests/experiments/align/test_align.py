"""Alignment on real tiny classes: what is accepted, what arms are trained on, that training pays, kills, bad input."""

from __future__ import annotations

import json
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from physgen.constraints import MassConservation
from physgen.drawn import AFTERWARDS, UNGUIDED
from physgen.errors import InvalidArgument
from physgen.experiments.align.asked import training, use_of_lines
from physgen.experiments.align.cost import Cost
from physgen.experiments.align.job import counted, draw_round, settings_of
from physgen.experiments.align.options import ALIGNED, ARMS, DATA, PREFERENCE, RANDOM, SELECTED, AlignConfig
from physgen.experiments.align.pool import SamplePool
from physgen.experiments.align.train import Data, Training, objective_of, train, without_lora
from physgen.experiments.cli.dispatch import JOBS, main, read_options
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.videos import plan, save_arrays
from physgen.experiments.finetune.train import TrainingArm, add_lora
from physgen.experiments.runs.resume import differing
from physgen.guidance import Projection
from physgen.projected import project_video
from physgen.worlds import World, load_world
from physgen.worlds.loading import load

#: dye of the embedded world in 3 steps; nearly every sample that shows something is accepted
SMALL = (
    *("family=dye", "constraint=mass", "select=[jumps]", "alpha=0.004", "world.steps=3", "samples=5", "n=8"),
    *("lora.rank=2", "lora.batch=2", "lora.schedule.steps=3", "lora.schedule.log_every=1", "best_of=2"),
    *("seeds=[0]", "processes=1"),
)


def options(*more: str) -> AlignConfig:
    config = read_options("align", JOBS["align"], [*SMALL, *more])
    assert isinstance(config, AlignConfig)
    config.check()
    return config


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SamplePool:
    pools = draw_round(options(), tmp_path_factory.mktemp("pool"), 0, 1, {})
    assert set(pools) == set(ARMS)
    assert len({id(one) for one in pools.values()}) == 1
    return pools[ALIGNED]


def taught(pool: SamplePool, name: str, world: World, seed: int = 0) -> Data:
    asked = [pool.prompts[row] for row in pool.accepted]
    return Training(TrainingArm(Path(), name, seed), pool, asked).data(world)


def test_what_is_accepted_keeps_the_law_once_it_is_projected(pool: SamplePool) -> None:
    assert pool.accepted
    assert counted("base", 0, 1, pool)["accepted"] == len(pool.accepted)
    assert pool.cost.evaluations == 5 * 3 * 2  # samples, steps, two branches of classifier-free guidance
    world = load(options().world, "cpu")
    row = pool.accepted[0]
    prompt = pool.prompts[row]
    as_drawn = world.decode(pool.latents[row : row + 1])
    near = project_video(
        as_drawn, Projection({"mass": MassConservation()}), world.observable(prompt.caption), world.grid(prompt.caption)
    )
    assert near.record.certificate["mass"].satisfied
    assert not torch.equal(pool.projected[row], pool.latents[row])
    encoded = [world.encode(video.float())[0] for video in (near.video, as_drawn)]
    torch.testing.assert_close(pool.projected[row], pool.latents[row] + encoded[0] - encoded[1], rtol=0, atol=1e-3)
    assert not torch.allclose(encoded[1], pool.latents[row], atol=1e-2), "the autoencoder has an error of its own"


def test_a_folder_without_sampled_latents_is_refused(tmp_path: Path) -> None:
    config = options("samples=1")
    (task,) = plan(tmp_path / "round-1" / "samples" / "base-0", (UNGUIDED,), training(config, 0, 1), 0)
    task.path.parent.mkdir(parents=True)
    save_arrays(task.path, {"latents": np.zeros(1)})
    with pytest.raises(InvalidArgument, match="a new folder: this one has no latents as they were sampled"):
        draw_round(config, tmp_path, 0, 1, {})


def test_arms_differ_only_in_what_they_are_trained_on(pool: SamplePool) -> None:
    world = load(options().world, "cpu")
    data = {name: taught(pool, name, world) for name in ARMS}
    rows = pool.accepted
    asked = [pool.prompts[row].caption for row in rows]
    assert all(data[name].captions == asked for name in (ALIGNED, SELECTED, DATA, PREFERENCE))
    assert torch.equal(data[ALIGNED].x0, pool.projected[rows])
    assert torch.equal(data[SELECTED].x0, pool.latents[rows])
    assert torch.equal(data[PREFERENCE].x0, data[ALIGNED].x0)
    other = data[PREFERENCE].other
    assert other is not None
    assert torch.equal(other, data[SELECTED].x0)
    assert {tuple(one.x0.shape) for one in data.values()} == {tuple(pool.latents[rows].shape)}
    captions = {prompt.caption: pool.latents[i] for i, prompt in enumerate(pool.prompts)}
    assert all(torch.equal(captions[text], x0) for text, x0 in zip(data[RANDOM].captions, data[RANDOM].x0, strict=True))


def test_random_samples_are_others_than_the_accepted_ones() -> None:
    """Of 40 samples of which the first 20 are accepted, about half of the random ones are."""
    latents = torch.arange(40.0).view(40, 1, 1, 1, 1)
    projected = torch.where(latents < 20, latents, torch.nan)
    asked = [Prompt("dye", i, {}, str(i), i) for i in range(40)]
    many = SamplePool(asked, latents, projected, torch.ones(40), torch.zeros(40, dtype=torch.bool), Cost())
    data = taught(many, RANDOM, load_world("micro"))
    found = data.x0.flatten().tolist()
    assert len(set(found)) == 20
    assert 4 <= sum(x < 20 for x in found) <= 16
    assert data.captions == [str(int(x)) for x in found]


def losses(world: World, data: Data, lora: Any, steps: int, rate: float) -> list[dict[str, float]]:
    """Figures on the same draws before each of some steps of Adam."""
    objective = objective_of(world, data, lora)
    parameters = [p for p in world.pipe.transformer.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, rate)
    found = []
    for _ in range(steps):
        loss, figures = objective(np.random.default_rng(0), torch.Generator().manual_seed(0), 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append({"loss": loss.item(), **figures})
    return found


def test_steps_lower_the_loss_on_accepted_samples(pool: SamplePool) -> None:
    config = options("lora.batch=4")
    world = load(config.world, "cpu")
    data = taught(pool, ALIGNED, world)
    add_lora(world.pipe, config.lora.rank, 0)
    found = losses(world, data, config.lora, 10, 3e-3)
    assert found[-1]["flow_loss"] < 0.95 * found[0]["flow_loss"]


def test_preference_begins_at_log_2_and_learns_to_prefer(pool: SamplePool) -> None:
    config = options("lora.batch=4")
    world = load(config.world, "cpu")
    data = taught(pool, PREFERENCE, world)
    add_lora(world.pipe, config.lora.rank, 0)
    found = losses(world, data, config.lora, 6, 1e-3)
    assert found[0]["loss"] == pytest.approx(np.log(2), abs=1e-3)
    assert abs(found[0]["margin"]) < 1e-6
    assert found[-1]["margin"] > 0
    assert found[-1]["loss"] < found[0]["loss"]


def test_without_its_lora_the_transformer_is_the_untouched_one(tiny: Path) -> None:
    world, untouched = (load_world("micro", str(tiny), device="cpu") for _ in range(2))
    add_lora(world.pipe, 2, 0)
    transformer: Any = world.pipe.transformer
    for name, weight in transformer.named_parameters():
        if "lora_B" in name:
            weight.data.normal_()

    def output(one: Any) -> Tensor:
        torch.manual_seed(0)
        with torch.no_grad():
            return one(torch.randn(1, 4, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 32, 16), return_dict=False)[0]

    changed = output(transformer)
    with without_lora(transformer):
        assert torch.equal(output(transformer), output(untouched.pipe.transformer))
    assert torch.equal(output(transformer), changed)
    assert not torch.equal(changed, output(untouched.pipe.transformer))
    assert all(p.requires_grad == ("lora" in name) for name, p in transformer.named_parameters())


def test_a_lora_killed_in_training_ends_at_the_same_weights(
    pool: SamplePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = options("lora.schedule.checkpoint_every_s=0")
    asked = [pool.prompts[row] for row in pool.accepted]
    whole, killed = (Training(TrainingArm(tmp_path / name, PREFERENCE, 0), pool, asked) for name in ("whole", "killed"))
    train(whole, config)
    rate, calls = type(config.lora.schedule).rate, 0

    def dies(schedule: Any, step: int) -> float:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return rate(schedule, step)

    monkeypatch.setattr(type(config.lora.schedule), "rate", dies)
    with pytest.raises(KeyboardInterrupt):
        train(killed, config)
    assert not killed.arm.file.exists()
    train(killed, config)
    expected = load_file(whole.arm.file)
    assert all(torch.equal(value, expected[key]) for key, value in load_file(killed.arm.file).items())


def test_no_accepted_sample_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", *SMALL, "samples=2", "select=[colour]", "alpha=0.9999", f"out={tmp_path}"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if "physgen: " in line]
    assert len(error) == 1
    assert "of 2 samples 0 pass" in error[0]
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("world=hunyuanvideo",), "wan2.1-t2v-1.3b"),
        (("world=wan2.2-t2v-a14b",), "Wan's architecture"),
        (("family=smoke",), "blood"),
        (("family=null",), "held_out="),
        (("prompts=a.txt",), "family=null"),
        (("select=[directoin]",), "direction"),
        (("select=[]",), "blood.flow"),
        (("select=[recognised]",), "judge"),
        (("select=[pattern]",), "judge"),
        (("select=[colour]",), "blood.flow"),
        (("constraint=none",), "one law or more"),
        (("constraint=count", "constraint.count.count=3"), "projection"),
        (("constraint=diffusion",), "laws of blood"),
        (("world.height=32", "world.width=32"), "no instrument"),
        (("world.num_frames=9",), "25 frames of 64 x 64"),
        (("arms=[data]",), "aligned"),
        (("arms=[aligned,aligned]",), "each once"),
        (("arms=[aligned,own]",), "preference"),
        (("lora.rank=0",), "lora.rank"),
        (("lora.rank=-4",), "1 or more"),
        (("lora.batch=0",), "lora.batch"),
        (("lora.beta=0",), "lora.beta"),
        (("lora.drop_prompt=1",), "lora.drop_prompt"),
        (("lora.schedule.steps=0",), "lora.schedule.steps"),
        (("lora.schedule.warmup=0",), "lora.schedule.warmup"),
        (("alpha=1.5",), "alpha"),
        (("samples=0",), "samples"),
        (("rounds=0",), "rounds"),
        (("n=3",), "8 or more"),
        (("best_of=1",), "2 or more"),
        (("seeds=[]",), "seeds"),
        (("seeds=[1,1]",), "different"),
        (("seeds=[-1]",), "0 or above"),
        (("device=abacus",), "cuda"),
        (("device=meta",), "1 with device=meta"),
        (("lora.ranks=3",), "lora.rank"),
    ],
)
def test_bad_options_are_one_line(
    arguments: tuple[str, ...], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["align", *arguments, f"out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_files_of_prompts_must_be_text_and_must_not_share_any(tmp_path: Path) -> None:
    train_on, held = tmp_path / "train.txt", tmp_path / "held.txt"
    train_on.write_text("a cell divides\na heart beats\n")
    held.write_text("a cell divides\n")
    files = ["family=null", "constraint=mass", "world=wan2.1-t2v-1.3b", "select=[flicker]", f"prompts={train_on}"]

    def refused(file: Path) -> str:
        config = read_options("align", JOBS["align"], [*files, f"held_out={file}", "arms=[aligned]"])
        with pytest.raises(InvalidArgument) as error:
            config.check()
        return str(error.value)

    assert "not in prompts=" in refused(held)
    train_on.write_text("a cell divides\n" + "".join(f"heart {i} beats\n" for i in range(200)))
    held.write_text("blood flows\nHEART  199 beats\n")
    assert "HEART" in refused(held)
    assert "a prompt a line" in refused(tmp_path / "none.txt")
    held.write_text(" \n")
    assert "empty" in refused(held)
    held.write_bytes(b"\xff\xfe\x00")
    assert "text file" in refused(held)
    held.write_text("blood flows\n")
    config = read_options("align", JOBS["align"], [*files, f"held_out={held}"])
    with pytest.raises(InvalidArgument, match="no simulator"):
        config.check()


def test_rounds_and_seeds_go_on_in_a_file_of_prompts_and_an_edited_file_is_another_run(tmp_path: Path) -> None:
    train_on, held = tmp_path / "train.txt", tmp_path / "held.txt"
    train_on.write_text("".join(f"heart {i} beats\n" for i in range(10)))
    held.write_text("blood flows\n")
    given = ["family=null", "world=wan2.1-t2v-1.3b", f"prompts={train_on}", f"held_out={held}"]
    config = read_options("align", JOBS["align"], [*given, "samples=3", "rounds=2", "seeds=[0,1]"])
    drawn = [[int(p.caption.split()[1]) for p in training(config, seed, r)] for seed in (0, 1) for r in (1, 2)]
    assert drawn == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 0, 1]]
    assert use_of_lines(config) == f"10 of 10 different prompts in {train_on} are drawn"
    before = settings_of(config)
    held.write_text("blood flows slowly\n")
    assert differing(before, settings_of(config))[0].startswith("contents.held_out is ")


def test_what_it_would_cost_is_planned_without_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", "plan=true", "arms=[aligned,preference]", "samples=10", "rounds=2"]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    (aligned,) = [line for line in lines if line[:1] == ["aligned"]]
    (preference,) = [line for line in lines if line[:1] == ["preference"]]
    drawn, passes = 2 * 10 * 30 * 2, 2 * 300 * 8
    assert aligned[1:3] == [str(drawn), str(passes)]
    assert preference[1:3] == [str(drawn + 2 * passes), str(2 * passes)]


@pytest.mark.slow
def test_the_plan_of_a_large_world_needs_less_memory_for_a_smaller_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("prompts.txt", "held_out.txt")]
    for file in files:
        file.write_text(f"a cell of {file.stem}\n")
    asked = ["family=null", "constraint=mass", "select=[flicker]", "arms=[aligned]", "plan=true", "lora.rank=16"]
    asked += [f"{file.stem}={file}" for file in files]
    peaks = []
    for size in ([], ["world.height=240", "world.width=416"]):
        assert main(["align", "world=wan2.1-t2v-1.3b", *asked, *size]) == 0
        (line,) = [row for row in capsys.readouterr().out.splitlines() if "training step" in row]
        peaks.append(float(line.split()[-1]))
    assert 3.0 < peaks[1] < peaks[0] < 80.0


def whole_run(out: Path) -> list[str]:
    more = ["rounds=2", "arms=[aligned,random]", "lora.schedule.checkpoint_every_s=0", f"out={out}"]
    return ["align", *SMALL, *more]


@pytest.mark.slow
def test_a_run_killed_at_every_stage_ends_at_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the signal of `kill -9`, each time that a stage has begun; the other run, never killed, trains only."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    stages = ("round-1/samples", "round-1/aligned-0/lora.ckpt", "round-2/samples/random-0", "held-out/random-0")
    for stage in stages:
        process = get_context("fork").Process(target=main, args=(whole_run(killed),))
        process.start()
        while not (killed / stage).exists() and process.is_alive():
            time.sleep(0.01)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert not (killed / "metrics.json").exists()
    assert main(whole_run(killed)) == 0
    check_figures(*(json.loads((killed / f"{name}.json").read_text()) for name in ("metrics", "records")))
    assert "fault: " not in (killed / "align.md").read_text()
    monkeypatch.setattr("physgen.experiments.align.job.evaluate", lambda *_: None)
    assert main(whole_run(whole)) == 0
    for file in ("round-1/aligned-0", "round-1/random-0", "round-2/aligned-0", "round-2/random-0"):
        found, expected = (load_file(folder / file / "lora.safetensors") for folder in (killed, whole))
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in found.items()), file


def check_figures(metrics: dict[str, Any], records: list[dict[str, Any]]) -> None:
    """What a run leaves: a record a video with the run's name, laws that hold after projection, costs, intervals."""
    assert {record["run"] for record in records} == {metrics["run"]}
    models = {record["model"] for record in records}
    assert models == {"base", "aligned", "random", "best of N", "simulator", "reference"}
    drawn = [r for r in records if r["model"] not in ("simulator", "reference")]
    assert len(drawn) == 4 * 8 * 2
    before, after = (
        [r["values"]["violation: mass"] for r in drawn if r["arm"] == arm] for arm in (UNGUIDED, AFTERWARDS)
    )
    assert max(after) < 1e-5 < 1e-2 < np.mean(before)
    noise = {(r["model"], r["prompt"]): r["noise"] for r in drawn}
    assert all(noise["aligned", i] == noise["base", i] for i in range(8))
    assert set(metrics["differences"]["unguided"]) == {
        *("aligned - base", "random - base", "best of N - base", "aligned - random", "aligned - best of N")
    }
    base = metrics["models"]["unguided"]["base"]
    assert {"violation: mass", "attributes", "degenerate", "diversity", "faults", "jitter, px"} <= base.keys()
    assert not {"fault: jumps", "fault: stutter"} & base.keys()
    assert "fault: colour" in base
    (aligned,) = [row for row in metrics["cost"] if row["model"] == "aligned"]
    assert aligned["evaluations"] == 2 * 5 * 3 * 2
    assert aligned["trained"] == 2 * 3 * 2
    assert aligned["pays_after"] == aligned["making"] / aligned["a_video"]  # the best of two costs one video more
    assert {row["round"] for row in metrics["samples"]} == {1, 2}
