"""Spread and fronts of what is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physgen.dynamics.flow_map import FlowMap
from physgen.equations import reaction_system
from physgen.grid import Grid
from physgen.measure import front_advance, mean_squared_width

GRID = Grid(spacing=(0.5, 0.25), dt=0.5)
Y, X = torch.meshgrid(0.5 * torch.arange(48.0), 0.25 * torch.arange(96.0), indexing="ij")


def blob(variance: float, y: float = 12.0, x: float = 12.0) -> torch.Tensor:
    return torch.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * variance)).double()


def discs(radius: float, *centres: tuple[float, float]) -> torch.Tensor:
    return torch.stack([torch.sigmoid(4 * (radius - torch.hypot(Y - y, X - x))) for y, x in centres]).sum(0)


def test_a_blob_of_heat_gains_4_d_t_wherever_it_drifts() -> None:
    times, diffusivity = 0.5 * torch.arange(8.0), 0.4
    moving = torch.stack([blob(2 + 2 * diffusivity * t, 9 + 0.5 * t, 10 + 0.5 * t) / (2 + 0.8 * t) for t in times])
    width, gain = mean_squared_width(moving * torch.exp(-times).view(-1, 1, 1), GRID)  # and bleaches
    np.testing.assert_allclose(width - width[0], 4 * diffusivity * times, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(gain, 4, rtol=2e-3)


@pytest.mark.parametrize("boundary", ["no-flux", "periodic"])
def test_the_gain_counts_what_the_walls_hold_back(boundary: str) -> None:
    grid = Grid(spacing=(0.5, 0.25), dt=0.5, boundary=boundary)
    heat = FlowMap(reaction_system("diffusion"), {"c": 3.0}, {}, grid)
    frames = [blob(2.0, 6.0, 12.0)[None, None, None]]
    for _ in range(20):
        frames.append(heat(frames[-1]))
    width, gain = mean_squared_width(torch.cat(frames, 2)[0, 0], grid)
    expected = torch.cumulative_trapezoid(3.0 * gain, dx=0.5)
    assert width[-1] - width[0] < 0.8 * 4 * 3.0 * 10
    np.testing.assert_allclose(width[1:] - width[0], expected, rtol=0.03)


@pytest.mark.parametrize("centres", [[(12.0, 12.0)], [(6.0, 6.0), (18.0, 18.0)], [(0.0, 12.0)], [(-0.0, 0.0)]])
def test_fronts_of_discs_go_as_far_as_their_radius_wherever_they_are(centres: list[tuple[float, float]]) -> None:
    radii = [2.0, 2.8, 3.6, 4.4]
    advance = front_advance(torch.stack([discs(radius, *centres) for radius in radii]), 0.5, GRID)
    np.testing.assert_allclose(advance, np.array(radii) - 2.0, atol=0.1)


def test_a_front_that_comes_out_of_nothing_and_goes_back() -> None:
    radii = [-2.0, 2.0, 4.0, 2.0]
    advance = front_advance(torch.stack([discs(radius, (12.0, 12.0)) for radius in radii]), 0.5, GRID)
    np.testing.assert_allclose(advance, [0, 2, 4, 2], atol=0.15)
    assert front_advance(torch.zeros(3, 8, 8), 0.5, GRID).tolist() == [0, 0, 0]
