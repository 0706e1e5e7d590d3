"""Options of one run of a sweep, and the folder that they name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from physgen.experiments.cli.config import typed
from physgen.experiments.runs.records import run_name
from physgen.worlds import WorldSpec

#: options that do not change the result
BESIDES = ("runs", "name", "tracker", "objective")
#: where videos come from: the world, the simulator of the same prompt, its passage through the autoencoder
SOURCES = ("world", "simulator", "reconstruction")


@dataclass
class AblateConfig:
    """Options of `physgen ablate`, see ``conf/ablate.yaml``."""

    world: WorldSpec
    family: str | None
    prompt: str | None
    source: str
    constraint: dict[str, Any]
    guidance: dict[str, Any]
    rewards: Any
    seed: int
    steps: int | None
    guidance_scale: float | None
    objective: str | None
    device: str | None
    tracker: dict[str, Any]
    runs: str
    name: str | None

    @property
    def settings(self) -> dict[str, Any]:
        """What the result depends on; without rewards as it was named before there were any."""
        besides = BESIDES if self.rewards else (*BESIDES, "rewards")
        return {key: value for key, value in asdict(self).items() if key not in besides}

    @property
    def folder(self) -> Path:
        """Run directory: a hash of the settings and of the version."""
        return Path(self.runs) / run_name("run", self.settings)


def options_of(config: DictConfig) -> AblateConfig:
    """What Hydra composed, with its types checked."""
    return typed(config, AblateConfig)
