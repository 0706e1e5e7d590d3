"""A layer that stays: exact solutions, walls of simulated vessels, jumps, a camera that moves, abstention."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Static
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.simulators import blood
from physgen.video import read_video

GRID = Grid(spacing=(2.0, 0.5), dt=1.0)
#: what true walls meet in noise
TOLERANCE = 0.1


def walls(count: int, noise: float = 0.0) -> Tensor:
    fields = torch.from_numpy(blood.simulate(count, rng=np.random.default_rng(5)).fields[:, 2:])
    return fields + noise * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0))


def jumping(fields: Tensor) -> Tensor:
    return torch.cat([fields[:, :, :12], fields[:, :, 12:].roll((3, 3), (-2, -1))], 2)


def bending(fields: Tensor) -> Tensor:
    """The walls of one half of the frame move by two pixels, both ways."""
    half = fields.shape[-1] // 2
    moved = fields.roll((2, 2), (-2, -1))
    moved = torch.cat([moved[..., :half], fields[..., half:]], -1)
    return torch.cat([fields[:, :, :18], moved[:, :, 18:]], 2)


def blobs(shifts: Tensor) -> Tensor:
    """Smooth blobs far from the edges, seen by a camera that moves: exact."""
    place = torch.arange(48, dtype=torch.float64)
    total = torch.zeros(len(shifts), 48, 48, dtype=torch.float64)
    for y, x, size in ((20, 17, 1.0), (28, 30, 0.7), (18, 31, 0.5)):
        dy = place[:, None] - y - shifts[:, 0, None, None]
        dx = place - x - shifts[:, 1, None, None]
        total = total + size * torch.exp(-(dy**2 + dx**2) / 50)
    return total[None, None]


SHIFTS = torch.tensor([[0.0, 0.0], [0.6, -0.4], [1.7, -1.1], [2.4, 0.3], [-1.2, 2.9]], dtype=torch.float64)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_walls_stay_and_jumps_are_found(noise: float) -> None:
    law, true = Static(), walls(8, noise)
    assert law.satisfied(true, GRID, TOLERANCE).all()
    for fault in (jumping, bending):
        assert not law.satisfied(fault(true), GRID, TOLERANCE).any(), fault.__name__


def test_projection_is_nearest_and_leaves_what_is_fine() -> None:
    law, fields = Static(), jumping(walls(2)).double()
    near = law.project(fields, GRID)
    assert law.satisfied(near, GRID, 1e-12).all()
    torch.testing.assert_close(law.project(near, GRID), near)
    torch.testing.assert_close(law.project(walls(2), GRID), walls(2))
    other = law.project(torch.rand(fields.shape, generator=torch.Generator().manual_seed(0)).double(), GRID)
    assert ((fields - near) * (other - near)).sum((1, 2, 3, 4)).abs().max() < 1e-9
    rough = torch.randn(fields.shape, generator=torch.Generator().manual_seed(1)).double()
    rough = rough - law.project(rough, GRID)
    torch.testing.assert_close(law.project(near + rough, GRID), near)


def test_camera_is_fitted() -> None:
    law, fields = Static(camera=True), blobs(SHIFTS)
    found = law.fit(fields, GRID)
    shifts = torch.tensor([found.values[name][0] for name in law.fitted]).T / torch.tensor(GRID.spacing)
    assert found.measured == [True]
    assert (shifts - SHIFTS).abs().max() < 0.1
    assert found.explained[0] > 0.98
    assert law.satisfied(fields, GRID, TOLERANCE).all()
    assert not Static().satisfied(fields, GRID, TOLERANCE).any()
    torn = fields.clone()
    torn[..., 2, :24, :] = fields[..., 2, :24, :].roll(4, -1)
    assert not law.satisfied(torn, GRID, TOLERANCE).any()


def test_projection_in_a_camera_that_moves() -> None:
    law, fields = Static(camera=True), blobs(SHIFTS)
    held = law.with_constants(law.fit(fields, GRID))
    assert held.fitted == ()
    near = held.project(fields, GRID)
    assert held.satisfied(near, GRID, 1e-9).all()
    assert (near - fields).abs().max() < 0.05
    assert law.satisfied(law.project(fields, GRID), GRID, 1e-3).all()


@pytest.mark.parametrize("camera", [False, True])
def test_gradient(camera: bool) -> None:
    law, fields = Static(3, camera), blobs(SHIFTS[:3])[..., 12:36:4, 12:36:4].clone()
    held = law.with_constants(law.fit(fields, GRID))
    assert torch.autograd.gradcheck(lambda x: held.residual(x, GRID), (fields.requires_grad_(),))


def test_real_nuclei(shared: Path) -> None:
    """The coarse layer of a culture that grows and moves does not stay."""
    frames = read_video(shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif").frames
    fields = torch.as_tensor(frames)[::3].double().mean(1)[None, None]
    assert not Static().satisfied(fields, GRID, TOLERANCE).any()


def test_abstains() -> None:
    law = Static(camera=True)
    empty = law.fit(torch.zeros(1, 1, 4, 32, 32), GRID)
    assert empty.measured == [False]
    assert "empty" in str(empty.reason[0])
    bars = law.fit(jumping(walls(1)), GRID)
    assert bars.measured == [False]
    assert "uniform along one direction" in str(bars.reason[0])
    assert Static().describe(torch.zeros(1, 1, 4, 32, 32), GRID)["abstains"] == ["the fields are empty"]


def test_refuses() -> None:
    with pytest.raises(InvalidArgument, match="waves=1:"):
        Static(waves=1)
    with pytest.raises(InvalidArgument, match="shift_y"):
        Static(camera=True).with_constants({"shift_y": [[0.0]], "shift_x": [[0.0]]}).residual(blobs(SHIFTS), GRID)
