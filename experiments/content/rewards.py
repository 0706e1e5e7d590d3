"""Rewards by name: chosen for a prompt, read of a video, and disjoint or not from those that score."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.content.asked import Asked
from physgen.experiments.content.estimators import LAWS, REWARDS
from physgen.guidance import OfVideo

#: what chooses the rewards by the prompt
AUTO = "auto"


@dataclass(frozen=True)
class Chosen:
    """Rewards by name, ready to be given to a guidance, and what was left out and why."""

    rewards: dict[str, OfVideo]
    notes: tuple[str, ...] = ()


def names_of(given: Any) -> list[str]:
    """What ``rewards=`` names: a list of rewards, a single one, or none.

    Raises:
        InvalidArgument: something else than text, or an unknown name.

    >>> names_of("count"), names_of(["count", "directoin"])
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: rewards='directoin': allowed: ... (did you mean 'direction'?)
    """
    names = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(names, Sequence):
        raise InvalidArgument("rewards", given, "a list such as [count,direction], or auto")
    for name in names:
        if name not in REWARDS and name != AUTO:
            raise one_of("rewards", name, [*REWARDS, AUTO])
    return list(names)


def rewards_of(names: Sequence[str], asked: Asked) -> Chosen:
    """The rewards of these names for a prompt. Those that it has no reading for are left out, and named in the notes.

    ``auto`` stands for the first reward of each content but ``attributes`` that the prompt has a reading for.

    Raises:
        InvalidArgument: an unknown name, one that is there twice, or none that the prompt has a reading for.

    >>> still = Asked(None, (2, 2), None)
    >>> rewards_of(["count", "direction"], still).notes
    ('rewards: direction is left out, the prompt says nothing that it reads',)
    >>> rewards_of(["direction"], still)
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: rewards='direction': allowed: of this prompt count, count_by_components
    """
    if len(set(names)) < len(names) or (AUTO in names and len(names) > 1):
        raise InvalidArgument("rewards", ", ".join(names), f"each name once, or {AUTO} alone")
    automatic = list(names) == [AUTO]
    wanted = _firsts(asked) if automatic else names_of(names)
    usable = [name for name in wanted if REWARDS[name].applies(asked)]
    if names and not usable:
        could = ", ".join(name for name, one in REWARDS.items() if one.applies(asked))
        allowed = f"of this prompt {could}" if could else "none: this prompt names no content that a reward reads"
        raise InvalidArgument("rewards", ", ".join(names), allowed)
    notes = [
        f"rewards: {name} is left out, the prompt says nothing that it reads" for name in wanted if name not in usable
    ]
    return Chosen({name: as_reward(name, asked) for name in usable}, () if automatic else tuple(notes))


def as_reward(name: str, asked: Asked) -> OfVideo:
    """The reward of a name, for the videos of one prompt; with its derivative where it has one."""
    one = REWARDS[name]
    if soft := one.soft:
        return OfVideo(lambda video: soft(video, asked), name, one.uses)

    def read(video: Float[Tensor, "B 3 T H W"]) -> Tensor:
        values = [one.read(asked.clip(each), asked) for each in video]
        return torch.tensor(values, dtype=torch.float64)

    return OfVideo(read, name, one.uses, differentiable=False)


def shared(selecting: Iterable[str], scoring: str, laws: Iterable[Constraint] = ()) -> tuple[str, ...]:
    """Estimators that a score shares with the rewards that chose the video or its laws: with any, it is imposed.

    >>> shared(["count", "direction"], "direction_by_tracks"), shared(["count"], "count_by_judge")
    (('peaks',), ())
    """
    used = {part for name in selecting for part in REWARDS[name].uses}
    used |= {part for law in laws for part in LAWS.get(type(law), ())}
    return tuple(part for part in REWARDS[scoring].uses if part in used)


def scores(video: Float[Tensor, "3 T H W"], asked: Asked, names: Iterable[str]) -> dict[str, float]:
    """What estimators read of a finished video, of those that the prompt has a reading for."""
    clip = asked.clip(video.clamp(0.0, 1.0))
    return {name: REWARDS[name].read(clip, asked) for name in names if REWARDS[name].applies(asked)}


def is_right(name: str, value: float) -> bool | None:
    """Whether a reading is right; None where no limit says so.

    >>> is_right("count", -1.0), is_right("direction", 0.9), is_right("permanence", 0.0)
    (False, True, None)
    """
    limit = REWARDS[name].right
    return None if limit is None else value >= limit


def readings_of(
    video: Float[Tensor, "3 T H W"],
    asked: Asked,
    names: Sequence[str],
    chosen_by: Sequence[str],
    laws: Collection[Constraint],
) -> dict[str, dict[str, float | bool | None]]:
    """Of a finished video every reading of the content that rewards are about.

    Its value, whether it is right, and whether it is imposed: it shares an estimator with the rewards that chose it, or
    with a law that was imposed on it.
    """
    contents = {REWARDS[name].content for name in names}
    found = scores(video, asked, [name for name, one in REWARDS.items() if one.content in contents])
    return {
        name: {"value": value, "right": is_right(name, value), "imposed": bool(shared(chosen_by, name, laws))}
        for name, value in found.items()
    }


def describe(readings: Mapping[str, Mapping[str, float | bool | None]]) -> str:
    """Readings in one line.

    >>> describe({"count": {"value": -1.0, "right": False, "imposed": True}})
    'content: count -1, wrong (imposed)'
    """
    parts = []
    for name, one in readings.items():
        verdict = {True: ", right", False: ", wrong", None: ""}[one["right"]]  # type: ignore[index]
        parts.append(f"{name} {one['value']:.3g}{verdict}{' (imposed)' if one['imposed'] else ''}")
    return f"content: {'; '.join(parts)}"


def show() -> None:
    """Print every reward, what it reads and what it measures with."""
    print(f"{'reward':<26} {'content':<12} {'measures with':<20} {'derivative':<11} what more of it means")
    for name, one in REWARDS.items():
        meaning = " ".join((one.read.__doc__ or "").split("\n\n")[0].split())
        print(f"{name:<26} {one.content:<12} {', '.join(one.uses):<20} {'yes' if one.soft else 'no':<11} {meaning}")


def _firsts(asked: Asked) -> list[str]:
    first: dict[str, str] = {}
    for name, one in REWARDS.items():
        if one.applies(asked):
            first.setdefault(one.content, name)
    return [name for content, name in first.items() if content != "attributes"]
