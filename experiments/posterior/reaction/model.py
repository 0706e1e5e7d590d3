"""A small flow-matching model of trajectories on a line: a transformer over frames."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from physgen.experiments.posterior.reaction.data import CELLS, FRAMES

WEIGHTS = Path(__file__).parent / "weights" / "reaction.safetensors"
#: mean and spread of the data, which the model sees standardised
MEAN, SPREAD = 0.63, 0.22


def to_fields(x: Float[Tensor, "B 1 T X"]) -> Float[Tensor, "B 1 T X"]:
    """Concentrations of the model's samples: u = 0.63 + 0.22 x.

    >>> to_fields(torch.ones(1, 1, 1, 1)).item()
    0.85...
    """
    return MEAN + SPREAD * x


def to_samples(u: Float[Tensor, "B 1 T X"]) -> Float[Tensor, "B 1 T X"]:
    """Inverse of `to_fields`."""
    return (u - MEAN) / SPREAD


class Block(nn.Module):
    """Attention over frames and a perceptron, both shifted, scaled and gated by the noise level."""

    def __init__(self, width: int, heads: int, level: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(level, 6 * width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Float[Tensor, "B T C"], level: Float[Tensor, "B L"]) -> Float[Tensor, "B T C"]:
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(level)[:, None].chunk(6, -1)
        y = self.norm(x) * (1 + scale) + shift
        q, k, v = (z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in self.qkv(y).chunk(3, -1))
        weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
        x = x + gate * self.out((weights @ v).transpose(1, 2).flatten(2))
        return x + gate2 * self.mlp(self.norm(x) * (1 + scale2) + shift2)


class Frames(nn.Module):
    """Velocity of the straight path from data to noise, by way of the clean sample.

    v(x, sigma) = (x - x0(x, sigma)) / sigma,  x_sigma = (1 - sigma) x0 + sigma e

    One token a frame. Predicting x0, which lies near a manifold of few dimensions, instead of v, which does not, is
    what lets a narrow network do.

    Source: Lipman et al., arXiv:2210.02747; adaptive normalisation: Peebles and Xie, arXiv:2212.09748; prediction of
        the clean sample: Li and He, arXiv:2511.13720.

    >>> Frames()(torch.zeros(2, 1, FRAMES, CELLS), torch.tensor(0.5)).shape
    torch.Size([2, 1, 32, 64])
    """

    def __init__(self, width: int = 128, depth: int = 4, heads: int = 4, level: int = 32) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.exp(torch.linspace(0.0, 5.0, level // 2)), persistent=False)
        self.level = nn.Sequential(nn.Linear(level, level), nn.SiLU())
        self.into = nn.Linear(CELLS, width)
        self.time = nn.Parameter(0.02 * torch.randn(FRAMES, width))
        blocks = [Block(width, heads, level) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.outof = nn.Linear(width, CELLS)
        for block in blocks:
            nn.init.zeros_(block.modulation.weight)
            nn.init.zeros_(block.modulation.bias)
        nn.init.zeros_(self.outof.weight)

    def clean(self, x: Float[Tensor, "B 1 T X"], sigma: Float[Tensor, "B"]) -> Float[Tensor, "B 1 T X"]:
        """Expected clean sample at the noise level of each sample."""
        angles = sigma[:, None] * self.frequencies.to(x)
        level = self.level(torch.cat([angles.cos(), angles.sin()], -1))
        h = self.into(x[:, 0]) + self.time
        for block in self.blocks:
            h = block(h, level)
        return self.outof(self.norm(h))[:, None]

    def forward(self, x: Float[Tensor, "B 1 T X"], sigma: float | Float[Tensor, ""]) -> Float[Tensor, "B 1 T X"]:
        levels = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))
        return (x - self.clean(x, levels)) / levels.view(-1, 1, 1, 1)


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Half-precision weights, as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in state.items()}, path)


def load_model(path: Path = WEIGHTS) -> Frames:
    """The trained model, frozen, in float32.

    Raises: FileNotFoundError: no weights there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights={path}: train them with physgen.experiments.posterior.reaction.train")
    model = Frames()
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.eval().requires_grad_(False)
