"""The micro task set: the benchmark's schema, held-out scenes, criteria that instruments can measure."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from physgen.experiments.cli.dispatch import main
from physgen.experiments.instruments import DOMAINS, subject_of
from physgen.experiments.instruments.scores import arms
from physgen.experiments.micro.cases import EXPLAINED
from physgen.experiments.microworldbench import read_rubrics, read_tasks
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, LEVELS
from physgen.experiments.microworldbench.tasks.micro_tasks import make
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.simulators import GRAMMARS, SIMULATORS
from physgen.worlds import load_world, world_spec

TASKS, RUBRICS = named_tasks("micro")


def test_the_files_are_those_that_the_criteria_make() -> None:
    assert [json.loads(path.read_text()) for path in (TASKS, RUBRICS)] == list(make())


def test_tasks_are_held_out_scenes_of_every_family_and_level() -> None:
    tasks = read_tasks(TASKS)
    assert len(tasks) >= 60
    assert len({task.task for task in tasks}) == len(tasks)
    assert {task.level for task in tasks} == set(LEVELS)
    assert min(Counter(task.level for task in tasks).values()) >= 15
    families = set()
    for task in tasks:
        subject = subject_of(task.task)
        assert subject
        attributes = {name: value for name, value in subject.attributes.items() if name != "kind"}
        assert GRAMMARS[subject.family][subject.kind].is_held_out(attributes)
        families.add(subject.family)
    assert families == set(GRAMMARS)


def test_every_criterion_names_an_instrument_of_its_scene() -> None:
    text = {task.index: task.task for task in read_tasks(TASKS)}
    for rubric in read_rubrics(RUBRICS):
        subject = subject_of(text[rubric.index])
        assert subject
        measured = [c.measure for dimension in DIMENSIONS for c in rubric.criteria[dimension]]
        assert set(measured) <= set(DOMAINS[subject.domain])
        assert len(set(measured)) == len(measured) == 15
        for dimension in DIMENSIONS:
            assert sum(c.weight for c in rubric.criteria[dimension] if c.sign > 0) > 0
            assert any(c.sign < 0 for c in rubric.criteria[dimension])


def test_other_judges_take_it_as_any_benchmark(tmp_path: Path) -> None:
    (tmp_path / "Model").mkdir()
    options = [
        "tasks=micro",
        "rubrics=micro",
        "judge=random",
        f"videos=[{tmp_path / 'Model'}]",
        f"out={tmp_path / 'out'}",
    ]
    assert main(["benchmark", "score", *options]) == 0
    references = json.loads((tmp_path / "out/metrics.json").read_text())["references"]
    assert references["perfect"]["average"] == 100
    assert 20 < references["coin flip"]["average"] < 70


def test_what_a_projected_video_shows_is_its_fields_where_these_are_all_there_is() -> None:
    """Simulated videos of those families are drawn again from their fields; of others something is lost."""
    rng, spec = np.random.default_rng(0), world_spec("micro")
    for family, simulate in SIMULATORS.items():
        clips = simulate(2, rng=rng, split="all")
        for video, caption in zip(torch.from_numpy(clips.video).double(), clips.captions, strict=True):
            read = spec.observable(caption, off_map=0.0)
            lost = float((read.embed(video[None], read(video[None])) - video).abs().max())
            assert (lost < 0.02) == (family in EXPLAINED), (family, lost)


def test_guided_arms_begin_and_end_as_they_say() -> None:
    """The best of four is the one the choice reads best, the guided draw is the first, and both show fields alone."""
    world = load_world("micro")
    world = replace(world, spec=replace(world.spec, steps=3))
    task = next(task for task in read_tasks(TASKS) if "drop" in task.task)
    prompt = arms.prompt_of(task, 0)
    found = arms.draw_arms(world, prompt)
    assert found.keys() == set(arms.ARMS)
    guidance = arms.guidance_by(arms.laws(world, prompt))
    four = [arms.draw_guided(world, prompt, guidance, candidate) for candidate in range(4)]
    read = [float(arms.chooser(world, prompt)(video)) for video in four]
    assert len(set(read)) == 4
    assert torch.equal(found[arms.GUIDED], four[0])
    assert torch.equal(found[arms.BEST_GUIDED], four[max(range(4), key=read.__getitem__)])
    shown = arms.shown_by(world, prompt)
    for arm in (arms.GUIDED, arms.BEST_GUIDED, arms.TOGETHER, arms.AFTERWARDS):
        again = shown.embed(found[arm].double(), shown(found[arm].double()))
        assert float((again - found[arm]).abs().max()) < 1e-6, arm
