"""Score recorded results in one of two modes that are never mixed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.scoring.corrected import score_corrected
from physgen.experiments.microworldbench.scoring.results import read_results
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard
from physgen.experiments.microworldbench.scoring.upstream import score_upstream
from physgen.experiments.microworldbench.tasks.data import read_rubrics, read_tasks

MODES = ("upstream", "corrected")


def score(results: Any, rubrics: Any, tasks: Any, mode: str = "upstream") -> Scorecard:
    """Score a model's results: ``upstream`` as the released scorer does, ``corrected`` as its authors meant.

    Each argument is the path of a file, its parsed JSON, or (rubrics, tasks) what was read from it before.

    Raises: InvalidArgument for an unknown mode, for files that are none, and in ``upstream`` for results that crash the
    released scorer; FileNotFoundError.

    Source: github.com/FreedomIntelligence/MicroVerse, eval/; arXiv:2603.00585.

    >>> names = ("scientific", "visual", "instruction")
    >>> rubric = {"d1": "Sharp", "s1": "+1", "w1": 1.0, "d2": "Flicker", "s2": "-1", "w2": "0.5"}
    >>> rubrics = [{"index": 1, **{f"rubrics_{name}": rubric for name in names}}]
    >>> results = [{"index": 1, **{f"{name}_eval": {"parsed_result": {"scores": [1, 1]}} for name in names}}]
    >>> score(results, rubrics, [{"index": 1, "final_label": "Organ-level"}]).average
    50.0
    """
    check_mode(mode)
    by_index = {rubric.index: rubric for rubric in read_rubrics(rubrics)}
    levels = {task.index: task.level for task in read_tasks(tasks)}
    if mode == "upstream":
        return score_upstream(read_results(results)[0], by_index, levels)
    found, notes = read_results(results, salvage=True)
    card = score_corrected(found, by_index, levels)
    return replace(card, notes=(*notes, *card.notes))


def check_mode(mode: str) -> None:
    """Refuse a mode that is none."""
    if mode not in MODES:
        raise InvalidArgument("mode", mode, ", ".join(MODES))
