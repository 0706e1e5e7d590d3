"""How often rules are right about laws, by two readers, and how often these agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from physgen.experiments.draw.rules import Decision
from physgen.experiments.measure.intervals import Interval, share
from physgen.experiments.microworldbench.readers.labels import LAWS, Reader

#: the row of all laws together
ALL = "all laws"
PROGRESSIONS = {"grows": "progression_up", "shrinks": "progression_down"}


@dataclass(frozen=True)
class LawScore:
    """One law, or all of them, over the tasks that both readers have read.

    A pair of a task and a law is right where both readers say 1. What is unclear to a reader is not 1.

    Attributes:
        fires: pairs that the rules have.
        right, half_right: share of them that both readers, or at least one, say 1 to, with Wilson's 95 % interval.
        labelled: pairs that both readers say 1 to.
        found: share of those that the rules have.
        kappa: agreement of the readers beyond chance, see `cohen_kappa`.
    """

    law: str
    fires: int
    right: Interval
    half_right: Interval
    labelled: int
    found: Interval
    kappa: float


@dataclass(frozen=True)
class Pair:
    """A task and a law, what each reader says, and whether the rules have it."""

    task: int
    law: str
    said: tuple[int | None, int | None]
    fires: bool

    @property
    def both(self) -> bool:
        """Whether both readers say 1."""
        return self.said == (1, 1)


def laws_of(decision: Decision) -> set[str]:
    """Laws of a decision as readers name them.

    >>> from physgen.experiments.draw.rules import decide
    >>> laws_of(decide("A thrombus gradually forms"))
    {'progression_up'}
    """
    named = {
        PROGRESSIONS[entry["direction"]] if name == "progression" else name
        for name, entry in decision.constraint.items()
    }
    return named & {*LAWS}


def pairs_of(readers: tuple[Reader, Reader], decisions: Mapping[int, Decision]) -> list[Pair]:
    """Every task that was read with every law."""
    first, second = (reader.labels for reader in readers)
    return [
        Pair(task, law, (first[task][law], second[task][law]), law in laws_of(decisions[task]))
        for task in first
        for law in LAWS
    ]


def score_pairs(pairs: Sequence[Pair]) -> list[LawScore]:
    """Law by law, and all laws together in the last row.

    >>> pairs = [Pair(1, "count", (1, 1), True), Pair(2, "count", (1, 0), True), Pair(3, "count", (None, 0), False)]
    >>> score = score_pairs(pairs)[-1]
    >>> score.law, score.fires, score.right.estimate, score.half_right.estimate, score.labelled, score.found.estimate
    ('all laws', 2, 0.5, 1.0, 1, 1.0)
    """
    by_law = {law: [pair for pair in pairs if pair.law == law] for law in LAWS}
    return [_score(law, of_law) for law, of_law in {**by_law, ALL: list(pairs)}.items()]


def _score(law: str, pairs: Sequence[Pair]) -> LawScore:
    fired = [pair for pair in pairs if pair.fires]
    labelled = [pair for pair in pairs if pair.both]
    return LawScore(
        law,
        len(fired),
        share(sum(pair.both for pair in fired), len(fired)),
        share(sum(1 in pair.said for pair in fired), len(fired)),
        len(labelled),
        share(sum(pair.fires for pair in labelled), len(labelled)),
        cohen_kappa([(pair.said[0] == 1, pair.said[1] == 1) for pair in pairs]),
    )


def cohen_kappa(answers: Sequence[tuple[bool, bool]]) -> float:
    """Agreement of two readers beyond chance; NaN where there is none to be had, both saying the same to everything.

    (p - p_e) / (1 - p_e), p the share of equal answers, p_e that of two independent readers with the same shares.

    Source: Cohen (1960), Educational and Psychological Measurement 20:37.

    >>> round(cohen_kappa([(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15), 2)
    0.4
    """
    if not answers:
        return math.nan
    first, second = (sum(answer[k] for answer in answers) / len(answers) for k in (0, 1))
    chance = first * second + (1 - first) * (1 - second)
    equal = sum(a == b for a, b in answers) / len(answers)
    return (equal - chance) / (1 - chance) if chance < 1 else math.nan
