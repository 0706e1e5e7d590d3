"""Some tasks of the two scores that come as a whole: the micro task set, and blood.

``python -m physgen.experiments.paper.fresh.some scores|blood FOLDER TASK ...`` writes ``FOLDER/some.json``; of scores
as many seeds as ``--like FILE`` has.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from physgen.experiments.instruments.blood.run import run_blood
from physgen.experiments.instruments.scores.arms import write_arms
from physgen.experiments.instruments.scores.scores import record, score_arms
from physgen.experiments.microworldbench.tasks.data import read_rubrics, read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.experiments.paper.results.scores import seeds_of
from physgen.experiments.runs.records import write_json_atomic
from physgen.worlds import world_spec
from physgen.worlds.loading import load

#: as `physgen instruments scores` and `physgen instruments blood seeds=4 seed=40` have them
ALPHA, BLOOD_SEED = 0.01, 40


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="physgen.experiments.paper.fresh.some", description=__doc__)
    parser.add_argument("what", choices=["scores", "blood"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("tasks", type=int, nargs="+")
    parser.add_argument("--like", type=Path, help="committed scores")
    asked = parser.parse_args()
    if asked.what == "scores" and not asked.like:
        parser.error("scores: --like FILE is missing")
    torch.set_num_threads(1)
    tasks_file, rubrics_file = named_tasks("micro")
    tasks = [task for task in read_tasks(tasks_file) if task.index in asked.tasks]
    rubrics = [rubric for rubric in read_rubrics(rubrics_file) if rubric.index in asked.tasks]
    world, out = load(world_spec("micro"), "cpu"), asked.folder
    out.mkdir(parents=True, exist_ok=True)
    if asked.what == "scores":
        seeds = seeds_of(json.loads(asked.like.read_text(encoding="utf-8")))
        write_arms(world, tasks, seeds, out / "videos")
        found = record(score_arms(tasks, rubrics, out / "videos", seeds, ALPHA))
        write_json_atomic(out / "some.json", found)
    else:
        write_json_atomic(out / "some.json", run_blood(world, tasks, rubrics, [BLOOD_SEED], ALPHA, out))


if __name__ == "__main__":
    main()
