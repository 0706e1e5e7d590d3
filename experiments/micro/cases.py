"""What is asked of the embedded world: prompts, the law each must obey, and what the simulator says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint
from physgen.experiments.cli.config import choice
from physgen.experiments.cli.target import build
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.simulators import GRAMMARS, SIMULATORS, beads, gray_scott

#: constraint of ``conf/constraint`` -> family of prompts
LAWS = {
    "mass": "dye",
    "diffusion": "dye",
    "fisher_kpp": "growth",
    "gray_scott": "gray_scott",
    "phase_order": "mitosis",
    "periodic": "sheet",
    "progression": "vesicles",
}

#: a red cell: its radius, µm, and how bright it is at least where the walls of the vessel are not
_CELL = {"radius": 4.0, "threshold": 0.6}
#: what a law of a family has beside its entry in ``conf/constraint``, as `constraint=auto` has it
ENTRIES: dict[tuple[str, str], dict[str, Any]] = {
    ("blood", "permanence"): _CELL,
    ("vessel", "permanence"): _CELL,
    ("vessel", "transport"): {"form": "curved"},
    ("beads", "permanence"): {"radius": 0.6, "reach": 1.4},
    ("beads", "count"): {"smoothing": 2},
    ("vesicles", "progression"): {"direction": "shrinks"},
    ("vesicles", "mass"): {"species": [1]},
}
#: laws of a part of what a family shows, which are none of the world's: vesicles keep their content, not their membrane
IN_PART = {"vesicles": ("mass",)}
#: families whose named colours, and those that are always there, are all that the simulator draws
EXPLAINED = ("dye", "growth", "gray_scott", "beads", "sheet", "vesicles")


@dataclass(frozen=True)
class Case:
    """One prompt under one law, with constants that are imposed (else fitted, or those of the prompt's words).

    In ``absent`` the first frame shows nothing, see `ReactionDiffusion`.
    """

    law: str
    prompt: Prompt
    imposed: Mapping[str, float] | None = None
    absent: float | None = None

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.law}-{self.prompt.seed:06d}"

    def constraint(self) -> Constraint:
        """The law as ``conf/constraint`` has it."""
        spec = choice("constraint", self.law)
        if self.law == "gray_scott":
            feed, kill = gray_scott.PATTERNS[self.prompt.attributes["pattern"]]
            spec["parameters"] = {"F": feed, "k": kill}
        if self.law == "count":
            said = self.prompt.attributes.get("count")
            spec["count"] = beads.COUNTS[said] if said else [min(beads.COUNTS.values()), max(beads.COUNTS.values())]
        spec |= ENTRIES.get((self.prompt.family, self.law), {})
        if self.imposed is not None:
            spec |= {**_fixed(spec, self.imposed), "absent": self.absent}
        constraint: Constraint = build(Constraint, spec)
        return constraint


def _fixed(spec: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    diffusing = {name.removeprefix("D_"): value for name, value in values.items() if name.startswith("D_")}
    parameters = {name: value for name, value in values.items() if not name.startswith("D_")}
    return {
        "diffusivity": {**spec["diffusivity"], **diffusing},
        "parameters": {**spec["parameters"], **parameters},
        "fitted": [],
    }


def cases(law: str, count: int, seed: int) -> list[Case]:
    """``count`` prompts of a law's family, kind by kind and word by word in turn.

    >>> [case.name for case in cases("mass", 2, 0)]
    ['mass-000000', 'mass-000001']
    """
    return [Case(law, prompt) for prompt in prompts(LAWS[law], count, "all", seed)]


def reworded(prompt: Prompt, **attributes: str) -> Prompt:
    """The prompt with other attributes, and the caption that says so.

    >>> prompt = prompts("dye", 1, "all", 0)[0]
    >>> "quickly" in reworded(prompt, speed="quickly").caption
    True
    """
    changed = {**prompt.attributes, **attributes}
    grammar = GRAMMARS[prompt.family][changed["kind"]]
    return replace(prompt, attributes=changed, caption=grammar.caption(changed, np.random.default_rng(prompt.index)))


def simulated(case: Case, seed: int) -> Float[Tensor, "1 3 T H W"]:
    """A simulator's video of the prompt."""
    prompt = case.prompt
    rng = np.random.default_rng([seed, prompt.seed])
    clips = SIMULATORS[prompt.family](1, rng=rng, attributes=[prompt.attributes], split="all")
    return torch.from_numpy(clips.video)
