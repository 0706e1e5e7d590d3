"""What is asked of the embedded world's content: a family, and what of it is chosen by and scored."""

from __future__ import annotations

from collections.abc import Mapping

from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.rewards import REWARDS, shared
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.worlds import WorldSpec

#: question -> family of prompts and content
QUESTIONS: Mapping[str, tuple[str, str]] = {
    "blood.direction": ("blood", "direction"),
    "blood.count": ("blood", "count"),
    "growth.count": ("growth", "count"),
    "dye.count": ("dye", "count"),
    "mitosis.phases": ("mitosis", "phases"),
    "gray_scott.pattern": ("gray_scott", "pattern"),
}


def estimators(question: str) -> list[str]:
    """Rewards that read the content of a question; particles compete by the first.

    >>> estimators("growth.count")
    ['count', 'count_by_components', 'count_by_judge']
    """
    return [name for name, one in REWARDS.items() if one.content == QUESTIONS[question][1]]


def scorers(question: str, reward: str) -> list[str]:
    """Estimators of the same content that share nothing with the reward.

    >>> scorers("growth.count", "count")
    ['count_by_components', 'count_by_judge']
    """
    return [name for name in estimators(question) if not shared([reward], name)]


def prompts_of(question: str, n: int, seed: int, spec: WorldSpec) -> list[Prompt]:
    """`n` held-out prompts of the family that ask for such content.

    >>> from physgen.worlds import world_spec
    >>> [p.attributes["kind"] for p in prompts_of("growth.count", 2, 0, world_spec("micro"))]
    ['colony', 'colony']
    """
    family, _ = QUESTIONS[question]
    first = REWARDS[estimators(question)[0]]
    kinds = 2  # at most, of a family, in turn
    asked = prompts(family, kinds * n, "held_out", seed)
    return [prompt for prompt in asked if first.applies(asked_of(prompt.caption, spec))][:n]
