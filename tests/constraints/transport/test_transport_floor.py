"""What guidance leaves alone: the residual of true videos, whatever their size and noise."""

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import MassConservation, Transport
from physgen.grid import Grid
from physgen.guidance import X0Gradient
from physgen.simulators import blood


def clips(noise: float) -> tuple[Tensor, Grid]:
    simulated = blood.simulate(3, rng=np.random.default_rng(7))
    fields = torch.from_numpy(simulated.fields[:, :1])
    generator = torch.Generator().manual_seed(1)
    return fields + noise * torch.randn(fields.shape, generator=generator), Grid((1.0, 1.0), 0.0015, "open")


def norm_over_floor(law: Transport, fields: Tensor, grid: Grid) -> list[float]:
    return ((2 * law.loss(fields, grid)).sqrt() / law.floor(fields, grid)).tolist()


@pytest.mark.parametrize("noise", [0.01, pytest.param(0.03, marks=pytest.mark.slow), 0.1])
def test_floor_follows_noise_and_size(noise: float) -> None:
    """True clips of any size are near the floor: below twice it, and not so far below that faults would hide."""
    fields, grid = clips(noise)
    for law in (Transport(steady=True), Transport()):
        for part in (fields[..., 16:48, 16:48], fields[:, :, :5], torch.cat([fields[:, :, :5], fields[:, :, :5]], 4)):
            assert all(0.7 < ratio < 2 for ratio in norm_over_floor(law, part, grid)), noise


def test_floor_without_noise_is_that_of_simulated_clips() -> None:
    fields, grid = clips(0.0)
    floors = Transport(steady=True).floor(fields, grid)
    torch.testing.assert_close(floors, torch.full((3,), 14.0, dtype=torch.float64), rtol=0.01, atol=0)
    assert Transport(form="steady").floor(fields, grid).tolist() == [0.0] * 3
    longer = fields.repeat_interleave(2, 4)
    torch.testing.assert_close(
        Transport().floor(longer, grid), 2**0.5 * Transport().floor(fields, grid), rtol=0.01, atol=0
    )
    assert MassConservation().floor(fields, grid).tolist() == [0.0] * 3


def test_guidance_leaves_what_noise_alone_makes_and_corrects_a_fault() -> None:
    fields, grid = clips(0.03)
    fields = fields[:, :, :9, 16:48, 16:48]
    law = Transport(steady=True)
    fault = torch.cat([fields[:, :, :5], fields[:, :, 5:].flip(2)], 2)
    moves = []
    for x in (fields, fault):
        guided = X0Gradient({"flow": law}).correct(x, x_t=x, sigma=0.3, grid=grid)
        moves.append((guided - x).square().mean((1, 2, 3, 4)).sqrt())
    assert (moves[1] > 1.5 * moves[0]).all(), moves
