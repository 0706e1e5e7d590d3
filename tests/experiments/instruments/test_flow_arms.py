"""The tables of flows: arms, points with imposed criteria apart, a small run that is resumed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from physgen.drawn import UNGUIDED
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import SIMULATOR, simulate
from physgen.experiments.instruments.flow import run, table
from physgen.experiments.instruments.flow.arms import PROJECTED
from physgen.experiments.instruments.flow.run import ROWS, run_flow
from physgen.experiments.instruments.scores.arms import prompt_of
from physgen.experiments.instruments.scores.scores import IMPOSED
from physgen.experiments.micro.cases import Case
from physgen.experiments.micro.flow import project_colours
from physgen.experiments.microworldbench import read_rubrics, read_tasks
from physgen.experiments.microworldbench.scoring.score import score
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Rubric, Task
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.experiments.runs.progress import Record, write_records
from physgen.simulators import SIMULATORS
from physgen.video import Video, write_mp4
from physgen.worlds import world_spec
from physgen.worlds.loading import load

TASKS = [task for task in read_tasks(named_tasks("micro")[0]) if "capillary" in task.task]
VESSELS = [task for task in read_tasks(named_tasks("micro")[0]) if "branching" in task.task]
RUBRICS, RUBRICS_OF_VESSELS = (
    [rubric for rubric in read_rubrics(named_tasks("micro")[1]) if rubric.index in {task.index for task in tasks}]
    for tasks in (TASKS, VESSELS)
)


def record(arm: str, task: int, met: dict[str, bool | None], rubric: Rubric) -> Record:
    criteria = [one for dimension in DIMENSIONS for one in rubric.criteria[dimension]]
    answers = {
        one.measure: None if met.get(one.measure, True) is None else int(met.get(one.measure, True) == (one.sign > 0))
        for one in criteria
    }
    return {
        "arm": arm,
        "task": task,
        "answers": answers,
        "ranks": {},
        "judge": {"direction": 1, "speed": 1, "count": 0},
    }


def test_points_are_those_of_the_benchmark() -> None:
    rng, rubric = np.random.default_rng(0), RUBRICS[0]
    every = [one for dimension in DIMENSIONS for one in rubric.criteria[dimension]]
    for _ in range(5):
        one = record("a", rubric.index, {c.measure: bool(rng.integers(2)) for c in every}, rubric)
        evaluations = {
            f"{d}_eval": {"parsed_result": {"scores": [one["answers"][c.measure] for c in rubric.criteria[d]]}}
            for d in DIMENSIONS
        }
        card = score([{"index": rubric.index, **evaluations}], [rubric], TASKS[:1], "corrected")
        assert table.points(one, every) == pytest.approx(card.average)


def test_imposed_criteria_are_counted_apart() -> None:
    rubric = RUBRICS[0]
    of = table.values(rubric, "blood")
    good = record("a", 1, {}, rubric)
    assert [of[name](good) for name in ("all criteria", "not imposed", "imposed")] == [100, 100, 100]
    broken = record("a", 1, dict.fromkeys(IMPOSED["blood"], False), rubric)
    assert [of[name](broken) for name in ("not imposed", "imposed")] == [100, 0]
    assert 0 < of["all criteria"](record("a", 1, {"speed": None, "count": False}, rubric)) < 100
    assert of["judge: count"](good) == 0


def test_differences_are_paired_over_tasks() -> None:
    rubric = RUBRICS[0]
    records = [
        record(arm, task, {"speed": task % 2 == 0, "count": arm == "a"}, rubric)
        for arm in "ab"
        for task in range(6)
        for _ in range(2)
    ]
    found = table.difference(records, "a", "b", table.values(rubric, "blood")["all criteria"])
    assert found.estimate == pytest.approx(100 * 0.5 / 5.5)
    assert found.low == pytest.approx(found.high)


@pytest.mark.parametrize(("family", "task"), [("blood", TASKS[0]), ("vessel", VESSELS[0])])
def test_a_true_video_is_projected_onto_itself_and_noise_is_not(family: str, task: Task) -> None:
    prompt = prompt_of(task, 0)
    clips = SIMULATORS[family](1, rng=np.random.default_rng(3), attributes=[prompt.attributes], split="all")
    grid, law = world_spec("micro").grid(prompt.caption), Case("transport", prompt).constraint()
    video = torch.from_numpy(clips.video)
    near, found = project_colours(video, law, grid)
    assert found
    assert float((near - video).square().mean().sqrt()) < 0.02
    noise = torch.rand(1, 3, 25, 64, 64, generator=torch.Generator().manual_seed(0))
    near, found = project_colours(noise, law, grid)
    assert not found
    assert torch.equal(near, noise)


def test_a_folder_is_answered_anew_with_another_alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is what was measured: a fault is found where p < alpha, of the alpha that is asked for."""

    def draw(world: object, prompt: Prompt, out: Path) -> None:
        video = simulate(prompt, world_spec("micro"), [7, prompt.seed])[0].transpose(0, 1)
        write_mp4(run._video(out, prompt, SIMULATOR), Video(video, prompt=prompt.caption), 8)
        write_records(run._file(out, run.DRAWN, prompt), [{"arm": SIMULATOR, "task": prompt.index}])

    monkeypatch.setattr(run, "_draw", draw)
    monkeypatch.setattr(run, "ROWS", (SIMULATOR,))
    world = load(world_spec("micro"), "cpu")
    strict, lax = (run_flow(world, TASKS[:1], RUBRICS[:1], [3], alpha, tmp_path)[0] for alpha in (0.001, 0.999))
    assert strict["ranks"] == lax["ranks"]
    every = table.values(RUBRICS[0], "blood")["all criteria"]
    assert every(strict) > every(lax) + 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "tasks", "rubrics"), [("blood", TASKS[:2], RUBRICS[:2]), ("vessel", VESSELS[:2], RUBRICS_OF_VESSELS[:2])]
)
def test_a_small_run_is_resumed(family: str, tasks: list[Task], rubrics: list[Rubric], tmp_path: Path) -> None:
    world = load(world_spec("micro"), "cpu")
    world.spec.steps, steps = 4, world.spec.steps
    try:
        records = run_flow(world, tasks, rubrics, [3], 0.01, tmp_path)
        made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
        assert run_flow(world, tasks, rubrics, [3], 0.01, tmp_path) == records
        assert made == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    finally:
        world.spec.steps = steps
    assert [one["arm"] for one in records] == 2 * list(ROWS)
    rubric = rubrics[0]
    by_arm = {one["arm"]: one for one in records}
    of = table.values(rubric, family)
    assert of["all criteria"](by_arm[SIMULATOR]) > 90 > of["all criteria"](by_arm[UNGUIDED])
    assert by_arm[PROJECTED]["seconds"] > by_arm[UNGUIDED]["seconds"]
    assert len(table.tables(records, rubric, family)) == 5
    found = json.loads(json.dumps(table.summary(records, rubric, family)))
    assert found["arms"][SIMULATOR]["imposed"]["estimate"] > 90
