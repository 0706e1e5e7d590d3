"""Simulated red cells, how many there are, and one more that lies still."""

import numpy as np
import torch
from torch import Tensor

from physgen.simulators import blood

DIRECTIONS = ("right", "down", "left", "up")
GRID = blood.GRID


def clips(count: int, noise: float = 0.0, seed: int = 3, many: str = "a few") -> tuple[Tensor, list[int]]:
    """Coverage by red cells ``[B, 1, T, H, W]``, and their number."""
    drawn = [{"direction": DIRECTIONS[i % 4], "speed": "slowly", "count": many} for i in range(count)]
    simulated = blood.simulate(count, rng=np.random.default_rng(seed), attributes=drawn)
    fields = torch.from_numpy(simulated.fields[:, :1])
    fields = fields + noise * torch.randn(fields.shape, generator=torch.Generator().manual_seed(seed))
    return fields, [int(one["cells"]) for one in simulated.parameters]


def with_a_cell(fields: Tensor, frames: slice) -> Tensor:
    """One more, outside the vessel, in these frames."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    cell = torch.sigmoid((4 - torch.hypot(y - 4, x - 4)) / 0.45)
    more = fields.clone()
    more[:, :, frames] = more[:, :, frames].maximum(cell.to(fields))
    return more
