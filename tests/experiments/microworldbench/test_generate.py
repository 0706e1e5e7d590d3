"""Whole runs of `physgen benchmark generate` on a tiny world: resumed, in shards, with failures, killed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_world import SIZES

from microworldbench.benchdata import small_benchmark
from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.microworldbench.generation.plan import Shard, items
from physgen.experiments.microworldbench.scoring.videos import find_videos
from physgen.experiments.microworldbench.tasks.data import Task
from physgen.video import read_video
from physgen.worlds.world import World

TEXTS = (
    "two drops of green dye diffuse slowly",
    "blood flows through a vessel",
    "abnormal mitosis of a cell with blue chromosomes",
    "green dye is injected",
)
Generate = Callable[..., int]


@pytest.fixture
def arguments(tiny: Path, tmp_path: Path) -> list[str]:
    tasks = [{"index": i, "final_label": "Cellular-level", "任务": text} for i, text in enumerate(TEXTS, 1)]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    options = [f"tasks={tmp_path / 'tasks.json'}", f"out={tmp_path / 'mine'}", f"world.path={tiny}", *SIZES]
    return ["benchmark", "generate", *options, "world.steps=2"]


@pytest.fixture
def generate(arguments: list[str]) -> Generate:
    return lambda *more: main([*arguments, *more])


def record(folder: Path, index: int, seed: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "mine" / "records" / f"seed{seed}" / f"{index}.json").read_text())
    return found


def written(folder: Path) -> dict[str, int]:
    """Every file of the videos, with the moment of its writing."""
    paths = [p for p in (folder / "mine").rglob("*") if p.is_file() and p.parent.name not in ("mine", ".locks")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def test_videos_are_made_measured_and_resumed(generate: Generate, tmp_path: Path) -> None:
    assert generate("compare=true") == 0
    folder = tmp_path / "mine" / "mine-seed0"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{n}.{s}" for n in range(1, 5) for s in ("mp4", "tif")
    )
    for mode in ("upstream", "corrected"):
        found, notes = find_videos(folder, range(1, 5), mode)
        assert found == [(n, folder / f"{n}.mp4") for n in range(1, 5)]
        assert not notes
    dye = record(tmp_path, 1)
    assert dye["chosen"] == ["mass", "diffusion"]
    assert dye["decision"]["rule_of"]["mass"] == "closed amounts"
    assert dye["constraints"]["mass"]["residual_rms"] < 1e-6 < dye["constraints"]["mass"]["unguided_residual_rms"]
    blood = record(tmp_path, 2)
    assert (blood["chosen"], blood["decision"]["measured"], blood["guided"]) == (["transport"], ["transport"], False)
    assert blood["constraints"]["transport"]["residual_rms"] > 0
    assert "measured and not imposed: transport" in blood["notes"]
    for index in (3, 4):
        assert (record(tmp_path, index)["chosen"], record(tmp_path, index)["guided"]) == ([], False)
    assert read_video(folder / "1.tif").prompt == TEXTS[0]
    before = written(tmp_path)
    (folder / "2.tif").unlink()  # as if it had never been whole
    (tmp_path / "mine" / "records" / "seed0" / "3.json").unlink()
    assert generate("compare=true") == 0
    after = written(tmp_path)
    assert after.keys() == before.keys()
    assert {name.split("/")[-1].split(".")[0] for name in after if after[name] != before[name]} == {"2", "3"}
    metrics = json.loads((tmp_path / "mine" / "metrics.json").read_text())
    assert (metrics["videos"], metrics["made_now"], metrics["guided"]) == (4, 2, 1)
    assert [row["constraint"] for row in metrics["by_rule"]] == ["diffusion", "mass", "transport"]


def printed_command(out: str) -> list[str]:
    """The arguments of the score command in what was printed."""
    (line,) = [line for line in out.splitlines() if line.startswith("physgen benchmark score ")]
    return shlex.split(line)[1:]


@pytest.mark.parametrize(
    "options",
    [["judge=instruments", "judge.alpha=0.05"], ["judge=perfect", "mode=upstream"], ["judge=random", "repeats=2"]],
)
def test_the_printed_command_scores_the_videos(
    arguments: list[str],
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a folder whose name a shell and Hydra would split, for tasks and rubrics of one's own."""
    rubrics = tmp_path / "my rubrics.json"
    rubrics.write_text(json.dumps(small_benchmark(4)[1]))
    monkeypatch.chdir(tmp_path)
    given = [argument for argument in arguments if not argument.startswith("out=")]
    assert main([*given, "out=it's mine, 2", f"rubrics={rubrics}", "constraint=none", "seeds=[0,1]", *options]) == 0
    command = printed_command(capsys.readouterr().out)
    assert {f"rubrics={rubrics}", *options} <= {*command}
    assert main([*command, "out=scored"]) == 0
    settings = yaml.safe_load((tmp_path / "scored" / "config.yaml").read_text())
    assert settings["judge"].get("alpha", 0.05) == 0.05
    metrics = json.loads((tmp_path / "scored" / "metrics.json").read_text())
    assert {*metrics["models"]} == {"it's mine, 2-seed0", "it's mine, 2-seed1"}
    assert all(card["n_tasks"] == 4 for card in metrics["models"].values())


