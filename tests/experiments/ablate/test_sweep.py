"""Sweeps on a tiny world: every experiment, what is skipped, what is redone, what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from markers import slow_except
from tiny_world import SIZES

from physgen.experiments.ablate.sweep import Sweep
from physgen.experiments.cli.dispatch import main

EXPERIMENTS = sorted(path.stem for path in (Path(__file__).parents[3] / "conf" / "experiment").glob("*.yaml"))


def ablate(tiny: Path, runs: Path, *arguments: str) -> int:
    return main(["ablate", "-m", f"world.path={tiny}", *SIZES, f"runs={runs}", *arguments])


def finished(runs: Path) -> dict[str, int]:
    """Name and time of writing of every finished run."""
    return {path.parent.name: path.stat().st_mtime_ns for path in runs.glob("run-*/metrics.json")}


def cover(jobs: list[list[str]]) -> list[list[str]]:
    """A few points of a grid in which every value of every axis occurs."""
    chosen: list[list[str]] = []
    for job in jobs:
        if not set(job) <= {value for one in chosen for value in one}:
            chosen.append(job)
    return chosen


@pytest.mark.parametrize("experiment", slow_except({"how_often"}, [name for name in EXPERIMENTS if name != "tune"]))
def test_every_experiment_runs(tiny: Path, tmp_path: Path, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = vars(Sweep)["jobs"].func
    monkeypatch.setattr(Sweep, "jobs", property(lambda self: cover(everything(self))))
    assert ablate(tiny, tmp_path, f"experiment={experiment}", "seed=0") == 0
    manifest = json.loads((tmp_path / f"{experiment}.json").read_text("utf-8"))
    assert {one["run"] for one in manifest["runs"]} == finished(tmp_path).keys()
    assert len(manifest["runs"]) >= 2


def test_a_search_runs(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install physgen[optuna]")
    assert ablate(tiny, tmp_path, "experiment=tune", "hydra.sweeper.n_trials=2") == 0
    assert len(finished(tmp_path)) == 2


def test_finished_runs_are_skipped_and_shared(tiny: Path, tmp_path: Path) -> None:
    assert ablate(tiny, tmp_path, "law=mass", "guidance=none,afterwards", "seed=0,1") == 0
    before = finished(tmp_path)
    assert len(before) == 4
    lost = next(iter(sorted(before)))
    (tmp_path / lost / "metrics.json").unlink()  # as a run is that was killed
    (tmp_path / lost / "half-written").touch()
    assert ablate(tiny, tmp_path, "law=mass", "guidance=none,afterwards,projection", "seed=0,1") == 0
    after = finished(tmp_path)
    assert len(after) == 6
    assert {name for name, time in before.items() if after[name] == time} == before.keys() - {lost}
    assert not (tmp_path / lost / "half-written").exists()


def test_run_directory_is_complete(tiny: Path, tmp_path: Path) -> None:
    assert ablate(tiny, tmp_path, "law=diffusion", "guidance=projection", "guidance.start=0.0") == 0
    (folder,) = tmp_path.glob("run-*")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        "log.jsonl",
        "metrics.json",
        "video.mp4",
        "video.tif",
    ]
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert metrics["imposed"] == ["diffusion"]
    assert metrics["violation"].keys() == {"mass", "diffusion"}
    assert metrics["nfe"] == 6
    assert len((folder / "log.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.slow
def test_arms_are_paired(tiny: Path, tmp_path: Path) -> None:
    assert ablate(tiny, tmp_path, "law=mass", "guidance=none,projection", "seed=4,5") == 0
    prompts: dict[int, set[str]] = {}
    for path in tmp_path.glob("run-*/metrics.json"):
        metrics = json.loads(path.read_text("utf-8"))
        prompts.setdefault(metrics["seed"], set()).add(metrics["prompt"])
    assert {seed: len(captions) for seed, captions in prompts.items()} == {4: 1, 5: 1}


def test_failures_are_listed_with_their_commands(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablate(tiny, tmp_path, "law=mass", "guidance=projection", "guidance.start=0.5,2.0", "seed=0") == 1
    error = capsys.readouterr().err
    assert "1 of 2 runs failed" in error
    assert "start, stop=(2.0, 1.0): allowed: fractions of the schedule, 0 <= start < stop <= 1" in error
    assert "guidance.start=2.0" in error.splitlines()[-1]
    assert error.splitlines()[-1].strip().startswith("physgen ablate ")
    assert len(finished(tmp_path)) == 1


@pytest.mark.parametrize(
    ("argument", "named"),
    [("seed=-1", "seed=-1"), ("steps=0", "steps=0"), ("prompt=''", "prompt=''"), ("family=fire", "family='fire'")],
)
def test_runs_that_cannot_be(
    tiny: Path, tmp_path: Path, argument: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablate(tiny, tmp_path, "law=mass", argument) == 1
    assert f"{named}: allowed: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("experiment=constraint_by_guidance", "did you mean 'constraints_by_guidance'?"),
        ("law=mass,entropy", "law='entropy'"),
        ("guidance=projecton", "did you mean 'projection'?"),
        ("sead=1", "sead"),
        ("faster", "KEY=VALUE"),
        ("seed=many", "seed='many'"),
        ("seed=0,many", "seed='many'"),
        ("seed=0,null", "seed=None"),
        ("prompt=a cell, dividing", "prompt=\"'a cell, dividing'\", or 2 prompts: prompt=\"'a cell','dividing'\""),
        ("prompt=dye,'a cell, dividing'", "2 prompts: prompt=\"'dye','a cell, dividing'\""),
        ("prompt=a cell (green), dividing", "text in two kinds of quotes"),
        ("name=a/b", "name='a/b': allowed: one name of letters"),
        ("name=a,b", "name='a,b': allowed: one name of letters"),
    ],
)
def test_bad_usage(tmp_path: Path, argument: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", f"runs={tmp_path}", argument]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", ["++seed=0,1", "seed='0','1'", "seed=0,'1'"])
def test_seeds_however_they_are_written(tiny: Path, tmp_path: Path, seeds: str) -> None:
    assert ablate(tiny, tmp_path, "law=mass", "seed=0,1") == 0
    before = finished(tmp_path)
    assert ablate(tiny, tmp_path, "law=mass", seeds) == 0
    assert finished(tmp_path) == before
    assert len(before) == 2


def test_choices_are_made_by_hydras_own_words(tiny: Path, tmp_path: Path) -> None:
    assert ablate(tiny, tmp_path, "law=glob(mas*)", "guidance=choice(none,afterwards)", "seed=0") == 0
    manifest = json.loads((tmp_path / "sweep.json").read_text("utf-8"))
    assert {(one["choices"]["law"], one["choices"]["guidance"]) for one in manifest["runs"]} == {
        ("mass", "none"),
        ("mass", "afterwards"),
    }


def test_points_that_are_the_same_run_are_named_and_rewards_are_as_hydra_reads_them(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("physgen.experiments.ablate.run.attempt", lambda options: options.folder.mkdir(parents=True))
    monkeypatch.setattr(Sweep, "report", lambda _: None)
    assert ablate(tiny, tmp_path, "family=dye", "rewards=null,[],[count]", "seed=0") == 0
    assert len(list(tmp_path.glob("run-*"))) == 2
    captured = capsys.readouterr()
    assert "2 points are the same run: " in captured.out + captured.err


@pytest.mark.parametrize("wrong", ["law=interval(0,1)", "law=null", "constraint=[choice(mass,none)]", "law=glob(zzz*)"])
def test_what_chooses_nothing_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    runs = tmp_path / "runs"
    assert main(["ablate", "-m", wrong, "seed=0", f"runs={runs}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not runs.exists()


def test_a_tracker_that_cannot_be_opened_costs_no_video(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def not_installed(name: str) -> None:
        raise ImportError(name)

    drawn: list[object] = []
    monkeypatch.setattr("physgen.experiments.runs.packages.import_module", not_installed)
    monkeypatch.setattr("physgen.experiments.ablate.run.draw_run", lambda *of: drawn.append(of))
    assert ablate(tiny, tmp_path, "law=mass", "tracker=wandb") == 1
    assert "pip install wandb" in capsys.readouterr().err
    assert not drawn


def test_a_service_that_fails_is_named_and_costs_no_run(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "away.py").write_text(
        "def init(**options): pass\n"
        "def log(record, step): raise ConnectionError('nobody answers')\n"
        "def finish(): raise ConnectionError('nobody listens')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert ablate(tiny, tmp_path, "law=mass", "tracker=wandb", "tracker.package=away") == 0
    assert len(finished(tmp_path)) == 1
    said = "".join(capsys.readouterr())
    assert "lack a part of this run: ConnectionError: nobody answers" in said
    assert "could not finish: ConnectionError: nobody listens" in said
