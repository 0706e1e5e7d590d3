"""Choosing by content, one content at a time: what arms of equal cost have right, by estimators that did not choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from physgen.drawn import UNGUIDED
from physgen.errors import InvalidArgument
from physgen.experiments.measure.intervals import Array, bootstrap, mean_interval
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro/content.json"
MORE, TWO, BEST, PARTICLES = "steps x2", "best of 2", "best of 4", "particles, 4"
FEW, HALF = "pruned best of 4 (1 left at 0.2)", "pruned best of 2 (1 left at 0.5)"
ARMS = {
    UNGUIDED: "unguided",
    MORE: "twice the steps",
    TWO: "best of 2",
    FEW: "pruned",
    BEST: "best of 4",
    PARTICLES: "particles",
}
#: paired differences, the first less the second
DIFFERENCES = ((MORE, UNGUIDED), (BEST, UNGUIDED), (FEW, TWO), (HALF, UNGUIDED), (PARTICLES, BEST))
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


@dataclass(frozen=True)
class Question:
    """A content that was asked for: a record of every arm and of what chose in it, and the caption of each video."""

    name: str
    records: Mapping[tuple[str, str | None], dict[str, Any]]
    captions: list[str]

    @classmethod
    def of(cls, data: Mapping[str, Any], name: str) -> Question:
        """Raises: InvalidArgument for a file without it."""
        records = {(one["arm"], one["reward"]): one for one in data["records"] if one["question"] == name}
        if (UNGUIDED, None) not in records:
            raise InvalidArgument("results", SOURCE, f"results with the question {name}")
        return cls(name, records, data["captions"][name])

    @property
    def estimators(self) -> list[str]:
        """Of this content; particles compete by the first."""
        return list(self.records[UNGUIDED, None]["right"])

    def arms(self, reward: str) -> dict[str, dict[str, Any]]:
        """Records of arms that are chosen by a reward, or by nothing."""
        return {arm: one for (arm, by), one in self.records.items() if by in (reward, None)}

    def number(self, value: float | int) -> Number:
        """A figure of all videos."""
        return Number(value, (SOURCE,), len(self.captions))

    def chosen(self, reward: str) -> dict[str, Number]:
        """Shares right and their paired differences where a reward chooses, by every estimator of the content."""
        found: dict[str, Number] = {}
        made, unguided = self.arms(reward), self.records[UNGUIDED, None]["evaluations"]
        for arm, record in made.items():
            found[f"{self.name}.{reward}.{arm}.degenerate"] = self.number(len(record["degenerate"]))
            found[f"{self.name}.{arm}.evaluations"] = self.number(record["evaluations"] / unguided)
            found[f"{self.name}.{arm}.decodes"] = self.number(record["decodes"])
        for scorer in self.estimators:
            key, right = f"{self.name}.{reward}.{scorer}", {arm: bits(made[arm]["right"][scorer]) for arm in made}
            found |= {f"{key}.{arm}": self.number(float(one.mean())) for arm, one in right.items()}
            for first, second in DIFFERENCES:
                if first in right:
                    gain = right[first] - right[second]
                    found[f"{key}.{first} - {second}"] = Number.of(mean_interval(gain), (SOURCE,), len(gain))
                    found[f"{key}.{first} - {second}.by caption"] = self.by_caption(gain)
        return found

    def by_caption(self, values: Array) -> Number:
        """A mean with the interval that resampling whole captions gives: draws of one caption are not independent."""
        names = np.array(self.captions)
        groups = [np.flatnonzero(names == name) for name in dict.fromkeys(self.captions)]
        interval = bootstrap(
            lambda rows: float(values[np.concatenate([groups[row] for row in rows])].mean()), len(groups)
        )
        return Number.of(interval, (SOURCE,), len(groups))

    def none_right(self) -> dict[str, Number]:
        """Videos without a candidate that is right by the estimator that chooses; those right there, and elsewhere."""
        reward, *scorers = self.estimators
        made = self.arms(reward)
        none = bits(made[BEST]["right"][reward]) == 0
        found = {f"{self.name}.none": self.number(int(none.sum()))}
        for scorer in (reward, *scorers):
            for arm in (BEST, PARTICLES):
                right = bits(made[arm]["right"][scorer])
                found[f"{self.name}.none.{scorer}.{arm}"] = self.number(int(right[none].sum()))
                found[f"{self.name}.some.{scorer}.{arm}"] = self.number(int(right[~none].sum()))
        return found

    def about(self, word: str) -> dict[str, Number]:
        """Videos whose captions have a word, and those of arms right by each estimator."""
        reward = self.estimators[0]
        named = np.array([word in caption.split() for caption in self.captions])
        found = {f"{self.name}.{word}": self.number(int(named.sum()))}
        for scorer in self.estimators:
            for arm in (UNGUIDED, BEST, PARTICLES):
                right = bits(self.arms(reward)[arm]["right"][scorer])
                found[f"{self.name}.{word}.{scorer}.{arm}"] = self.number(int(right[named].sum()))
                found[f"{self.name}.not {word}.{scorer}.{arm}"] = self.number(float(right[~named].mean()))
        return found


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a content and scorer; videos are chosen by the first estimator of the content."""
    data = store.documented("micro/content")
    numbers = {"n": Number(data["n"], (SOURCE,)), "particles": Number(int(PARTICLES.rpartition(" ")[2]), (SOURCE,))}
    rows: list[tuple[str, ...]] = []
    for name, label in LABELS.items():
        question = Question.of(data, name)
        for reward in question.estimators:
            numbers |= question.chosen(reward)
        numbers |= early(data, name, question.estimators[0]) | question.none_right()
        numbers[f"{name}.captions"] = Number(len(set(question.captions)), (SOURCE,))
        for scorer in question.estimators[1:]:
            key = f"{name}.{question.estimators[0]}.{scorer}"
            shares = [written(round(numbers[f"{key}.{arm}"].value, 2)) for arm in ARMS]
            gains = [numbers[f"{key}.{first} - {second}"].text for first, second in SHOWN]
            rows.append((label, SCORERS[scorer.rpartition("_by_")[2]], *shares, *gains))
    numbers |= Question.of(data, "beads.count").about("eight")
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def early(data: dict[str, Any], question: str, reward: str) -> dict[str, Number]:
    """How often estimates in the middle of the steps know the best of the candidates."""
    (row,) = [one for one in data["early"] if (one["question"], one["reward"]) == (question, reward)]
    return {
        f"{question}.early.{name}": Number(value, (SOURCE,), data["n"])
        for name, value in row.items()
        if isinstance(value, float)
    }


def bits(digits: str) -> Array:
    """Zeros and ones ``[N]`` of as many digits.

    >>> bits("101").tolist()
    [1.0, 0.0, 1.0]
    """
    return np.array(list(digits), float)
