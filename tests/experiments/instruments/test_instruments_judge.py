"""The judge that measures: answers, abstains, notes what it cannot read; on tasks of its own and of others."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.instruments.clip import Clip
from physgen.experiments.instruments.judge import InstrumentJudge
from physgen.experiments.instruments.proof.faultless import simulated
from physgen.experiments.instruments.registry import CONTENT, DOMAINS, PICTURE, statistics
from physgen.experiments.instruments.rules import instruments_for
from physgen.experiments.instruments.subject import subject_of
from physgen.experiments.microworldbench import read_results, read_rubrics, read_tasks
from physgen.experiments.microworldbench.judges.base import Unanswered
from physgen.experiments.microworldbench.judges.question import Question
from physgen.experiments.microworldbench.scoring.corrected import answers
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Criterion, Task
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.simulators import SIMULATORS
from physgen.video import Video, write_mp4

WOUND = next(task for task in read_tasks(named_tasks("micro")[0]) if "wound" in task.task)


def wound(path: Path, fault: float = 0.0) -> Path:
    attributes = {"kind": "wound", "colour": "golden", "orientation": "vertical", "speed": "slowly"}
    video = torch.from_numpy(SIMULATORS["growth"](1, rng=np.random.default_rng(5), attributes=[attributes]).video[0])
    gains = 1 + fault * torch.tensor(np.random.default_rng(0).standard_normal(25)).view(1, -1, 1, 1)
    write_mp4(path, Video((video * gains).transpose(0, 1).float()), 8)
    return path


def test_videos_are_scored_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "Model"
    folder.mkdir()
    rubrics = {rubric.index: rubric for rubric in read_rubrics(named_tasks("micro")[1])}
    wound(folder / f"{WOUND.index}.mp4")
    wound(folder / f"{WOUND.index + 1}.mp4", fault=0.2)
    (folder / f"{WOUND.index + 2}.mp4").write_bytes(b"no video")
    write_mp4(folder / "1.mp4", Video(torch.rand(9, 3, 64, 64)), 8)
    options = ["tasks=micro", "rubrics=micro", "judge=instruments", f"videos=[{folder}]", f"out={tmp_path / 'out'}"]
    assert main(["benchmark", "score", *options]) == 0

    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    model = metrics["models"]["Model"]
    assert model["valid_tasks"] == 2
    assert model["scored"] == 30
    good, bad = model["per_task"]
    assert good["average"] == good["visual"] == 100
    assert bad["average"] < 90
    assert bad["visual"] < good["visual"]
    assert any(f"task {WOUND.index + 2}" in note for note in metrics["notes"])
    items = {item["index"]: item for item in read_results(tmp_path / "out/Model_result.json")[0]}
    assert items[1]["visual_eval"]["parsed_result"]["scores"] == [None] * 5
    flicker = [c.measure for c in rubrics[WOUND.index].criteria["visual"]].index("flicker")
    assert items[WOUND.index]["visual_eval"]["parsed_result"]["scores"][flicker] == 0
    assert items[WOUND.index + 1]["visual_eval"]["parsed_result"]["scores"][flicker] == 1
    assert "p = 0.005" in items[WOUND.index + 1]["visual_eval"]["parsed_result"]["reasoning"]


def test_criteria_without_an_instrument_are_settled_by_a_fault_only(tmp_path: Path) -> None:
    criteria = (
        Criterion(1, "Artifacts such as flickering or banding are prominent", -1, 0.5),
        Criterion(2, "The animation is smooth and free of flicker", 1, 0.5),
        Criterion(3, "The heart is anatomically right", 1, 0.5),
    )
    judge, task = InstrumentJudge(), Task(1, "Organ-level", "a heart beats", "")
    given = []
    for fault in (0.0, 0.5):
        question = Question(task, "visual", criteria, "corrected", video=wound(tmp_path / f"{fault}.mp4", fault))
        given.append(answers({"parsed_result": judge(question).parsed}, 3))
    assert given == [(None, None, None), (1, 0, None)]


def test_a_video_that_shows_nothing_meets_no_merit_and_has_no_fault_of_its_content(tmp_path: Path) -> None:
    tasks, rubrics = read_tasks(named_tasks("micro")[0]), read_rubrics(named_tasks("micro")[1])
    folder = tmp_path / "videos" / "Nothing"
    folder.mkdir(parents=True)
    write_mp4(folder / f"{tasks[0].index}.mp4", Video(torch.ones(25, 3, 64, 64)), 8)
    judge = InstrumentJudge()
    given: dict[tuple[str, int], int | None] = {}
    for dimension in DIMENSIONS:
        criteria = rubrics[0].criteria[dimension]
        question = Question(tasks[0], dimension, criteria, "corrected", video=folder / f"{tasks[0].index}.mp4")
        parsed = judge(question).parsed
        given |= dict(
            zip(((c.measure, c.sign) for c in criteria), answers({"parsed_result": parsed}, len(criteria)), strict=True)
        )
    content = {key: answer for key, answer in given.items() if key[0] in CONTENT}
    assert set(content.values()) == {0, None}
    assert all(answer == 0 for (_, sign), answer in content.items() if sign > 0)
    assert all(answer is None for (_, sign), answer in content.items() if sign < 0)
    assert all(answer is not None for key, answer in given.items() if key[0] in PICTURE)

    options = ["tasks=micro", "rubrics=micro", "judge=instruments", f"videos=[{folder}]", f"out={tmp_path / 'out'}"]
    assert main(["benchmark", "score", *options]) == 0
    model = json.loads((tmp_path / "out/metrics.json").read_text())["models"]["Nothing"]
    assert model["valid_tasks"] == 1
    assert model["per_task"][0]["scientific"] == 0


def domain(task: Task) -> str:
    subject = subject_of(task.task)
    assert subject
    return subject.domain


SCENES = {domain(task): task for task in read_tasks(named_tasks("micro")[0])}


def asked(scene: str, path: Path) -> tuple[list[Criterion], list[int | None]]:
    """Criteria of a task of a kind of scene, and what the judge answers of a video."""
    task = SCENES[scene]
    rubric = next(rubric for rubric in read_rubrics(named_tasks("micro")[1]) if rubric.index == task.index)
    criteria = [one for dimension in DIMENSIONS for one in rubric.criteria[dimension]]
    reply = InstrumentJudge()(Question(task, "visual", tuple(criteria), "corrected", video=path))
    return criteria, list(answers({"parsed_result": reply.parsed}, len(criteria)))


@pytest.mark.parametrize("scene", SCENES)
def test_a_black_video_of_any_scene_is_measured(scene: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = statistics(Clip(torch.zeros(3, 25, 64, 64), subject_of(SCENES[scene].task)), DOMAINS[scene])
    assert values.keys() == set(DOMAINS[scene])
    write_mp4(tmp_path / "black.mp4", Video(torch.zeros(25, 3, 64, 64)), 8)
    criteria, given = asked(scene, tmp_path / "black.mp4")
    merits = [
        answer for one, answer in zip(criteria, given, strict=True) if one.sign > 0 and one.measure not in PICTURE
    ]
    assert merits
    assert not any(merits)
    assert None not in merits


def test_what_stands_still_meets_no_merit_of_motion(tmp_path: Path) -> None:
    (_, video), *_ = simulated("blood.flow", 1, seed=3)
    still = video[:, :1].expand_as(video)
    met = {}
    for name, frames in (("true", video), ("still", still)):
        write_mp4(tmp_path / f"{name}.mp4", Video(frames.transpose(0, 1)), 8)
        criteria, given = asked("blood.flow", tmp_path / f"{name}.mp4")
        met[name] = {one.measure: answer for one, answer in zip(criteria, given, strict=True) if one.sign > 0}
    moving = {"speed", "direction", "steadiness", "lanes"}
    assert {name: met["still"][name] for name in moving} == dict.fromkeys(moving, 0)
    assert met["true"]["steadiness"] == met["true"]["lanes"] == met["still"]["mass"] == 1


def test_an_instrument_that_fails_is_no_open_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr("physgen.experiments.instruments.judge.examine", fails)
    with pytest.raises(np.linalg.LinAlgError):
        asked("growth.wound", wound(tmp_path / "wound.mp4"))
    (tmp_path / "no.mp4").write_bytes(b"no video")
    write_mp4(tmp_path / "short.mp4", Video(torch.zeros(1, 3, 64, 64)), 8)
    frames = np.random.default_rng(0).random((25, 64, 64, 3), np.float32)
    frames[3, 5, 5] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", frames, photometric="rgb", metadata={"axes": "TYXS"})
    for name in ("no.mp4", "short.mp4", "missing.mp4", "nan.tif"):
        with pytest.raises(Unanswered, match=name):
            asked("growth.wound", tmp_path / name)


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_alpha_is_a_probability(alpha: float) -> None:
    with pytest.raises(InvalidArgument, match="alpha"):
        InstrumentJudge(alpha)


def test_rules_leave_most_of_the_published_criteria_alone(shared: Path) -> None:
    rubrics = read_rubrics(shared / "microworldbench/MWBenchRubrics_norm.json")
    criteria = [c for rubric in rubrics for d in DIMENSIONS for c in rubric.criteria[d]]
    touched = [c for c in criteria if instruments_for(c)]
    assert 0.05 < len(touched) / len(criteria) < 0.15
    assert not instruments_for(Criterion(1, "Neurons flicker with calcium", 1, 1.0))
