"""A judge that measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite
from physgen.errors import InvalidArgument
from physgen.experiments.instruments.examine import Reading, examine, moves, shows
from physgen.experiments.instruments.registry import ATTRIBUTES, CONTENT, MOTION
from physgen.experiments.instruments.rules import instruments_for
from physgen.experiments.microworldbench.judges.base import Judge, Reply, Unanswered
from physgen.experiments.microworldbench.judges.question import Question
from physgen.experiments.microworldbench.tasks.data import Criterion
from physgen.video import read_video

#: questions about one video follow each other
KEPT = 4


@dataclass(frozen=True)
class Examined:
    """Readings of a video, whether it shows anything, and whether anything moves."""

    readings: Mapping[str, Reading]
    seen: bool = True
    moves: bool = True

    @classmethod
    def of(cls, video: Float[Tensor, "T 3 H W"], prompt: str) -> Examined:
        """By every instrument that applies, see `examine`."""
        return cls(examine(video, prompt), shows(video, prompt), moves(video, prompt))


class InstrumentJudge(Judge):
    """Answers the criteria that instruments can measure, from every frame of the video, and abstains on the rest.

    A criterion that names its instrument (``m1`` … in the rubric) is answered by it: a fault is there where p < alpha,
    and a merit is met where it is not. A video that shows nothing meets no merit of its content, nor of what the prompt
    names; one in which nothing moves meets none of its motion. Of other criteria see `instruments_for`. What is not
    answered is ``None``, which is unscored. Beside the answers stand ``ranks``, percentiles among videos without a
    fault (`Reading.rank`), and whether anything is ``seen`` and ``moves``.

    Args:
        alpha: share of videos without a fault that each criterion may fail.

    Raises:
        InvalidArgument: alpha outside (0, 1).
    """

    def __init__(self, alpha: float = 0.01) -> None:
        self.alpha = finite("alpha", alpha, "a number between 0 and 1", lambda value: 0 < value < 1)
        self._examine = lru_cache(KEPT)(_examine)

    def __call__(self, question: Question) -> Reply:
        if question.video is None:
            raise Unanswered("no video to measure")
        found = self._examine(question.video, question.task.task)
        readings = found.readings
        answers = [self.answer(criterion, found) for criterion in question.criteria]
        reasons = [_reason(c, a, readings) for c, a in zip(question.criteria, answers, strict=True)]
        ranks = [readings[c.measure].rank if c.measure in readings else None for c in question.criteria]
        about = {"seen": found.seen, "moves": found.moves, "reasoning": "; ".join(reasons)}
        return Reply("", {"scores": answers, "ranks": ranks, **about})

    def answer(self, criterion: Criterion, examined: Examined) -> int | None:
        """1 or 0, or ``None`` where no instrument can tell.

        >>> flickers = Criterion(1, "It flickers", -1, 1.0, "flicker")
        >>> InstrumentJudge().answer(flickers, Examined({"flicker": Reading(0.3, 0.005, 200)}))
        1
        >>> InstrumentJudge().answer(flickers, Examined({})) is None
        True
        >>> InstrumentJudge().answer(Criterion(1, "Mass is conserved", 1, 1.0, "mass"), Examined({}, seen=False))
        0
        """
        readings = examined.readings
        if criterion.measure:
            absent = not examined.seen and criterion.measure in CONTENT | ATTRIBUTES
            still = not examined.moves and criterion.measure in MOTION
            if criterion.sign > 0 and (absent or still):
                return 0
            found = readings.get(criterion.measure)
            return None if found is None else int((found.p_value < self.alpha) == (criterion.sign < 0))
        faults = [readings[name].p_value < self.alpha for name in instruments_for(criterion) if name in readings]
        return int(criterion.sign < 0) if any(faults) else None


def _examine(path: Path, prompt: str) -> Examined:
    try:
        frames = read_video(path).frames
    except (OSError, ValueError) as error:
        raise Unanswered(str(error)) from error
    if len(frames) < 2:
        raise Unanswered(str(InvalidArgument("video", str(path), "at least 2 frames")))
    if not bool(frames.isfinite().all()):
        raise Unanswered(str(InvalidArgument("video", f"{path}, NaN or Inf", "finite pixels")))
    return Examined.of(frames, prompt)


def _reason(criterion: Criterion, answer: int | None, readings: Mapping[str, Reading]) -> str:
    names = (criterion.measure,) if criterion.measure else instruments_for(criterion)
    said = ", ".join(f"{n} {readings[n].statistic:.3g} (p = {readings[n].p_value:.3f})" for n in names if n in readings)
    return f"{criterion.number}: {said or 'not measured'} → {'unscored' if answer is None else answer}"
