"""A fault that is planted in simulator videos: its strengths, and the instruments that are to find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.registry import DOMAINS
from physgen.simulators import GRAMMARS

#: pixels ``[3, T, H, W]`` in float64 with the fault
Plant = Callable[[Clip, float, np.random.Generator], Array]


@dataclass(frozen=True)
class PlantedFault:
    """A fault in four strengths, weak to strong, and the instruments that should find it, where a domain has them."""

    plant: Plant
    strengths: tuple[float, float, float, float]
    targets: tuple[str, ...]
    families: tuple[str, ...] = tuple(GRAMMARS)

    def found_by(self, domain: str) -> tuple[str, ...]:
        """Instruments of a domain that should find it."""
        in_family = domain.split(".")[0] in self.families
        return tuple(name for name in self.targets if in_family and name in DOMAINS[domain])


def plant_fault(clip: Clip, fault: PlantedFault, strength: float, rng: np.random.Generator) -> Tensor:
    """The clip's video with a fault, in [0, 1]."""
    return torch.from_numpy(fault.plant(clip, strength, rng).clip(0, 1)).float()
