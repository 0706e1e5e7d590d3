"""Some tasks of the micro task set, every arm, as many seeds as committed scores have.

``python -m physgen.experiments.paper.fresh.some FOLDER LIKE TASK ...`` writes ``FOLDER/some.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from physgen.experiments.instruments.scores.arms import write_arms
from physgen.experiments.instruments.scores.scores import record, score_arms
from physgen.experiments.microworldbench.tasks.data import read_rubrics, read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.experiments.paper.results.scores import Scores
from physgen.experiments.runs.records import write_json_atomic
from physgen.worlds import world_spec
from physgen.worlds.loading import load

#: as `physgen instruments scores` has it
ALPHA = 0.01


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="physgen.experiments.paper.fresh.some", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("like", type=Path, help="committed scores")
    parser.add_argument("tasks", type=int, nargs="+")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    tasks_file, rubrics_file = named_tasks("micro")
    tasks = [task for task in read_tasks(tasks_file) if task.index in asked.tasks]
    rubrics = [rubric for rubric in read_rubrics(rubrics_file) if rubric.index in asked.tasks]
    seeds = Scores(json.loads(asked.like.read_text(encoding="utf-8"))).seeds
    write_arms(load(world_spec("micro"), "cpu"), tasks, seeds, asked.folder / "videos")
    found = score_arms(tasks, rubrics, asked.folder / "videos", seeds, ALPHA)
    write_json_atomic(asked.folder / "some.json", record(found))


if __name__ == "__main__":
    main()
