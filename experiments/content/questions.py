"""What is asked of the embedded world's content: a family, and what of it is chosen by and scored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.estimators import REWARDS
from physgen.experiments.content.rewards import shared
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.worlds import WorldSpec, world_spec

#: prompts that go round the held-out combinations of every family at least once
ROUND = 16
#: question -> family of prompts and content
QUESTIONS: Mapping[str, tuple[str, str]] = {
    "blood.direction": ("blood", "direction"),
    "blood.count": ("blood", "count"),
    "growth.count": ("growth", "count"),
    "dye.count": ("dye", "count"),
    "mitosis.phases": ("mitosis", "phases"),
    "gray_scott.pattern": ("gray_scott", "pattern"),
    "vessel.direction": ("vessel", "direction"),
    "vessel.count": ("vessel", "count"),
    "vessel.shape": ("vessel", "shape"),
    "vessel.speed": ("vessel", "speed"),
    "beads.count": ("beads", "count"),
    "beads.speed": ("beads", "speed"),
    "beads.brownian": ("beads", "brownian"),
    "sheet.orientation": ("sheet", "orientation"),
    "sheet.speed": ("sheet", "speed"),
    "sheet.strength": ("sheet", "strength"),
    "vesicles.count": ("vesicles", "count"),
    "vesicles.outcome": ("vesicles", "outcome"),
}


@cache
def estimators(question: str) -> tuple[str, ...]:
    """Rewards that read the content of a question in its family; particles compete by the first.

    >>> estimators("growth.count"), estimators("sheet.speed")
    (('count', 'count_by_components', 'count_by_judge'), ('speed', 'speed_by_flow', 'speed_by_judge'))
    """
    family, content = QUESTIONS[question]
    spec = world_spec("micro")
    captions = [asked_of(prompt.caption, spec) for prompt in prompts(family, ROUND, "held_out", 0)]
    return tuple(name for name, one in REWARDS.items() if one.content == content and any(map(one.applies, captions)))


def scorers(question: str, reward: str) -> list[str]:
    """Estimators of the same content that share nothing with the reward.

    >>> scorers("growth.count", "count")
    ['count_by_components', 'count_by_judge']
    """
    return [name for name in estimators(question) if not shared([reward], name)]


def prompts_of(question: str, n: int, seed: int, spec: WorldSpec) -> list[Prompt]:
    """`n` held-out prompts of the family that ask for such content, each of which every estimator can read.

    >>> from physgen.worlds import world_spec
    >>> [p.attributes["kind"] for p in prompts_of("growth.count", 2, 0, world_spec("micro"))]
    ['colony', 'colony']
    """
    family, _ = QUESTIONS[question]
    kinds = 2  # at most, of a family, in turn
    asked = prompts(family, kinds * n, "held_out", seed)
    applies = [REWARDS[name].applies for name in estimators(question)]
    return [p for p in asked if all(can(asked_of(p.caption, spec)) for can in applies)][:n]
