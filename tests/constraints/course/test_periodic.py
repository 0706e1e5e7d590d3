"""What repeats itself: exact beats, noise, beats that are skipped or change their pace, other movies, abstention."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Periodic
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.simulators import growth
from physgen.video import read_video

GRID = Grid(spacing=(1.0, 1.0), dt=0.1)
#: what true beats meet in noise of 1.5 % of their contrast
TOLERANCE = 0.3
LAW = Periodic()


def beating(phase: Tensor, noise: float = 0.0, seed: int = 0) -> Tensor:
    """A disc whose radius beats, ``phase`` ``[T]`` in turns."""
    place = torch.arange(32, dtype=torch.float64) - 15.5
    radius = 8 + 1.5 * torch.exp(torch.cos(2 * torch.pi * phase) - 1)[:, None, None]
    disc = torch.sigmoid((radius - torch.hypot(place[:, None], place)) / 0.8)[None, None]
    return disc + noise * torch.randn(disc.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def steady(period: float, frames: int = 30) -> Tensor:
    return torch.arange(frames, dtype=torch.float64) / period


def skipping(period: float) -> Tensor:
    """Half a beat is left out."""
    return steady(period) + 0.5 * (torch.arange(30) >= 14)


def slowing(period: float) -> Tensor:
    t = steady(period)
    return t - 0.25 * t**2 / t.max()


PERIODS = (5.3, 7.1, 9.6, 12.0)


@pytest.mark.parametrize("period", PERIODS)
def test_period_lies_in_its_interval(period: float) -> None:
    held = 0
    for seed in range(5):
        found = LAW.fit(beating(steady(period), 0.03, seed), GRID)
        low, high = found.intervals["period"][0]
        held += low <= 0.1 * period <= high
        assert found.values["period"][0] == pytest.approx(0.1 * period, rel=0.02)
        assert found.measured == [True], found.reason
    assert held >= 4


def test_exact_waves_leave_nothing() -> None:
    place = torch.arange(16, dtype=torch.float64)
    for period in (5.3, 8.7, 11.0):
        phase = 2 * torch.pi * (steady(period, 40)[:, None, None] - place / 16 + 0 * place[:, None])
        wave = (torch.cos(phase) + 0.4 * torch.sin(2 * phase))[None, None]
        assert LAW.fit(wave, GRID).values["period"][0] == pytest.approx(0.1 * period, rel=1e-7)
        assert LAW.residual(wave, GRID).abs().max() < 1e-6
        torch.testing.assert_close(LAW.project(wave, GRID), wave, atol=1e-6, rtol=0)


@pytest.mark.parametrize("noise", [0.0, 0.015])
def test_beats_are_told_from_beats_that_skip(noise: float) -> None:
    for seed, period in enumerate(PERIODS):
        assert LAW.satisfied(beating(steady(period), noise, seed), GRID, TOLERANCE).all(), period
        for fault in (skipping, slowing):
            assert not LAW.satisfied(beating(fault(period), noise, seed), GRID, TOLERANCE).any(), (fault, period)


def test_projection_is_nearest() -> None:
    fields = beating(skipping(7.1), 0.03)
    held = LAW.with_constants(LAW.fit(fields, GRID))
    near = held.project(fields, GRID)
    assert held.satisfied(near, GRID, 1e-9).all()
    torch.testing.assert_close(LAW.project(near, GRID), near, atol=1e-9, rtol=0)
    other = held.project(beating(steady(9.6)), GRID)
    assert ((fields - near) * (other - near)).sum().abs() < 1e-9


def test_gradient() -> None:
    fields = beating(skipping(7.1), 0.03)[..., ::8, ::8].clone().requires_grad_()
    held = LAW.with_constants(LAW.fit(fields.detach(), GRID))
    assert torch.autograd.gradcheck(lambda x: held.residual(x, GRID), (fields,))


def test_abstains(shared: Path) -> None:
    growing = torch.from_numpy(growth.simulate(1, rng=np.random.default_rng(1)).fields)
    frames = read_video(shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif").frames
    nuclei = torch.as_tensor(frames)[:, :, ::2, ::2].double().mean(1)[None, None]
    still = beating(torch.zeros(20, dtype=torch.float64))
    slow = beating(steady(20.0))
    for fields, reason in ((growing, "periods"), (nuclei, "period"), (still, "frozen"), (slow, "1.5 periods")):
        found = LAW.fit(fields, GRID)
        assert found.measured == [False]
        assert reason in str(found.reason[0])


def test_refuses() -> None:
    with pytest.raises(InvalidArgument, match="period=-1"):
        Periodic(period=-1)
    with pytest.raises(InvalidArgument, match="two frames or more"):
        Periodic(period=0.15).residual(beating(steady(5.3)), GRID)
    with pytest.raises(InvalidArgument, match="at least 5 frames"):
        LAW.residual(beating(steady(5.3, 4)), GRID)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [1.0, 0.3])
def test_nothing_that_moves_repeats_itself_in_every_precision(dtype: torch.dtype, value: float) -> None:
    fields = torch.full((1, 1, 24, 16, 16), value, dtype=dtype, requires_grad=True)
    loss = LAW.loss(fields, GRID)
    loss.sum().backward()
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    assert loss.item() < 1e-12
    assert fields.grad is not None
    assert fields.grad.abs().max() < 1e-2
    assert LAW.satisfied(fields, GRID, 1e-3).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounding_is_no_motion(dtype: torch.dtype) -> None:
    noise = torch.randn(1, 1, 24, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rounded = (0.3 + torch.finfo(dtype).eps / 20 * noise).to(dtype)
    assert LAW.residual(rounded, GRID).square().mean().sqrt() < 0.5


def test_a_given_period_is_not_rounded() -> None:
    time = 0.01 * torch.arange(40, dtype=torch.float64)
    wave = torch.sin(2 * torch.pi * time / 0.083).view(1, 1, -1, 1, 1).expand(1, 1, 40, 4, 4)
    assert Periodic(period=0.083, harmonics=1).residual(wave, Grid((1.0, 1.0), 0.01)).abs().max() < 1e-12
    Periodic(period=1.4).residual(beating(torch.arange(8) / 2), Grid((1.0, 1.0), 0.7))
