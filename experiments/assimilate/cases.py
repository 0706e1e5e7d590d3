"""What is asked of the world, and what was there: prompts, their law, and a simulator's fields."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, ReactionDiffusion
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import simulate
from physgen.experiments.micro import cases as micro
from physgen.grid import Grid
from physgen.observables import Observable
from physgen.worlds import WorldSpec

#: family of prompts -> constraint of ``conf/constraint`` that is joined with what was observed
LAWS = {"dye": "diffusion", "growth": "fisher_kpp", "blood": None, "mitosis": None, "gray_scott": "gray_scott"}
#: between the noise of a sample and what the truth is made from
TRUTH = 7


@dataclass(frozen=True)
class Case:
    """A prompt, and how its videos are read.

    Attributes:
        truth: fields ``[1, S, T, H, W]`` of the simulator's clip.
        law: what they obey, constants unknown; None where the world has no law of reaction and diffusion.
    """

    prompt: Prompt
    truth: Float[Tensor, "1 S T H W"]
    law: ReactionDiffusion | None
    observable: Observable
    grid: Grid

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.prompt.family}-{self.prompt.seed:06d}"

    def generator(self, what: str) -> torch.Generator:
        """Random numbers of one part of the experiment, the same in every run."""
        return torch.Generator().manual_seed(zlib.crc32(f"{self.name} {what}".encode()))


def read_case(prompt: Prompt, spec: WorldSpec) -> Case:
    """The case of a prompt.

    >>> from physgen.experiments.draw.prompts import prompts
    >>> from physgen.worlds import world_spec
    >>> case = read_case(prompts("dye", 1, "held_out", 0)[0], world_spec("micro"))
    >>> list(case.truth.shape[2:]), case.law.fitted
    ([25, 64, 64], ('D_c',))
    """
    observable = spec.observable(prompt.caption)
    truth = observable(simulate(prompt, spec, [TRUTH, prompt.seed]))
    return Case(prompt, truth, _law(prompt), observable, spec.grid(prompt.caption))


def _law(prompt: Prompt) -> ReactionDiffusion | None:
    name = LAWS[prompt.family]
    if name is None:
        return None
    law: Constraint = micro.Case(name, prompt).constraint()
    assert isinstance(law, ReactionDiffusion)
    return law
