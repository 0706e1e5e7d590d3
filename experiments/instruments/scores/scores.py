"""What the micro task set gives to simulator, reconstruction, and the model with and without guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.examine import percentile_title
from physgen.experiments.instruments.judge import InstrumentJudge
from physgen.experiments.instruments.scores.arms import (
    ARMS,
    BEST,
    BEST_GUIDED,
    MORE,
    PARTICLES,
    PROCESSES,
    PRUNED,
    THEN,
    TOGETHER,
)
from physgen.experiments.instruments.subject import subject_of
from physgen.experiments.measure.intervals import Interval, mean_interval
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.microworldbench.judges.base import Judge, RandomJudge
from physgen.experiments.microworldbench.judges.judging import Panel
from physgen.experiments.microworldbench.scoring.corrected import answers
from physgen.experiments.microworldbench.scoring.score import score
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard, normalised
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, LEVELS, Criterion, Rubric, Task

COIN, FREE = "coin flip", "not imposed"
COLUMNS = ("average", *DIMENSIONS, FREE)
PAIRS = (
    (SIMULATOR, RECONSTRUCTION),
    (RECONSTRUCTION, UNGUIDED),
    (MORE, UNGUIDED),
    (BEST, UNGUIDED),
    (BEST, MORE),
    (PRUNED, UNGUIDED),
    (PRUNED, BEST),
    (PARTICLES, BEST),
    (AFTERWARDS, UNGUIDED),
    (GUIDED, UNGUIDED),
    (GUIDED, AFTERWARDS),
    (BEST + THEN, AFTERWARDS),
    (BEST + THEN, BEST),
    (PRUNED + THEN, AFTERWARDS),
    (PARTICLES + THEN, BEST + THEN),
    (TOGETHER, PARTICLES + THEN),
    (TOGETHER, BEST + THEN),
    (BEST_GUIDED, GUIDED),
    (BEST_GUIDED, BEST + THEN),
    (TOGETHER, BEST_GUIDED),
    (TOGETHER, GUIDED),
)
#: criteria of an instrument that measures with what some arm is chosen by
CHOSEN_BY = ("recognised", "pattern", "count")
#: criteria of each family that what some arm is projected onto meets by construction, or nearly
IMPOSED = {
    "dye": ("mass", "reaction_diffusion", "arrow", "extrema", "colour"),
    "growth": ("reaction_diffusion", "arrow", "bounds", "progression", "colour"),
    "gray_scott": ("reaction_diffusion", "arrow", "bounds", "colour"),
    "mitosis": ("phase_order", "phases"),
    "blood": (
        *("mass", "steadiness", "lanes", "appearance", "vanishing", "lost", "jumps", "flicker", "direction"),
        *("transport", "permanence", "static", "number"),
    ),
    "vessel": ("transport", "permanence", "coherence", "stutter", "jumps", "flicker", "static"),
    "beads": ("mass", "colour"),
    "sheet": ("periodic",),
    "vesicles": ("progression", "mass", "arrow", "colour"),
}


@dataclass(frozen=True)
class Scored:
    """Scorecards of an arm by seed, and 1 or 0 for each criterion that was met (a fault: that was not seen).

    ``ranks``: of each criterion's readings the percentile among videos without a fault.
    ``free``: of each task and seed the score by criteria that no arm imposes.
    ``empty``: of each video that was read whether it shows nothing.
    """

    cards: list[Scorecard]
    met: dict[str, list[int]]
    ranks: dict[str, list[float]]
    free: dict[int, list[float]]
    asked: int
    empty: list[bool]

    def per_task(self, name: str) -> dict[int, float]:
        """Score of each task, mean over the seeds."""
        found: dict[int, list[float]] = {}
        if name == FREE:
            return {index: float(np.mean(values)) for index, values in self.free.items()}
        for card in self.cards:
            for task in card.per_task:
                found.setdefault(task.index, []).append(getattr(task, name))
        return {index: float(np.mean(values)) for index, values in found.items()}

    @property
    def coverage(self) -> float:
        """Share of the criteria of its videos that were answered."""
        return sum(card.scored for card in self.cards) / self.asked

    @property
    def nothing(self) -> float:
        """Share of its videos that show nothing; NaN where there is no video."""
        return float(np.mean(self.empty)) if self.empty else float("nan")


def score_arms(
    tasks: Sequence[Task], rubrics: Sequence[Rubric], videos: Path, seeds: int, alpha: float
) -> dict[str, Scored]:
    """Judge and score every arm of `write_arms`, in two processes, and a coin."""
    folders = [[videos / str(s) / arm for s in range(seeds)] for arm in ARMS]
    judged = partial(_scored, tasks, rubrics, alpha)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        found = dict(zip(ARMS, pool.map(judged, folders), strict=True))
    coins = [score(_judged(tasks, rubrics, None, RandomJudge(s)), rubrics, tasks, "corrected") for s in range(seeds)]
    return found | {COIN: Scored(coins, {}, {}, {}, sum(card.criteria for card in coins), [])}


def _scored(tasks: Sequence[Task], rubrics: Sequence[Rubric], alpha: float, folders: Sequence[Path]) -> Scored:
    by_index = {rubric.index: rubric for rubric in rubrics}
    family = {task.index: subject.family for task in tasks if (subject := subject_of(task.task))}
    judge = InstrumentJudge(alpha)
    cards, met, ranks, asked = [], dict[str, list[int]](), dict[str, list[float]](), 0
    free: dict[int, list[float]] = {}
    empty: list[bool] = []
    for folder in folders:
        results = _judged(tasks, rubrics, folder, judge)
        cards.append(score(results, rubrics, tasks, "corrected"))
        for item in results:
            answered: list[tuple[Criterion, int]] = []
            if (seen := parsed(item[f"{DIMENSIONS[0]}_eval"]).get("seen")) is not None:
                empty.append(not seen)
            for dimension in DIMENSIONS:
                criteria = by_index[item["index"]].criteria[dimension]
                evaluation = item[f"{dimension}_eval"]
                given = answers(evaluation, len(criteria))
                asked += len(given)
                for criterion, answer, rank in zip(criteria, given, ranks_of(evaluation, len(given)), strict=True):
                    if answer is not None:
                        met.setdefault(criterion.measure, []).append(int(answer == (criterion.sign > 0)))
                        answered.append((criterion, answer))
                    if rank is not None:
                        ranks.setdefault(criterion.measure, []).append(rank)
            if (points := free_points(answered, family[item["index"]])) is not None:
                free.setdefault(item["index"], []).append(points)
    return Scored(cards, met, ranks, free, asked, empty)


def free_points(answered: Sequence[tuple[Criterion, int]], family: str) -> float | None:
    """Points of 100 by the criteria that neither a choice nor a law of the family imposes; None without any.

    >>> given = [(Criterion(1, "it flickers", -1, 1.0, "flicker"), 0), (Criterion(2, "mass", 1, 1.0, "mass"), 0)]
    >>> free_points([*given, (Criterion(3, "fast", 1, 1.0, "speed"), 1)], "dye")
    100.0
    """
    imposed = (*CHOSEN_BY, *IMPOSED.get(family, ()))
    free = [(one, answer) for one, answer in answered if one.measure not in imposed]
    most = sum((one.weight for one, _ in free if one.sign > 0), 0.0)
    return normalised(sum((one.sign * one.weight * answer for one, answer in free), 0.0), most) if most > 0 else None


def ranks_of(evaluation: Mapping[str, Any] | None, count: int) -> list[float | None]:
    """Percentile of each criterion's reading, ``None`` where there is none."""
    return list(parsed(evaluation).get("ranks") or [None] * count)


