"""`physgen instruments`: small runs, resumed."""

import json
from pathlib import Path

import numpy as np
import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.instruments import job
from physgen.experiments.instruments.examine import _nulls
from physgen.experiments.instruments.nulls import FOLDER, read_nulls
from physgen.experiments.instruments.proof.prove import prove, summary, tables
from physgen.experiments.instruments.registry import ANY
from physgen.experiments.instruments.scores.arms import ARMS, guidance_by, laws, prompt_of, write_arms
from physgen.experiments.instruments.scores.scores import record, score_arms
from physgen.experiments.instruments.scores.scores import tables as score_tables
from physgen.experiments.microworldbench import read_rubrics, read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.guidance import DPS, Projection
from physgen.worlds import World, world_spec
from physgen.worlds.loading import load


@pytest.fixture(scope="module")
def world() -> World:
    return load(world_spec("micro"), "cpu")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["weigh"], "action"),
        (["prove", "file.tif"], "action"),
        (["prove", "n=0"], "n=0"),
        (["scores", "alpha=1"], "alpha"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["instruments", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_proofs_are_not_of_the_videos_that_were_calibrated_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = {}
    for word in ("calibrate", "prove"):
        monkeypatch.setattr(job, f"run_{word}", lambda config, out, word=word: seeds.update({word: config.seed}))
        assert main(["instruments", word, f"out={tmp_path / word}"]) == 0
    assert seeds == {"calibrate": 0, "prove": 12345}


def test_calibration_adds_what_is_missing_and_keeps_the_rest(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.npz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with np.load(tmp_path / "dye.frap.npz") as arrays:
        kept = {key: arrays[key] for key in arrays.files if not key.endswith("/mass")}
    np.savez(tmp_path / "dye.frap.npz", **kept)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert main(["instruments", "calibrate", "n=3", f"out={tmp_path}"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == before.keys()
    assert [n for n, t in before.items() if (tmp_path / n).stat().st_mtime_ns != t] == ["dye.frap.npz"]
    with np.load(tmp_path / "dye.frap.npz") as arrays:
        assert set(arrays.files) - kept.keys() == {"simulator/mass", "reconstruction/mass"}
        assert len(arrays["simulator/mass"]) == 3
        assert arrays["simulator/mass"].min() >= read_nulls()["dye.frap"]["simulator"]["mass"].min()
        assert all(np.array_equal(arrays[key], value) for key, value in kept.items())


def test_an_instrument_without_nulls_is_one_clear_error() -> None:
    with pytest.raises(InvalidArgument, match=r"instrument='shear'.*dye\.drop.*instruments calibrate out="):
        _nulls("dye.drop", "shear")
    with pytest.raises(InvalidArgument, match="any videos"):
        _nulls(ANY, "shear")


@pytest.mark.slow
def test_a_proof_of_one_scene(world: World, tmp_path: Path) -> None:
    rows = prove(world, 1, 3, tmp_path, ["growth.wound"])
    assert rows == prove(world, 1, 3, tmp_path, ["growth.wound"])
    found = summary(rows, 0.01)
    strongest = {
        (e["kind"], e["instrument"]): e["estimate"]
        for e in found["sensitivity"]["simulator"]
        if e["strength"] == max(x["strength"] for x in found["sensitivity"]["simulator"] if x["kind"] == e["kind"])
    }
    assert strongest["flicker", "flicker"] == strongest["time reversed", "arrow"] == 1
    assert found["specificity"]["simulator"]["flicker"]["n"] == 5
    assert [len(table.rows) > 5 for table in tables(found)] == [True, True]


@pytest.mark.slow
def test_arms_are_drawn_once_and_scored(world: World, tmp_path: Path) -> None:
    every = {task.task: task for task in read_tasks(named_tasks("micro")[0])}
    tasks = [next(task for text, task in every.items() if word in text) for word in ("bleached", "capillary")]
    rubrics = [rubric for rubric in read_rubrics(named_tasks("micro")[1]) if rubric.index in {t.index for t in tasks}]
    world.spec.steps, steps = 4, world.spec.steps
    try:
        write_arms(world, tasks, 1, tmp_path)
        made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
        assert len(made) == len(ARMS) * len(tasks)
        write_arms(world, tasks, 1, tmp_path)
        assert made == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    finally:
        world.spec.steps = steps
    found = score_arms(tasks, rubrics, tmp_path, 1, 0.01)
    assert (
        found["simulator"].per_task("average")[tasks[0].index] > found["unguided"].per_task("average")[tasks[0].index]
    )
    assert found["guided"].met["mass"][0] == 1
    assert len(score_tables(found, tasks)) == 6
    assert 0 <= found["guided"].ranks["mass"][0] < 99
    assert json.loads(json.dumps(record(found)))["simulator"]["coverage"] > 0.9


def test_flows_are_guided_early_and_all_else_in_the_last_steps(world: World) -> None:
    found = {}
    for task in read_tasks(named_tasks("micro")[0]):
        prompt = prompt_of(task, 0)
        guidance = guidance_by(laws(world, prompt))
        found[prompt.family] = (type(guidance), guidance.start, guidance.terminal)
    assert found.keys() == world.spec.families.keys()
    for family, chosen in found.items():
        flows = family in ("blood", "vessel")
        assert chosen == ((DPS, 0.2, False) if flows else (Projection, 0.9, True)), family


def test_more_seeds_go_on_in_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(job, "run_scores", lambda config, out: asked.append(config.seeds))
    for seeds in (1, 2):
        assert main(["instruments", "scores", f"seeds={seeds}", f"out={tmp_path}"]) == 0
    assert asked == [1, 2]
    assert main(["instruments", "scores", "seed=5", f"out={tmp_path}"]) == 2
