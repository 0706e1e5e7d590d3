"""Particles in a vortex street, as in particle image velocimetry: against optical flow of scikit-image."""

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Transport
from physgen.constraints.transport.motion import Motion
from physgen.grid import Grid

SIZE = 96


def street(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement per frame, pixels: a stream with two rows of Lamb-Oseen vortices that turn against each other."""
    along, across = torch.full_like(x, 1.0), torch.zeros_like(y)
    for turn, row, offset in ((1.0, 36.0, 0.0), (-1.0, 60.0, 24.0)):
        for column in range(-2, 5):
            dy, dx = y - row, x - (48.0 * column + offset)
            square = dy**2 + dx**2 + 1e-9
            swirl = turn * 14.0 / square * (1 - torch.exp(-square / 80.0))
            along, across = along - swirl * dy, across + swirl * dx
    return across, along


def particles(seed: int) -> tuple[Tensor, Tensor]:
    """Two frames ``[1, 1, 2, N, N]`` of spots carried by the street, and the displacement half way ``[2, N, N]``."""
    generator = torch.Generator().manual_seed(seed)
    places = -10 + (SIZE + 20) * torch.rand(2, 1500, generator=generator, dtype=torch.float64)
    pixels = torch.arange(float(SIZE), dtype=torch.float64)
    frames = []
    for _ in range(2):
        rows, columns = (torch.exp(-((pixels[:, None] - place) ** 2) / (2 * 1.2**2)) for place in places)
        frames.append(rows @ columns.T)
        for _ in range(10):
            half = torch.stack(street(*places)) / 20
            places = places + torch.stack(street(*(places + half))) / 10
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    return torch.stack(frames)[None, None], torch.stack(street(y, x))


def scores(found: Tensor, truth: Tensor) -> tuple[float, float]:
    """Root mean square error in pixels, and divergence over vorticity, away from the border."""
    motion, inner = Motion(True, "free", SIZE, SIZE, (1.0, 1.0)), (..., slice(8, -8), slice(8, -8))
    divergence, curl = (of(found[None])[0][inner].square().mean().sqrt() for of in (motion.dilation, motion.curl))
    return float((found - truth)[inner].square().sum(0).mean().sqrt()), float(divergence / curl)


@pytest.mark.parametrize("noise", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
def test_particles_in_a_vortex_street(noise: float) -> None:
    from skimage.registration import optical_flow_ilk, optical_flow_tvl1

    frames, truth = particles(0)
    frames = frames + noise * float(frames.std()) * torch.randn(
        frames.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    ours = Transport().velocity(frames.float(), Grid((1.0, 1.0), 1.0, "open"))[0, 0].double()
    pair = frames[0, 0].numpy().astype(np.float32)
    others = [
        scores(torch.from_numpy(-flow(pair[1], pair[0])).double(), truth)
        for flow in (optical_flow_ilk, optical_flow_tvl1)
    ]
    error, ratio = scores(ours, truth)
    assert error < min(other for other, _ in others), (error, others)
    assert error < 0.1
    assert ratio < 1e-4
    assert min(other for _, other in others) > 0.02