def test_the_printed_command_of_a_task_set(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = ["constraint=none", "tasks=micro", f"world.path={tiny}", *SIZES, "world.steps=1", "shard=1/30"]
    assert main(["benchmark", "generate", *videos, f"out={tmp_path / 'mine'}"]) == 0
    command = printed_command(capsys.readouterr().out)
    assert {"tasks=micro", "rubrics=micro"} <= {*command}
    assert main([*command, "judge=perfect", f"out={tmp_path / 'scored'}"]) == 0


def test_rubrics_that_nobody_named_are_asked_for(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHYSGEN_CACHE", str(tmp_path / "empty"))
    assert generate("constraint=none", "shard=1/4") == 0
    assert "rubrics=FILE" in printed_command(capsys.readouterr().out)


def test_guidance_none_draws_from_the_same_noise(generate: Generate, tmp_path: Path, tiny: Path) -> None:
    assert generate("guidance=none", "seeds=[3]") == 0
    world = tmp_path / "mine" / "mine-seed3" / "1.tif"
    assert record(tmp_path, 1, 3)["constraints"]["mass"]["residual_rms"] > 1e-6
    assert (
        main(
            ["sample", f"world.path={tiny}", *SIZES, f"prompt={TEXTS[0]}", "steps=2", "seed=3", f"out={tmp_path / 's'}"]
        )
        == 0
    )
    assert torch.equal(read_video(world).frames, read_video(tmp_path / "s" / "video.tif").frames)


def test_shards_share_no_file(generate: Generate, tmp_path: Path) -> None:
    seen: list[set[str]] = []
    for index in (1, 2):
        before = written(tmp_path).keys() if seen else set()
        assert generate("constraint=none", f"shard={index}/2", "seeds=[0,1]") == 0
        seen.append(written(tmp_path).keys() - before)
    assert len(seen[0]) == len(seen[1]) == 12
    assert generate("constraint=none", "seeds=[0,1]") == 0
    metrics = json.loads((tmp_path / "mine" / "metrics.json").read_text())
    assert (metrics["videos"], metrics["made_now"]) == (8, 0)


def test_one_failure_stops_nothing_else(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = World.sample

    def failing(self: World, prompt: str, **options: Any) -> torch.Tensor:
        if "blood" in prompt:
            raise RuntimeError("out of memory")
        return sample(self, prompt, **options)

    with monkeypatch.context() as patch:
        patch.setattr(World, "sample", failing)
        assert generate("constraint=none") == 1
    assert "task 2, seed 0: RuntimeError: out of memory" in capsys.readouterr().out
    assert not (tmp_path / "mine" / "mine-seed0" / "2.mp4").exists()
    assert json.loads((tmp_path / "mine" / "metrics.json").read_text())["failures"][0]["index"] == 2
    assert generate("constraint=none") == 0
    assert json.loads((tmp_path / "mine" / "metrics.json").read_text())["made_now"] == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("shard=0/2", "shard"),
        ("shard=3/2", "shard"),
        ("shard=half", "i/n"),
        ("seeds=[]", "seeds"),
        ("seeds=[1,1]", "seeds"),
        ("seeds=[-1]", "seeds"),
        ("steps=0", "steps"),
        ("tasks=/nowhere.json", "/nowhere.json"),
        ("constraint=gray_scott", "species"),
    ],
)
def test_bad_options_are_refused_before_anything_is_made(
    generate: Generate, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    assert generate(option) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_other_options_are_refused(generate: Generate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("constraint=none") == 0
    before = written(tmp_path)
    assert generate("constraint=none", "steps=3") == 2
    assert "same options" in capsys.readouterr().err
    assert written(tmp_path) == before


def test_tasks_that_cannot_be_prompts() -> None:
    task = Task(1, "Organ-level", "a heart beats", "")
    for tasks in ([], [task, task], [Task(2, "", "  ", "")]):
        with pytest.raises(InvalidArgument, match="tasks"):
            items(tasks, [0])
    planned = items([task, Task(2, "", "x", "")], [0, 5])
    assert sorted(
        map(str, Shard(1, 3).mine(planned) + Shard(2, 3).mine(planned) + Shard(3, 3).mine(planned))
    ) == sorted(map(str, planned))


@pytest.mark.slow
def test_a_killed_run_goes_on(arguments: list[str], tmp_path: Path) -> None:
    """Killed with SIGKILL after each video: what was finished stays as it is, and all is whole at the end."""
    command = [sys.executable, "-m", "physgen", *arguments, "constraint=none", "seeds=[0,1]"]
    for wanted in (1, 3):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list((tmp_path / "mine").glob("records/*/*.json"))) < wanted and run.poll() is None:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        kept = {name: moment for name, moment in written(tmp_path).items() if "records" in name}
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert kept.items() <= written(tmp_path).items()
    for seed in (0, 1):
        for index in range(1, 5):
            folder = tmp_path / "mine" / f"mine-seed{seed}"
            assert (
                len(read_video(folder / f"{index}.mp4").frames) == len(read_video(folder / f"{index}.tif").frames) == 9
            )
    assert not list((tmp_path / "mine" / "partial").iterdir())
