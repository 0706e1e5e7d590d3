"""The protocol of judges, and those that need no video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.judges.question import Question
from physgen.experiments.microworldbench.scoring.results import read_results


class Unanswered(Exception):
    """A question that got no reply; it stays open and is asked again by the next run."""


@dataclass(frozen=True)
class Reply:
    """What a judge said, what was understood of it, the tokens it took, and what went wrong on the way.

    ``judge`` is the version that the server names.
    """

    raw: str
    parsed: Any
    prompt_tokens: int = 0
    completion_tokens: int = 0
    notes: tuple[str, ...] = ()
    judge: str = ""

    @property
    def evaluation(self) -> dict[str, Any]:
        """The entry of a result file."""
        return {"raw_response": self.raw, "parsed_result": self.parsed}


class Judge(ABC):
    """Answers questions; ``sees`` says whether it needs frames, ``concurrency`` how many it takes at once.

    ``price_input`` and ``price_output`` are those of a million tokens read and written, where they are known.
    """

    sees: ClassVar[bool] = False
    concurrency: int = 1
    price_input: float | int | None = None
    price_output: float | int | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Price of so many tokens, in the currency of the prices; ``None`` where a price is not known.

        >>> PerfectJudge().cost(10, 10) is None
        True
        """
        if self.price_input is None or self.price_output is None:
            return None
        return (self.price_input * prompt_tokens + self.price_output * completion_tokens) / 1e6

    @abstractmethod
    def __call__(self, question: Question) -> Reply:
        """Answer, or raise `Unanswered`."""


@dataclass(frozen=True)
class PerfectJudge(Judge):
    """Meets every merit and finds no fault: the upper reference row."""

    def __call__(self, question: Question) -> Reply:
        return Reply("", {"scores": [int(criterion.sign > 0) for criterion in question.criteria]})


@dataclass(frozen=True)
class RandomJudge(Judge):
    """Flips a coin for every criterion, the same one for the same question and seed: the lower reference row."""

    seed: int = 0

    def __call__(self, question: Question) -> Reply:
        name = [self.seed, question.repeat, question.task.index, *question.dimension.encode()]
        answers = np.random.default_rng(name).integers(2, size=len(question.criteria))
        return Reply("", {"scores": answers.tolist()})


class ReplayJudge(Judge):
    """Gives the answers that a result file holds, unscored ones included.

    Raises: InvalidArgument for what is no file with results.
    """

    def __init__(self, source: str) -> None:
        found = read_results(source, salvage=True)[0] if Path(source).is_file() else []
        items = [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
        self._items = {item["index"]: item for item in items if type(item.get("index")) is int}
        if not self._items:
            raise InvalidArgument("judge.source", source, "a MODEL_result.json with a result in it")

    def __call__(self, question: Question) -> Reply:
        evaluation = self._items.get(question.task.index, {}).get(f"{question.dimension}_eval")
        if not isinstance(evaluation, Mapping):
            raise Unanswered("not recorded")
        return Reply(str(evaluation.get("raw_response", "")), evaluation.get("parsed_result"))
