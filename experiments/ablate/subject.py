"""What a run is about: the prompt, how its video is read, the laws that are imposed and those that are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from physgen.constraints import Constraint
from physgen.drawn import Request
from physgen.errors import InvalidArgument
from physgen.experiments.ablate.options import SOURCES, AblateConfig
from physgen.experiments.cli.config import one_of
from physgen.experiments.cli.target import build
from physgen.experiments.content.asked import Asked, asked_of
from physgen.experiments.content.rewards import names_of, rewards_of
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.micro.cases import Case
from physgen.grid import Grid
from physgen.guidance import OfVideo
from physgen.observables import Observable
from physgen.simulators import GRAMMARS
from physgen.simulators.gray_scott import PATTERNS


@dataclass(frozen=True)
class Subject:
    """A prompt and its physics; ``imposed`` laws by the names of ``conf/constraint``, and ``rewards`` to choose by."""

    prompt: Prompt
    grid: Grid
    observable: Observable
    imposed: dict[str, Constraint]
    laws: tuple[str, ...]
    asked: Asked
    rewards: Mapping[str, OfVideo]

    @classmethod
    def of(cls, options: AblateConfig) -> Subject:
        """What the options ask for.

        Raises: InvalidArgument for an unknown family or source, neither family nor prompt, or as `Request` and
            `rewards_of`.
        """
        if options.source not in SOURCES:
            raise one_of("source", options.source, SOURCES)
        prompt = asked(options)
        spec, caption = options.world, prompt.caption
        asks = asked_of(caption, spec)
        imposed = {name: build(Constraint, known(spec_, prompt)) for name, spec_ in options.constraint.items()}
        return cls(
            prompt,
            spec.grid(caption),
            spec.observable(caption),
            imposed,
            tuple(spec.families[spec.family(caption)].laws),
            asks,
            rewards_of(names_of(options.rewards), asks).rewards,
        )

    @cached_property
    def measured(self) -> dict[str, Constraint]:
        """The laws of the family as ``conf/constraint`` has them, and those imposed as they were imposed."""
        own = {name: Case(name, self.prompt).constraint() for name in self.laws if name not in self.imposed}
        return own | self.imposed


def asked(options: AblateConfig) -> Prompt:
    """The prompt given, or the family's for this seed: another one for each seed, the same in every arm."""
    if options.prompt is None and options.family is None:
        raise InvalidArgument("family", None, f"with prompt=null one of {', '.join(GRAMMARS)}")
    text = options.family if options.prompt is None else options.prompt
    Request(str(text), options.seed, options.steps, options.guidance_scale)
    if options.prompt is not None:
        family = options.world.family(options.prompt)
        return Prompt(family, options.seed, {}, options.prompt, options.seed)
    if options.family not in GRAMMARS:
        raise one_of("family", options.family, GRAMMARS)
    return prompts(options.family, options.seed + 1, "held_out", 0)[options.seed]


def known(spec: dict[str, Any], prompt: Prompt) -> dict[str, Any]:
    """A law with the constants that the prompt's words state: those of a Gray-Scott pattern."""
    if spec.get("system") == "gray_scott" and "pattern" in prompt.attributes:
        feed, kill = PATTERNS[prompt.attributes["pattern"]]
        return spec | {"parameters": {"F": feed, "k": kill}}
    return spec
