"""As many objects as the text says: exact pictures, simulated cells and colonies, one too many, gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from cells_of_blood import GRID, clips, with_a_cell
from torch import Tensor

from physgen.constraints import Count
from physgen.constraints.objects.euler_number import euler_number
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.simulators import growth

#: part of the frames that may be wrong
TOLERANCE = 0.1
OPEN = Grid(spacing=(1.0, 1.0), dt=1.0)


def discs(places: list[tuple[float, float]], size: int = 32) -> Tensor:
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    each = [torch.sigmoid((4 - torch.hypot(y - a, x - b)) / 0.6) for a, b in places]
    return torch.stack(each).amax(0).expand(1, 1, 2, size, size)


def test_euler_number_is_that_of_skimage() -> None:
    from skimage.measure import euler_number as known

    generator = np.random.default_rng(0)
    for density in (0.2, 0.5, 0.8):
        picture = generator.random((20, 20)) < density
        found = euler_number(torch.from_numpy(picture.astype(float)), wraps=False)
        assert float(found) == known(picture, connectivity=1)


def test_euler_number_does_not_know_where_a_periodic_frame_begins() -> None:
    picture = torch.rand(12, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = euler_number(picture.roll((5, 3), (0, 1)), wraps=True)
    torch.testing.assert_close(euler_number(picture, wraps=True), moved)


@pytest.mark.parametrize("places", [[(8, 8)], [(8, 8), (24, 20)], [(6, 6), (6, 24), (24, 8), (24, 24)]])
def test_exact_pictures(places: list[tuple[float, float]]) -> None:
    law, fields = Count(len(places)), discs(places)
    assert law.residual(fields, OPEN).abs().max() < 0.02
    assert law.satisfied(fields, OPEN, 0.0).all()
    assert not Count(len(places) + 1).satisfied(fields, OPEN, 0.0).any()


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_cells_are_counted_and_one_more_is_found(noise: float) -> None:
    fields, numbers = clips(8, noise)
    right = more = fewer = 0
    for x, number in zip(fields, numbers, strict=True):
        law = Count(number)
        right += int(law.satisfied(x[None], GRID, TOLERANCE))
        more += int(law.satisfied(with_a_cell(x[None], slice(12, None)), GRID, TOLERANCE))
        fewer += int(Count(number + 1).satisfied(with_a_cell(x[None], slice(0, 20)), GRID, TOLERANCE))
    assert right == 8
    assert more + fewer == 0


def test_colonies_in_the_first_frame() -> None:
    names = ("two colonies", "three colonies")
    drawn = [{"kind": "colony", "colour": "white", "count": name, "speed": "slowly"} for name in names]
    simulated = growth.simulate(2, rng=np.random.default_rng(2), attributes=drawn)
    found = Count(1).hard_count(torch.from_numpy(simulated.fields[:, :, :1]), simulated.grid)
    assert found.flatten().tolist() == [2, 3]


def test_gradient() -> None:
    fields = (discs([(6, 6), (6, 14)], 20) * torch.tensor([1.0, 0.6])[:, None, None]).clone()
    fields = fields + 1e-3 * torch.rand(fields.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for law in (Count(1), Count(3, 0.5, 2)):
        small = fields[..., 2:12, 2:18].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, law=law: law.residual(x, OPEN), (small,))


def test_gradient_makes_a_dim_object_count() -> None:
    """A disc at a little less than half of the contrast grows brighter until there are two."""
    bright, dim = discs([(8, 8)]), discs([(24, 22)])
    law = Count(2)
    fields = (bright + 0.42 * dim).clone()
    assert not law.satisfied(fields, OPEN, 0.0).any()
    for _ in range(200):
        fields.requires_grad_()
        (gradient,) = torch.autograd.grad(law.loss(fields, OPEN).sum(), fields)
        fields = (fields - 0.05 * gradient).detach()
    assert law.loss(fields, OPEN).max() < law.loss(bright + 0.42 * dim, OPEN).max() / 4


def test_abstains() -> None:
    assert Count(1).describe(torch.zeros(1, 1, 3, 16, 16), OPEN)["abstains"] == ["the fields are empty"]
    assert Count(1).describe(discs([(8, 8)]), OPEN) == {"objects": [[1]], "abstains": [None]}


@pytest.mark.parametrize(
    "call",
    [lambda: Count(-1), lambda: Count((3, 1)), lambda: Count((1, 2, 3)), lambda: Count(True)],
)
def test_refuses(call: Callable[[], Any]) -> None:
    with pytest.raises(InvalidArgument, match="count="):
        call()


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_a_uniform_frame_shows_nothing(threshold: float | None) -> None:
    law = Count(0, threshold=threshold)
    assert law.residual(torch.zeros(1, 1, 2, 8, 8), OPEN).abs().max() == 0


def test_many_objects_that_meet_across_an_edge_are_counted() -> None:
    stripes = torch.zeros(1, 1, 1, 2, 2400, dtype=torch.float64)
    stripes[..., ::2] = 1
    assert Count(1200).hard_count(stripes, Grid(spacing=(1.0, 1.0), dt=1.0, boundary="periodic")).item() == 1200
    halves = torch.zeros(1, 1, 1, 5, 2400, dtype=torch.float64)
    halves[..., [0, 1, 3, 4], ::2] = 1
    assert Count(1200).hard_count(halves, Grid(spacing=(1.0, 1.0), dt=1.0, boundary="periodic")).item() == 1200
    assert Count(2400).hard_count(halves, OPEN).item() == 2400