def parsed(evaluation: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a judge's reply holds, nothing where there is none."""
    return (evaluation or {}).get("parsed_result") or {}


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
        scores.append(
            [arm, *columns, *map(mean_interval, by_level), scored.coverage, scored.nothing, str(len(average))]
        )
    names = list(dict.fromkeys(name for scored in found.values() for name in scored.met))
    return [
        Table("Micro task set, judged by instruments", ["", *COLUMNS, *LEVELS, "coverage", "empty", "tasks"], scores),
        Table(
            "Paired differences over tasks",
            ["", *COLUMNS],
            [[f"{a} − {b}", *(difference(found[a], found[b], name) for name in COLUMNS)] for a, b in PAIRS],
        ),
        *(_by_family(found, tasks, name, title) for name, title in (("average", "all criteria"), (FREE, FREE))),
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
            percentile_title([float(np.mean(values)) for values in found[SIMULATOR].ranks.values()]),
            ["instrument", *ARMS],
            [[name, *(float(np.mean(found[arm].ranks.get(name, [np.nan]))) for arm in ARMS)] for name in names],
        ),
    ]


def _by_family(found: Mapping[str, Scored], tasks: Sequence[Task], name: str, title: str) -> Table:
    families: dict[str, list[int]] = {}
    for task in tasks:
        if subject := subject_of(task.task):
            families.setdefault(subject.family, []).append(task.index)
    scores = {arm: found[arm].per_task(name) for arm in ARMS}
    rows: list[list[Cell]] = [
        [arm, *(float(np.nanmean([scores[arm].get(i, np.nan) for i in indices])) for indices in families.values())]
        for arm in ARMS
    ]
    return Table(f"By family, {title}", ["", *(f"{name} ({len(indices)})" for name, indices in families.items())], rows)


def record(found: Mapping[str, Scored]) -> dict[str, Any]:
    """Everything as JSON."""
    return {
        arm: {
            **{name: asdict(mean_interval(np.array([*s.per_task(name).values()]))) for name in COLUMNS},
            "coverage": s.coverage,
            "per_task": s.per_task("average"),
            "free_per_task": s.per_task(FREE),
            "met": {name: {"share": float(np.mean(v)), "n": len(v)} for name, v in s.met.items()},
            "empty": {"share": s.nothing, "n": len(s.empty)} if s.empty else {},
            "rank": {name: float(np.mean(v)) for name, v in s.ranks.items()},
        }
        for arm, s in found.items()
    } | {
        "differences": {
            f"{a} - {b}": {name: asdict(difference(found[a], found[b], name)) for name in COLUMNS} for a, b in PAIRS
        }
    }
