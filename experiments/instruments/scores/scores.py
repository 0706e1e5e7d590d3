"""What the micro task set gives to simulator, reconstruction, and the model with and without guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.judge import InstrumentJudge
from physgen.experiments.instruments.scores.arms import ARMS
from physgen.experiments.measure.distances import Interval, mean_interval
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.microworldbench.judges.base import Judge, RandomJudge
from physgen.experiments.microworldbench.judges.judging import Panel
from physgen.experiments.microworldbench.scoring.corrected import answers
from physgen.experiments.microworldbench.scoring.score import score
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, LEVELS, Rubric, Task

COIN = "coin flip"
COLUMNS = ("average", *DIMENSIONS)
PAIRS = (
    (SIMULATOR, RECONSTRUCTION),
    (RECONSTRUCTION, UNGUIDED),
    (AFTERWARDS, UNGUIDED),
    (GUIDED, UNGUIDED),
    (GUIDED, AFTERWARDS),
)


@dataclass(frozen=True)
class Scored:
    """Scorecards of an arm by seed, and 1 or 0 for each criterion that was met (a fault: that was not seen).

    ``ranks``: of each criterion's readings the percentile among videos without a fault.
    """

    cards: list[Scorecard]
    met: dict[str, list[int]]
    ranks: dict[str, list[float]]
    asked: int

    def per_task(self, name: str) -> dict[int, float]:
        """Score of each task, mean over the seeds."""
        found: dict[int, list[float]] = {}
        for card in self.cards:
            for task in card.per_task:
                found.setdefault(task.index, []).append(getattr(task, name))
        return {index: float(np.mean(values)) for index, values in found.items()}

    @property
    def coverage(self) -> float:
        """Share of the criteria of its videos that were answered."""
        return sum(card.scored for card in self.cards) / self.asked


def score_arms(
    tasks: Sequence[Task], rubrics: Sequence[Rubric], videos: Path, seeds: int, alpha: float
) -> dict[str, Scored]:
    """Judge and score every arm of `write_arms`, and a coin."""
    found = {
        arm: _scored(tasks, rubrics, [videos / str(s) / arm for s in range(seeds)], InstrumentJudge(alpha))
        for arm in ARMS
    }
    coins = [score(_judged(tasks, rubrics, None, RandomJudge(s)), rubrics, tasks, "corrected") for s in range(seeds)]
    return found | {COIN: Scored(coins, {}, {}, sum(card.criteria for card in coins))}


def _scored(tasks: Sequence[Task], rubrics: Sequence[Rubric], folders: Sequence[Path], judge: Judge) -> Scored:
    by_index = {rubric.index: rubric for rubric in rubrics}
    cards, met, ranks, asked = [], dict[str, list[int]](), dict[str, list[float]](), 0
    for folder in folders:
        results = _judged(tasks, rubrics, folder, judge)
        cards.append(score(results, rubrics, tasks, "corrected"))
        for item in results:
            for dimension in DIMENSIONS:
                criteria = by_index[item["index"]].criteria[dimension]
                evaluation = item[f"{dimension}_eval"]
                given = answers(evaluation, len(criteria))
                asked += len(given)
                for criterion, answer, rank in zip(criteria, given, ranks_of(evaluation, len(given)), strict=True):
                    if answer is not None:
                        met.setdefault(criterion.measure, []).append(int(answer == (criterion.sign > 0)))
                    if rank is not None:
                        ranks.setdefault(criterion.measure, []).append(rank)
    return Scored(cards, met, ranks, asked)


def ranks_of(evaluation: Mapping[str, Any] | None, count: int) -> list[float | None]:
    """Percentile of each criterion's reading, ``None`` where there is none."""
    found = (evaluation or {}).get("parsed_result", {}).get("ranks") or [None] * count
    return list(found)


def _judged(
    tasks: Sequence[Task], rubrics: Sequence[Rubric], folder: Path | None, judge: Judge
) -> list[dict[str, Any]]:
    listed = [(task.index, folder / f"{task.index}.mp4" if folder else None) for task in tasks]
    panel = Panel(judge, {t.index: t for t in tasks}, {r.index: r for r in rubrics}, "corrected")
    return panel([(index, path) for index, path in listed if path is None or path.exists()]).results


def difference(first: Scored, second: Scored, name: str) -> Interval:
    """Mean of ``first - second`` over the tasks that both have, with its bootstrap interval over tasks."""
    a, b = first.per_task(name), second.per_task(name)
    return mean_interval(np.array([a[index] - b[index] for index in sorted(a.keys() & b.keys())]))


def tables(found: Mapping[str, Scored], tasks: Sequence[Task]) -> list[Table]:
    """Scores, paired differences, the share of each instrument's criteria that were met, and its mean percentile."""
    level = {task.index: task.level for task in tasks}
    scores: list[list[Cell]] = []
    for arm, scored in found.items():
        average = scored.per_task("average")
        by_level = [np.array([v for i, v in average.items() if level[i] == name]) for name in LEVELS]
        columns = [mean_interval(np.array([*scored.per_task(name).values()])) for name in COLUMNS]
        scores.append([arm, *columns, *map(mean_interval, by_level), scored.coverage, str(len(average))])
    names = list(dict.fromkeys(name for scored in found.values() for name in scored.met))
    return [
        Table("Micro task set, judged by instruments", ["", *COLUMNS, *LEVELS, "coverage", "tasks"], scores),
        Table(
            "Paired differences over tasks",
            ["", *COLUMNS],
            [[f"{a} − {b}", *(difference(found[a], found[b], name) for name in COLUMNS)] for a, b in PAIRS],
        ),
        Table(
            "Share of criteria met (faults: not seen)",
            ["instrument", *ARMS, "n"],
            [
                [
                    name,
                    *(float(np.mean(found[arm].met.get(name, [np.nan]))) for arm in ARMS),
                    str(len(found[UNGUIDED].met.get(name, []))),
                ]
                for name in names
            ],
        ),
        Table(
            "Mean percentile among videos without a fault (50: as they read; above 99: failed)",
            ["instrument", *ARMS],
            [[name, *(float(np.mean(found[arm].ranks.get(name, [np.nan]))) for arm in ARMS)] for name in names],
        ),
    ]


def record(found: Mapping[str, Scored]) -> dict[str, Any]:
    """Everything as JSON."""
    return {
        arm: {
            **{name: asdict(mean_interval(np.array([*s.per_task(name).values()]))) for name in COLUMNS},
            "coverage": s.coverage,
            "per_task": s.per_task("average"),
            "met": {name: {"share": float(np.mean(v)), "n": len(v)} for name, v in s.met.items()},
            "rank": {name: float(np.mean(v)) for name, v in s.ranks.items()},
        }
        for arm, s in found.items()
    } | {
        "differences": {
            f"{a} - {b}": {name: asdict(difference(found[a], found[b], name)) for name in COLUMNS} for a, b in PAIRS
        }
    }
