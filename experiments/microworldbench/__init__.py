"""MicroWorldBench: judge videos of the micro world, score the answers, trust the number."""

from physgen.experiments.microworldbench.scoring.results import read_results, write_results
from physgen.experiments.microworldbench.scoring.score import score
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard, TaskScore
from physgen.experiments.microworldbench.tasks.data import Criterion, Rubric, Task, read_rubrics, read_tasks

__all__ = [
    "Criterion",
    "Rubric",
    "Scorecard",
    "Task",
    "TaskScore",
    "read_results",
    "read_rubrics",
    "read_tasks",
    "score",
    "write_results",
]
