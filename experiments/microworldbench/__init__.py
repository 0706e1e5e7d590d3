"""MicroWorldBench: judge videos of the micro world, score the answers, trust the number."""

from physgen.experiments.microworldbench.data import Criterion, Rubric, Task, read_rubrics, read_tasks
from physgen.experiments.microworldbench.results import read_results, write_results
from physgen.experiments.microworldbench.scorecard import Scorecard, TaskScore
from physgen.experiments.microworldbench.scoring import score

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
