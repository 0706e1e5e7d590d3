"""The published tables beside every score, and the rows of noise and of perfection that the documentation has."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from physgen.experiments.microworldbench import read_rubrics, score
from physgen.experiments.microworldbench.judges.base import Judge, PerfectJudge, RandomJudge
from physgen.experiments.microworldbench.judges.judging import Panel
from physgen.experiments.microworldbench.pages.page import Comparison
from physgen.experiments.microworldbench.scoring.published import PUBLISHED
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, LEVELS, RUBRICS, TASKS, read_tasks

PAGE = Path(__file__).parents[3] / "docs" / "results" / "microworldbench.md"
COLUMNS = ("average", *DIMENSIONS)
COINS = 40


def test_every_comparison_ends_with_both_published_tables() -> None:
    table = Comparison("corrected", {}, {}).tables()[-1]
    assert list(table.columns) == ["model", *COLUMNS, *LEVELS]
    assert [tuple(row) for row in table.rows] == [
        (row.model, row.average, *row.dimensions, *row.levels) for row in PUBLISHED
    ]


def documented(name: str, mode: str) -> list[list[float]]:
    """A row of the page: mean and deviation of each column."""
    (row,) = re.findall(rf"^\| {name}, `{mode}` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [[float(number) for number in cell.split("±")] for cell in row.split("|")]


def judged(shared: Path, mode: str, judge: Judge) -> Scorecard:
    folder = shared / "microworldbench"
    rubrics, tasks = read_rubrics(folder / RUBRICS), read_tasks(folder / TASKS)
    panel = Panel(judge, {one.index: one for one in tasks}, {one.index: one for one in rubrics}, mode)
    return score(panel([(one.index, None) for one in rubrics]).results, rubrics, tasks, mode)


@pytest.mark.parametrize("mode", ["upstream", "corrected"])
def test_the_perfect_row(shared: Path, mode: str) -> None:
    card = judged(shared, mode, PerfectJudge())
    assert [[round(getattr(card, column), 1)] for column in COLUMNS] == documented("perfect", mode)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["upstream", "corrected"])
def test_the_row_of_noise(shared: Path, mode: str) -> None:
    """The same coins as the page: mean and standard deviation over their seeds."""
    cards = [judged(shared, mode, RandomJudge(seed)) for seed in range(COINS)]
    found = [[getattr(card, column) for card in cards] for column in COLUMNS]
    again = [[round(float(np.mean(one)), 1), round(float(np.std(one, ddof=1)), 1)] for one in found]
    np.testing.assert_allclose(again, documented("coin flip", mode), atol=0.101)
