"""Options of `physgen align`; values and meanings are in ``conf/align.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from physgen.arguments import finite, whole
from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.experiments.align.asked import held_out, leaked, training
from physgen.experiments.align.select import check_select, domain_of, scoring
from physgen.experiments.cli.target import build
from physgen.experiments.draw.physics import check_fields
from physgen.experiments.train.loop import Schedule
from physgen.simulators import GRAMMARS
from physgen.simulators.base import FRAMES, SIZE
from physgen.worlds import WorldSpec, world_names, world_spec

#: what a LoRA is trained on: accepted samples projected; simulator videos of the same prompts; as many samples without
#: selection; accepted samples as they are; pairs of both, of which the projected one is preferred
ARMS = ALIGNED, DATA, RANDOM, SELECTED, PREFERENCE = ("aligned", "data", "random", "selected", "preference")


@dataclass
class Lora:
    """A LoRA on attention and feed-forward layers, and how it is trained; ``beta`` is that of `preference_loss`."""

    rank: int
    batch: int
    drop_prompt: float
    beta: float
    schedule: Schedule


@dataclass
class AlignConfig:
    """Options of `physgen align`, see ``conf/align.yaml``."""

    world: WorldSpec
    constraint: dict[str, Any]
    family: str | None
    prompts: str | None
    held_out: str | None
    select: list[str]
    alpha: float
    samples: int
    rounds: int
    arms: list[str]
    lora: Lora
    seeds: list[int]
    n: int
    best_of: int | None
    processes: int
    device: str
    plan: bool
    out: str | None

    def laws(self) -> dict[str, Constraint]:
        """What accepted samples are projected onto, by name."""
        return {name: build(Constraint, entry) for name, entry in self.constraint.items()}

    def check(self) -> None:
        """Refuse what cannot work, before anything is drawn.

        Raises: InvalidArgument.
        """
        if not is_wan(self.world):
            known = ", ".join(name for name in world_names() if name != "other" and is_wan(world_spec(name)))
            raise InvalidArgument("world", self.world.name, f"a text-to-video world of Wan's architecture: {known}")
        for name, least in {"samples": 1, "rounds": 1, "n": 8, "processes": 1}.items():
            whole(name, getattr(self, name), least)
        for name in ("rank", "batch"):
            whole(f"lora.{name}", getattr(self.lora, name))
        self.lora.schedule.check("lora.schedule")
        finite("lora.beta", self.lora.beta, "a finite number > 0", lambda value: value > 0)
        finite("lora.drop_prompt", self.lora.drop_prompt, "from 0 to below 1", lambda value: 0 <= value < 1)
        finite("alpha", self.alpha, "a number between 0 and 1", lambda value: 0 < value < 1)
        if self.best_of is not None:
            whole("best_of", self.best_of, 2)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InvalidArgument("seeds", self.seeds, "one or more different numbers, 0 or above")
        self._check_prompts()
        self._check_arms()
        self._check_laws()
        self._check_instruments()
        self._check_device()

    def _check_prompts(self) -> None:
        if (self.family is None) == (self.prompts is None) or (self.prompts is None) != (self.held_out is None):
            got = f"family={self.family} prompts={self.prompts} held_out={self.held_out}"
            raise InvalidArgument("prompts", got, "a family, or family=null with the files prompts= and held_out=")
        if self.family is not None and self.family not in GRAMMARS.keys() & self.world.families.keys():
            known = ", ".join(name for name in GRAMMARS if name in self.world.families)
            raise InvalidArgument("family", self.family, known or "null, with prompts= and held_out= from files")
        if self.family is None and (both := leaked(self)):
            raise InvalidArgument("held_out", both[0], "prompts that are not in prompts= as well")

    def _check_arms(self) -> None:
        if not set(self.arms) <= set(ARMS) or len(set(self.arms)) < len(self.arms) or ALIGNED not in self.arms:
            raise InvalidArgument("arms", self.arms, f"{ALIGNED}, and any of {', '.join(ARMS[1:])}, each once")
        if DATA in self.arms and self.family is None:
            raise InvalidArgument("arms", self.arms, f"arms without {DATA}: no simulator makes videos of these prompts")

    def _check_laws(self) -> None:
        laws = self.laws()
        if not laws:
            raise InvalidArgument("constraint", "none", "one law or more, which accepted samples are projected onto")
        if without := [name for name, law in laws.items() if not law.projects]:
            raise InvalidArgument("constraint", without[0], "laws that have a projection")
        for prompt in training(self, 0, 1):
            drawn = self.world.families[prompt.family]
            if strange := [name for name in laws if drawn.laws and name not in drawn.laws]:
                allowed = f"laws of {prompt.family} videos in {self.world.name}: {', '.join(drawn.laws)}"
                raise InvalidArgument("constraint", strange[0], allowed)
        caption = training(self, 0, 1)[0].caption
        check_fields(laws.values(), self.world.observable(caption), self.world.grid(caption), self.world.num_frames)

    def _check_instruments(self) -> None:
        spec = self.world
        size = (spec.num_frames, spec.height, spec.width)
        if is_micro(spec):
            readable, allowed = size == (FRAMES, SIZE, SIZE), f"{FRAMES} frames of {SIZE} x {SIZE}"
        else:
            readable = spec.num_frames >= FRAMES and min(size[1:]) >= SIZE
            allowed = f"{FRAMES} frames of {SIZE} x {SIZE} or more"
        if not readable:
            got = f"{size[0]} frames of {size[1]} x {size[2]}"
            raise InvalidArgument("world", got, f"{allowed}: there is no instrument for other sizes")
        domains = dict.fromkeys(domain_of(spec, p.caption) for p in (*training(self, 0, 1), *held_out(self)))
        for domain in domains:
            check_select(domain, self.select)
            if not scoring(domain, self.select):
                raise InvalidArgument("select", self.select, f"fewer: none is left to score {domain} videos")

    def _check_device(self) -> None:
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise InvalidArgument("device", self.device, "cpu, or cuda with processes=1") from None
        if device.type == "cuda" and not self.plan and not torch.cuda.is_available():
            raise InvalidArgument("device", self.device, "cpu: there is no such device here")
        if device.type != "cpu" and self.processes > 1:
            raise InvalidArgument("processes", self.processes, f"1 with device={self.device}")


def is_micro(spec: WorldSpec) -> bool:
    """Whether a world is of the embedded one's class, whose captions instruments and judge know."""
    return spec.pipeline.endswith(".MicroPipeline")


def is_wan(spec: WorldSpec) -> bool:
    """Whether a world draws from text with one transformer of Wan's architecture."""
    return is_micro(spec) or (spec.pipeline == "diffusers.WanPipeline" and "transformer_2" not in spec.components)
