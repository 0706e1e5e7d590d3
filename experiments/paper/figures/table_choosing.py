"""Choosing by content, one content at a time: what arms of equal cost have right, by estimators that did not choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from physgen.drawn import UNGUIDED
from physgen.experiments.content.arms import CANDIDATES
from physgen.experiments.measure.distances import Array, mean_interval
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro/content.json"
MORE, TWO, FEW, BEST, PARTICLES = (
    "steps x2",
    "best of 2",
    "pruned best of 4 (1 left at 0.2)",
    "best of 4",
    "particles, 4",
)
ARMS = {
    UNGUIDED: "unguided",
    MORE: "twice the steps",
    TWO: "best of 2",
    FEW: "pruned",
    BEST: "best of 4",
    PARTICLES: "particles",
}
#: paired differences of arms, of which the last is of equal cost
DIFFERENCES = ((MORE, UNGUIDED), (BEST, UNGUIDED), (FEW, TWO), (PARTICLES, BEST))
SHOWN = ((BEST, UNGUIDED), (PARTICLES, BEST))
LABELS = {
    "blood.direction": "blood: direction",
    "growth.count": "colonies: count",
    "gray_scott.pattern": "patterns: kind",
    "vessel.direction": "vessels: direction",
    "beads.count": "beads: count",
}
SCORERS = {"tracks": "tracks", "components": "connected pixels", "judge": "classifier"}
COLUMNS = (
    "content",
    "scored by",
    *ARMS.values(),
    *(f"{ARMS[first]} − {ARMS[second]}" for first, second in SHOWN),
)


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a content and scorer; videos are chosen by the first estimator of the content."""
    data = store.documented("micro/content")
    numbers = {"n": Number(data["n"], (SOURCE,)), "particles": Number(CANDIDATES, (SOURCE,))}
    rows: list[tuple[str, ...]] = []
    for question, label in LABELS.items():
        names = list(records_of(data, question, UNGUIDED, None)["right"])
        for reward in names:
            numbers |= chosen(data, question, reward)
        numbers |= early(data, question, names[0])
        for scorer in names[1:]:
            key = f"{question}.{names[0]}.{scorer}"
            shares = [written(round(numbers[f"{key}.{arm}"].value, 2)) for arm in ARMS]
            gains = [numbers[f"{key}.{first} - {second}"].text for first, second in SHOWN]
            rows.append((label, SCORERS[scorer.rpartition("_by_")[2]], *shares, *gains))
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def chosen(data: dict[str, Any], question: str, reward: str) -> dict[str, Number]:
    """Shares right and their paired differences where a reward chooses, by every estimator of the content."""
    found: dict[str, Number] = {}
    records = {arm: records_of(data, question, arm, reward) for arm in ARMS}
    made = {arm: record for arm, record in records.items() if record}
    for scorer in made[UNGUIDED]["right"]:
        key = f"{question}.{reward}.{scorer}"
        right = {arm: bits(record["right"][scorer]) for arm, record in made.items()}
        found |= {
            f"{key}.{arm}": Number(float(is_right.mean()), (SOURCE,), data["n"]) for arm, is_right in right.items()
        }
        for first, second in DIFFERENCES:
            if first in right:
                difference = mean_interval(right[first] - right[second])
                found[f"{key}.{first} - {second}"] = Number.of(difference, (SOURCE,), data["n"])
    for arm, record in made.items():
        empty, cost = record["degenerate"].count("1"), record["evaluations"] / made[UNGUIDED]["evaluations"]
        found[f"{question}.{reward}.{arm}.degenerate"] = Number(empty, (SOURCE,), data["n"])
        found[f"{question}.{arm}.evaluations"] = Number(cost, (SOURCE,), data["n"])
    return found


def early(data: dict[str, Any], question: str, reward: str) -> dict[str, Number]:
    """How often estimates in the middle of the steps know the best of the candidates."""
    (row,) = [one for one in data["early"] if (one["question"], one["reward"]) == (question, reward)]
    return {
        f"{question}.early.{name}": Number(value, (SOURCE,), data["n"])
        for name, value in row.items()
        if isinstance(value, float)
    }


def records_of(data: dict[str, Any], question: str, arm: str, reward: str | None) -> dict[str, Any]:
    """The record of an arm, of which ``reward`` chooses if anything does; empty where there is none."""
    wanted = {(question, arm, reward), (question, arm, None)}
    return next((one for one in data["records"] if (one["question"], one["arm"], one["reward"]) in wanted), {})


def bits(digits: str) -> Array:
    """Zeros and ones ``[N]`` of as many digits.

    >>> bits("101").tolist()
    [1.0, 0.0, 1.0]
    """
    return np.array(list(digits), float)
