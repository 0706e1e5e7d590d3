"""A stand-in for your model: it knows 32 simulated clips of dye by heart, and its dye fades to 40 % of its mass.

For data that are finitely many clips the best denoiser is known exactly: the mean of the clips, each weighted by how
well it explains the noisy sample. So nothing is trained, and every sampler can be tried within a second.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from physgen.simulators import SIMULATORS

CLIPS = SIMULATORS["dye"](32, rng=np.random.default_rng(0), size=32)
GRID = CLIPS.grid
FADING = torch.linspace(1.0, 0.4, CLIPS.fields.shape[2]).view(-1, 1, 1)
DATA = torch.from_numpy(CLIPS.fields).sum(1, keepdim=True) * FADING  # [32, 1, T, H, W]


def denoise(x: Tensor, sigma: float | Tensor) -> Tensor:
    """The mean of the clips given x = clip + sigma noise, ``[B, 1, T, H, W]``: what k-diffusion calls a denoiser."""
    spread = torch.as_tensor(sigma).max().clamp(min=1e-3)
    distance = (x[:, None] - DATA[None]).flatten(2).square().sum(2)
    return torch.einsum("bn,n...->b...", torch.softmax(-distance / (2 * spread**2), dim=1), DATA)


def velocity(x: Tensor, sigma: float | Tensor) -> Tensor:
    """Noise - x0 of x = (1 - sigma) x0 + sigma noise: what a flow-matching network predicts."""
    s = torch.as_tensor(sigma).clamp(1e-3, 1 - 1e-3)
    return (x - denoise(x / (1 - s), s / (1 - s))) / s


def noise() -> Tensor:
    """Standard normal noise of one clip, always the same."""
    return torch.randn(1, *DATA.shape[1:], generator=torch.Generator().manual_seed(0))


def mass(fields: Tensor) -> Tensor:
    """Mass of each frame of the first clip, as a share of its first frame's."""
    total = fields[0].sum((0, 2, 3))
    return total / total[0]
