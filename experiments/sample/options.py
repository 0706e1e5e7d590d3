"""Types of the options of `physgen sample`; values and meanings are in ``conf/sample.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from physgen.experiments.draw.default_guidance import require_untouched
from physgen.experiments.draw.observed import ObservedConfig
from physgen.worlds import WorldSpec


@dataclass
class SampleConfig:
    """Options of `physgen sample`, see ``conf/sample.yaml``."""

    prompt: str
    world: WorldSpec
    pipeline: str | None
    checkpoint: str | None
    alpha: float
    trust_pickle: bool
    constraint: dict[str, Any]
    observed: ObservedConfig
    guidance: dict[str, Any]
    rewards: Any
    observable: dict[str, Any]
    seed: int
    steps: int | None
    guidance_scale: float | None
    samples: int
    compare: bool
    device: str | None
    memory: float | None
    plan: bool
    out: str | None

    def check(self) -> None:
        """Refuse options without effect, since what they are about is not there.

        A guidance that was chosen has none without a law and rewards, beside an observation either: that is kept to in
        one way. The guidance that is the default may be left alone.

        Raises: InvalidArgument.
        """
        self.observed.check()
        if self.constraint or self.rewards or not (self.guidance["_target_"] or self.observed.file):
            return
        kept = "; what was observed is kept to without it" if self.observed.file else ""
        require_untouched(self.guidance, "a constraint or rewards", kept)
