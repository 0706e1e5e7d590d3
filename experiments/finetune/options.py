"""Options of `physgen finetune`; values and meanings are in ``conf/finetune.yaml``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from physgen.arguments import finite
from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.experiments.cli.target import build
from physgen.experiments.draw.physics import check_fields
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.movies.cut import Cut
from physgen.experiments.train.loop import Schedule
from physgen.simulators import SIMULATORS
from physgen.training import ConstraintLoss, explained
from physgen.training.constraint_loss import MEASURES
from physgen.worlds import WorldSpec

#: weights of noise levels by name
WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {"explained": explained, "all": torch.ones_like}


@dataclass
class FinetuneConfig:
    """Options of `physgen finetune`, see ``conf/finetune.yaml``."""

    world: WorldSpec
    data: str | None
    caption: str | None
    hold_out: str
    cut: Cut
    constraint: dict[str, Any]
    measure: str
    weight: str
    balance: float | None
    family: str
    clips: int
    validation: int
    rank: int
    batch: int
    drop_prompt: float
    schedule: Schedule
    seeds: list[int]
    n: int
    processes: int
    out: str | None

    def constraints(self) -> dict[str, Constraint]:
        """What the loss is of, by name."""
        return {name: build(Constraint, entry) for name, entry in self.constraint.items()}

    def check(self) -> None:
        """Refuse what cannot work, before anything is simulated.

        Raises: InvalidArgument.
        """
        if self.family not in SIMULATORS:
            raise InvalidArgument("family", self.family, ", ".join(SIMULATORS))
        if not self.world.pipeline.endswith(".MicroPipeline") or self.family not in self.world.families:
            raise InvalidArgument(
                "world", self.world.name, "micro, or one of its class: larger ones have other trainers"
            )
        for name, least in {"clips": 1, "validation": 8, "n": 0, "processes": 1, "batch": 1, "rank": 1}.items():
            if getattr(self, name) < least:
                raise InvalidArgument(name, getattr(self, name), f"at least {least}")
        if 0 < self.n < 8:
            raise InvalidArgument("n", self.n, "0, to train only, or at least 8")
        if self.data is not None and self.n > min(self.clips, self.validation):
            allowed = f"at most clips={self.clips} and validation={self.validation}, which samples are held against"
            raise InvalidArgument("n", self.n, allowed)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InvalidArgument("seeds", self.seeds, "one or more different numbers, 0 or above")
        if self.weight not in WEIGHTS:
            raise InvalidArgument("weight", self.weight, ", ".join(WEIGHTS))
        if self.measure not in MEASURES:
            raise InvalidArgument("measure", self.measure, ", ".join(MEASURES))
        finite("drop_prompt", self.drop_prompt, "from 0 to below 1", lambda value: 0 <= value < 1)
        self.schedule.check("schedule")
        if self.balance is not None:
            finite("balance", self.balance, "null or a finite number > 0", lambda value: value > 0)
        self.cut.check()
        if self.data is None:
            self.check_constraints(prompts(self.family, 1, "train", 0)[0].caption)

    def check_constraints(self, caption: str) -> None:
        """Refuse constraints that cannot be of what a caption says.

        Raises: InvalidArgument.
        """
        if constraints := self.constraints():
            read, grid = self.world.observable(caption), self.world.grid(caption)
            check_fields(constraints.values(), read, grid, self.world.num_frames)
            ConstraintLoss(constraints, measure=self.measure)
