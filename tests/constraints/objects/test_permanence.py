"""Nothing comes from nowhere: moving blobs, simulated cells, cells that appear, vanish and divide, gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from cells_of_blood import GRID, clips, with_a_cell
from torch import Tensor

from physgen.constraints import Permanence
from physgen.constraints.objects.sinkhorn import assign_softly
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.video import read_video

OPEN = Grid(spacing=(1.0, 1.0), dt=1.0)
LAW = Permanence(radius=4.0)
#: objects from one frame to the next
TOLERANCE = 0.5


def blobs(paths: list[list[tuple[float, float] | None]]) -> Tensor:
    """Blobs at a place in each frame, or nowhere."""
    y, x = torch.meshgrid(*[torch.arange(40, dtype=torch.float64)] * 2, indexing="ij")
    frames = torch.zeros(len(paths[0]), 40, 40, dtype=torch.float64)
    for path in paths:
        for frame, place in zip(frames, path, strict=True):
            if place is not None:
                frame += torch.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / 12)
    return frames[None, None]


def along(y: float, x: float, dy: float, dx: float, frames: int = 6) -> list[tuple[float, float] | None]:
    return [(y + t * dy, x + t * dx) for t in range(frames)]


STAYS = along(26, 20, -0.5, 0.3)


def test_soft_assignment_is_that_of_least_squares() -> None:
    from scipy.optimize import linear_sum_assignment

    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        cost = 0.3 * torch.rand(1, 5, 7, generator=generator, dtype=torch.float64)
        before, after = (torch.ones(1, size, dtype=torch.float64) for size in (5, 7))
        gone, new = assign_softly(cost, before, after, before / 2, after / 2)
        taken = linear_sum_assignment(cost[0].numpy())[1]
        assert gone.max() < 0.05
        assert new.sum() == pytest.approx(2, abs=0.1)
        assert set((new[0] < 0.5).nonzero().flatten().tolist()) <= set(taken.tolist()) | set(range(7))


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        (along(14, 12, 0.4, 0.8), True),
        (along(20, 3, 0.0, -1.0), True),  # leaves at the edge
        ([*along(14, 12, 0.4, 0.8)[:3], None, None, None], False),
        ([None, None, None, *along(14, 12, 0.4, 0.8)[3:]], False),
        ([*along(14, 12, 0.4, 0.8)[:3], *along(14, 28, 0.4, 0.8)[3:]], False),  # jumps
    ],
)
def test_blobs(other: list[tuple[float, float] | None], holds: bool) -> None:
    fields = blobs([STAYS, other])
    assert LAW.satisfied(fields, OPEN, TOLERANCE).tolist() == [holds]
    said = LAW.describe(fields, OPEN)
    assert (said["appeared"][0][0] + said["vanished"][0][0] == 0) == holds


def test_division_is_allowed_where_the_text_says_so() -> None:
    first: list[tuple[float, float] | None] = [*[(20.0, 20.0)] * 3, *[(20.0, 16.0)] * 3]
    second: list[tuple[float, float] | None] = [*[None] * 3, *[(20.0, 24.5)] * 3]
    dividing = blobs([first, second])
    assert not LAW.satisfied(dividing, OPEN, TOLERANCE).any()
    assert Permanence(4.0, divides=True).satisfied(dividing, OPEN, TOLERANCE).all()
    assert not Permanence(4.0, divides=True).satisfied(dividing.flip(2), OPEN, TOLERANCE).any()
    assert Permanence(4.0, merges=True).satisfied(dividing.flip(2), OPEN, TOLERANCE).all()
    nowhere = blobs([STAYS, [None, None, None, *along(10, 11, 0.0, 0.5)[3:]]])
    assert not Permanence(4.0, divides=True, merges=True).satisfied(nowhere, OPEN, TOLERANCE).any()


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_cells_that_appear_and_vanish_are_found(noise: float) -> None:
    true, _ = clips(4, noise)
    assert LAW.satisfied(true, GRID, TOLERANCE).all()
    assert not LAW.satisfied(with_a_cell(true, slice(14, None)), GRID, TOLERANCE).any()
    assert not LAW.satisfied(with_a_cell(true, slice(0, 14)), GRID, TOLERANCE).any()


def test_gradient() -> None:
    fields = blobs([STAYS, [None, None, *along(14, 12, 0.4, 0.8)[2:]]])[:, :, 1:4, 8:32:2, 6:30:2].clone()
    law = Permanence(2.0)
    grid = Grid(spacing=(1.0, 1.0), dt=1.0, boundary="periodic")
    assert law.residual(fields, grid).max() > 0.1
    assert torch.autograd.gradcheck(lambda x: law.residual(x, grid), (fields.requires_grad_(),), atol=1e-4)


def test_real_nuclei(shared: Path) -> None:
    """Nuclei of eight frames stay; with divisions allowed no more are loose."""
    frames = read_video(shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif").frames
    fields = torch.as_tensor(frames)[:8].double().mean(1)[None, None]
    assert Permanence(8.0).satisfied(fields, OPEN, TOLERANCE).all()
    loose = [float(Permanence(8.0, divides=d, merges=d).loss(fields, OPEN)) for d in (False, True)]
    assert loose[1] <= loose[0]


def test_abstains() -> None:
    said = LAW.describe(torch.zeros(1, 1, 3, 16, 16), OPEN)
    assert said["abstains"] == ["the fields are empty"]
    assert said["objects"] == [[0]]


@pytest.mark.parametrize("given", [{"radius": 0.0}, {"radius": 1.0, "reach": -1.0}])
def test_refuses(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=list(given)[-1]):
        Permanence(**given)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.5), (1.0, 0.25), (0.5, 2.0)])
def test_pixels_that_are_no_squares(spacing: tuple[float, float]) -> None:
    y, x = (h * torch.arange(round(40 / h), dtype=torch.float64) for h in spacing)
    discs = [torch.sigmoid((4 - torch.hypot(y[:, None] - place, x - 20)) / 0.6) for place in (15.5, 24.5)]
    both = (discs[0] + discs[1]).expand(1, 1, 4, -1, -1).clone()
    grid = Grid(spacing=spacing, dt=1.0)
    assert bool(LAW.satisfied(both, grid, TOLERANCE))
    both[0, 0, 2] = discs[0]
    assert not bool(LAW.satisfied(both, grid, TOLERANCE))
    assert LAW.describe(both, grid)["objects"] == [[2]]
