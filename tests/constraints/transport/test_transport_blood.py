"""Simulated blood: true clips are carried, planted faults are told from them, and where nothing can be measured."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Transport
from physgen.grid import Grid
from physgen.simulators import Clips, blood

LAW = Transport(steady=True)
ANGLES = {"right": 0.0, "up": 90.0, "left": 180.0, "down": -90.0}


def clips(count: int, noise: float = 0.0, seed: int = 21) -> tuple[Clips, Tensor]:
    simulated = blood.simulate(count, rng=np.random.default_rng(seed))
    fields = torch.from_numpy(simulated.fields[:, :1])
    return simulated, fields + noise * torch.randn(fields.shape, generator=torch.Generator().manual_seed(seed))


def reversed_half(fields: Tensor) -> Tensor:
    half = fields.shape[2] // 2
    return torch.cat([fields[:, :, :half], fields[:, :, half:].flip(2)], 2)


def permuted(fields: Tensor) -> Tensor:
    order = torch.arange(fields.shape[2])
    order[8:11] = torch.tensor([10, 8, 9])
    return fields[:, :, order]


def dropped(fields: Tensor) -> Tensor:
    return torch.cat([fields[:, :, :12], fields[:, :, 13:]], 2)


def fading(fields: Tensor) -> Tensor:
    return fields * torch.linspace(1, 0.8, fields.shape[2]).view(-1, 1, 1)


def with_a_cell_from_nowhere(fields: Tensor) -> Tensor:
    y, x = torch.meshgrid(*[torch.arange(64.0)] * 2, indexing="ij")
    cell = torch.sigmoid((4 - torch.hypot(y - 32, x - 30)) / 0.45)
    return torch.cat([fields[:, :, :14], fields[:, :, 14:].maximum(cell)], 2)


FAULTS = (reversed_half, permuted, dropped, fading, with_a_cell_from_nowhere)


@pytest.mark.parametrize("noise", [0.0, pytest.param(0.02, marks=pytest.mark.slow)])
def test_true_clips_are_carried_and_faults_are_not(noise: float) -> None:
    simulated, fields = clips(3, noise)
    assert LAW.satisfied(fields, simulated.grid, 0.0).all()
    for fault in FAULTS:
        assert not LAW.satisfied(fault(fields), simulated.grid, 0.0).any(), fault.__name__


def test_direction_and_speed() -> None:
    simulated, fields = clips(3)
    found = LAW.fit(fields, simulated.grid)
    exact = Transport(form="steady").fit(fields, simulated.grid)
    assert all(found.measured), found.reason
    for index, attribute in enumerate(simulated.attributes):
        turn = (found.values["direction"][index] - ANGLES[attribute["direction"]] + 180) % 360 - 180
        assert abs(turn) < 10
        assert found.values["speed"][index] == pytest.approx(exact.values["speed"][index], rel=0.15)
        assert found.explained[index] > 0.97


def jumping(fields: Tensor) -> Tensor:
    return torch.cat([fields[:, :, :9], fields[:, :, 9:].roll((3, 4), (-2, -1))], 2)


def too_fast(fields: Tensor) -> Tensor:
    return torch.stack([fields[:, :, 0].roll(9 * t, -1) for t in range(9)], 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda fields: fields[:, :, :2], "fewer than 3 frames"),
        (lambda fields: fields[:, :, :1].expand(-1, -1, 9, -1, -1), "nothing moves"),
        (lambda fields: fields.clamp(max=0.3), "saturated"),
        (jumping, "jumps between frames 8 and 9"),
        (too_fast, "aliased"),
    ],
)
def test_abstains(change: Callable[[Tensor], Tensor], reason: str) -> None:
    simulated, fields = clips(1, seed=3)
    grid = Grid(simulated.grid.spacing, simulated.grid.dt, "open")
    found = Transport().fit(change(fields[:, :, :12]), grid)
    assert found.measured == [False]
    assert reason in str(found.reason[0])
