"""The other ways of `make bench` do the work that they stand for."""

import torch

from physgen.constraints import Progression, Transport
from physgen.constraints.transport.motion import Motion
from physgen.experiments.speed import moving
from physgen.grid import Grid

GRID = Grid((1.0, 1.0), 1.0, "periodic")


def test_naive_gradient_of_a_given_flow_is_that_of_the_library() -> None:
    """Of a blurred texture, inside: torch's bicubic weights are others, and it has no mask at the edge."""
    fields = moving.large_video()[0, 0, :, :48, :48].double()
    motion, d = Motion(True, "free", 48, 48, (1.0, 1.0)), torch.full((2, 2, 48, 48), 0.6, dtype=torch.float64)
    ours = moving.given_gradient(fields, d, motion)[:, 8:-8, 8:-8]
    naive = moving.naive_gradient(fields, d, 0.0)[:, 8:-8, 8:-8]
    assert (ours - naive).norm() < 0.1 * ours.norm()


def test_naive_search_finds_a_flow() -> None:
    fields = moving.large_video()[0, 0, :2, 200:232, 300:332]
    assert (
        moving.naive_flow(fields, 0.1)().norm()
        < 0.5 * moving.naive_gradient(fields, torch.zeros(1, 2, 32, 32), 0.1).norm()
    )


def test_other_projections_agree() -> None:
    t, x = torch.arange(9.0).view(-1, 1, 1), torch.arange(32.0)
    speeds = torch.tensor([0.3, 0.4, 0.5]).repeat_interleave(2)[:, None]
    rows = torch.exp(torch.cos((x - speeds * t) * torch.pi / 8))
    noisy = rows + 0.05 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
    exact = Transport(form="steady").project(noisy[None, None], GRID)[0, 0]
    assert (moving.shifted_back(noisy) - exact).square().mean().sqrt() < 0.01
    series = torch.rand(1, 1, 6, 3, 4, generator=torch.Generator().manual_seed(1))
    near = Progression("pixels").project(series, GRID)[0, 0].flatten(1).double()
    torch.testing.assert_close(moving.regressed(series), near, rtol=0, atol=1e-6)
