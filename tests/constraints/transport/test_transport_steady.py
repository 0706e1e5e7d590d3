"""The nearest steady flow: of what is one, of what nearly is one, and of what is none."""

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Transport
from physgen.errors import NoSolution
from physgen.grid import Grid
from physgen.guidance import Projection
from physgen.simulators import blood, mitosis

GRID = Grid(spacing=(2.0, 0.5), dt=0.25, boundary="periodic")
LAW = Transport(form="steady")


def streaks(speeds: Tensor, frames: int = 9, columns: int = 32) -> Tensor:
    """Rows of a few waves, each carried at its own speed in pixels per frame, ``[1, 1, T, R, N]``."""
    generator = torch.Generator().manual_seed(0)
    t, x = torch.arange(float(frames)).view(-1, 1, 1).double(), torch.arange(columns, dtype=torch.float64)
    waves = torch.zeros(frames, len(speeds), columns, dtype=torch.float64)
    for k in range(1, 8):
        phase = 2 * torch.pi * torch.rand(1, generator=generator, dtype=torch.float64)
        waves += torch.cos(2 * torch.pi * k * (x - speeds[:, None] * t) / columns + phase) / k
    return waves[None, None]


def test_a_steady_flow_stays_and_its_speed_is_exact() -> None:
    speeds = 0.4 + 0.3 * torch.sin(torch.arange(12, dtype=torch.float64) / 4)
    fields = streaks(speeds)
    torch.testing.assert_close(LAW.project(fields, GRID), fields, rtol=0, atol=1e-9)
    found = LAW.velocity(fields, GRID)[0]
    torch.testing.assert_close(found[:, 1], (0.5 / 0.25 * speeds)[None, :, None].expand(8, 12, 32), rtol=0, atol=1e-6)
    assert not found[:, 0].any()
    turned = LAW.velocity(fields.flip(-1).mT, Grid((0.5, 2.0), 0.25, "periodic"))[0]
    torch.testing.assert_close(turned[:, 0], -found[:, 1].mT, rtol=0, atol=1e-6)


def test_projection_is_idempotent_and_near() -> None:
    generator = torch.Generator().manual_seed(1)
    fields = streaks(torch.linspace(0.3, 0.8, 12, dtype=torch.float64))
    noisy = fields + 0.3 * torch.randn(fields.shape, generator=generator, dtype=torch.float64)
    once = LAW.project(noisy, GRID)
    torch.testing.assert_close(LAW.project(once, GRID), once, rtol=0, atol=1e-9)
    assert LAW.residual(once, GRID).abs().max() < 1e-8
    assert LAW.satisfied(once, GRID, 0.0).all()
    assert (once - fields).square().mean() < 0.3 * (noisy - fields).square().mean()
    assert (once - noisy).square().sum() <= (fields - noisy).square().sum()


def test_uniform_and_patterned_backgrounds() -> None:
    fields = streaks(torch.full((12,), 0.6, dtype=torch.float64))
    wall = 3 * torch.rand(12, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(LAW.project(fields + wall, GRID), fields + wall, rtol=0, atol=1e-9)
    tissue = torch.rand(12, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    law = Transport(form="steady", background=True)
    torch.testing.assert_close(law.project(fields + tissue, GRID), fields + tissue, rtol=0, atol=1e-7)
    assert law.fit(fields + tissue, GRID).values["speed"][0] == pytest.approx(0.6 * 0.5 / 0.25, rel=1e-5)


def test_blood_is_steady_and_keeps_its_direction() -> None:
    clips = blood.simulate(6, rng=np.random.default_rng(11))
    fields = torch.from_numpy(clips.fields[:, :1]).double()
    angles = {"right": 0.0, "up": 90.0, "left": 180.0, "down": -90.0}
    for noise, share in ((0.0, 0.99), (0.02, 0.9)):
        generator = torch.Generator().manual_seed(0)
        seen = fields + noise * torch.randn(fields.shape, generator=generator, dtype=torch.float64)
        fit = LAW.fit(seen, clips.grid)
        assert all(fit.measured), fit.reason
        assert [abs(angle) if abs(angle) == 180 else angle for angle in fit.values["direction"]] == pytest.approx(
            [angles[attribute["direction"]] for attribute in clips.attributes]
        )
        assert min(LAW.describe(seen, clips.grid)["explained"]) > share
    moved = (LAW.project(fields, clips.grid) - fields).square().mean((1, 2, 3, 4)).sqrt()
    assert moved.mean() < 0.01


def test_no_steady_flow_where_there_is_none() -> None:
    noise = torch.rand(1, 1, 9, 16, 16, generator=torch.Generator().manual_seed(0))
    cell = torch.from_numpy(mitosis.simulate(1, rng=np.random.default_rng(0)).fields[:, :1])
    for fields in (noise, cell):
        with pytest.raises(NoSolution, match="steady flow explains"):
            LAW.project(fields, GRID)
    assert not LAW.satisfied(cell, GRID, 0.0).any()
    with pytest.raises(NoSolution, match="nothing near them satisfies flow"):
        Projection({"flow": LAW}).project(noise, grid=GRID)


def test_what_stands_still_holds() -> None:
    still = torch.rand(1, 1, 1, 8, 8).expand(1, 1, 5, 8, 8)
    torch.testing.assert_close(LAW.project(still, GRID), still)
    assert LAW.satisfied(still, GRID, 0.0).all()
    assert LAW.fit(still, GRID).reason == ["nothing moves by more than noise"]
