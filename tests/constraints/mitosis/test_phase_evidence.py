"""Evidence of shapes whose values are known, and what it must not depend on."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints.mitosis.evidence import FEATURES, phase_evidence
from physgen.grid import Grid
from physgen.simulators.mitosis import simulate

GRID = Grid(spacing=(0.5, 0.5), dt=100.0)


def ellipse(y: float, x: float, a: float, b: float, angle: float = 0.0, size: int = 64) -> Tensor:
    """A soft ellipse ``[1, 1, size, size]`` with half axes ``a``, ``b`` pixels."""
    row, column = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    u = (column - x) * math.cos(angle) + (row - y) * math.sin(angle)
    v = (row - y) * math.cos(angle) - (column - x) * math.sin(angle)
    return torch.sigmoid(2 * min(a, b) * (1 - torch.hypot(u / a, v / b)))[None, None]


def features(chromatin: Tensor, cell: Tensor | None = None, grid: Grid = GRID) -> dict[str, float]:
    return dict(zip(FEATURES, phase_evidence(chromatin, cell, grid)[0, 0].tolist(), strict=True))


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 4, 2.0])
def test_an_ellipse(angle: float) -> None:
    found = features(ellipse(30, 34, 16, 8, angle))
    assert found["elongation"] == pytest.approx(1 - 4 * 16**2 * 8**2 / (16**2 + 8**2) ** 2, abs=0.02)
    assert found["compactness"] == pytest.approx(0, abs=0.08)
    assert found["components"] == pytest.approx(math.log(2) / 2, abs=0.01)
    assert math.exp(found["sister_distance"]) == pytest.approx((16**2 / 4) / (16 * 8), rel=0.08)
    assert found["bimodality"] == pytest.approx(0.5, abs=0.03)
    assert found["bimodality_across"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_components_are_counted(count: int) -> None:
    places = [(16, 16), (46, 44), (18, 48)][:count]
    discs = torch.stack([ellipse(y, x, 9, 9) for y, x in places]).sum(0)
    assert features(discs)["components"] == pytest.approx(math.log1p(count**2) / 2, abs=0.02)


def test_two_sisters() -> None:
    found = features(ellipse(32, 18, 4, 9) + ellipse(32, 46, 4, 9))
    assert found["bimodality"] == pytest.approx(200**2 / (14**4 + 6 * 14**2 * 4 + 2 * 4**2), abs=0.01)
    assert found["gap"] < 0.01
    assert math.exp(found["sister_distance"]) == pytest.approx((14**2 + 4**2 / 4) / (2 * 4 * 9), rel=0.08)
    assert found["compactness"] < -0.5


def test_a_furrow_and_what_the_cell_holds() -> None:
    round_cell, waist = ellipse(32, 32, 20, 20), ellipse(32, 20, 13, 13) + ellipse(32, 44, 13, 13)
    nucleus = ellipse(32, 32, 10, 10)
    assert features(nucleus, round_cell)["chromatin_share"] == pytest.approx(math.log(1 / 4), abs=0.05)
    assert features(nucleus, round_cell)["cell_elongation"] == pytest.approx(0, abs=1e-6)
    assert features(nucleus, waist)["furrow"] < features(nucleus, ellipse(32, 32, 26, 13))["furrow"] - 0.5


def test_granularity_is_of_the_texture() -> None:
    disc = ellipse(32, 32, 18, 18)
    x = torch.arange(64, dtype=torch.float64)
    grainy = disc * (1 + 0.5 * torch.cos(x)[:, None] * torch.cos(x))
    assert features(grainy)["fine_granularity"] > 1.2 * features(disc)["fine_granularity"]


def test_where_and_how_the_picture_was_taken_does_not_matter() -> None:
    clips = simulate(2, rng=np.random.default_rng(0), frames=9)
    chromatin, cell = (torch.from_numpy(clips.fields[:, index]).double() for index in (0, 3))
    expected = phase_evidence(chromatin, cell, clips.grid)
    dy, dx = clips.grid.spacing
    same = {
        "turned": (chromatin.rot90(1, (-2, -1)), cell.rot90(1, (-2, -1)), clips.grid),
        "mirrored": (chromatin.flip(-1), cell.flip(-1), clips.grid),
        "gain": (1e4 * chromatin, 1e-3 * cell, clips.grid),
        "offset": (chromatin + 0.2, cell - 5, clips.grid),
        "units": (chromatin, cell, Grid(spacing=(1e3 * dy, 1e3 * dx), dt=1.0)),
    }
    for name, arguments in same.items():
        found = phase_evidence(*arguments)
        tolerance = 0.02 if name == "offset" else 1e-9
        assert (found - expected).abs().max() < tolerance, name


def test_order_of_frames_does_not_matter() -> None:
    clips = simulate(1, rng=np.random.default_rng(1), frames=9)
    chromatin = torch.from_numpy(clips.fields[:, 0])
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        phase_evidence(chromatin[:, order], None, clips.grid), phase_evidence(chromatin, None, clips.grid)[:, order]
    )


@pytest.mark.parametrize("pixels", [(2, 2), (5, 6)])
def test_gradient(pixels: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    fields = (torch.rand(1, 2, 2, *pixels, generator=generator, dtype=torch.float64) - 0.2).requires_grad_()
    grid = Grid(spacing=(2.0, 0.5), dt=1.0)
    assert torch.autograd.gradcheck(lambda x: phase_evidence(x[:, 0], x[:, 1], grid), (fields,))


@pytest.mark.parametrize("value", [0.0, 0.3, -1.0])
def test_nothing_to_see(value: float) -> None:
    fields = torch.full((1, 2, 16, 16), value, requires_grad=True)
    found = phase_evidence(fields, fields, GRID)
    (gradient,) = torch.autograd.grad(found.sum(), fields)
    assert found.isfinite().all()
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 1e6
