import re
from collections.abc import Callable

import jaxtyping
import pytest
import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.observables import ColourMap, Intensity, Observable

DARK, BRIGHT = (0.04, 0.04, 0.04), (0.95, 0.9, 0.93)
ONE = ColourMap([(0.05, 0.88, 0.15)], DARK, ("green",))
TWO = ColourMap([(0.30, 0.46, 0.04), (0.50, 0.05, 0.26)], DARK, ("a", "b"), unit="µM", maximum=1.2)
THREE = ColourMap([(0.8, 0.1, 0.0), (0.1, 0.7, 0.2), (0.0, 0.1, 0.6)], (0.02, 0.05, 0.1), ("r", "g", "b"))
STAIN = ColourMap([(-0.6, -0.8, -0.3)], BRIGHT, ("stain",))
GREY = Intensity(background=0.1, scale=0.5)
OBSERVABLES = [ONE, TWO, THREE, STAIN, GREY]


def render(observable: ColourMap, fields: Tensor) -> Tensor:
    mixing = torch.tensor(observable.colours, dtype=fields.dtype)
    background = torch.tensor(observable.background, dtype=fields.dtype).view(3, 1, 1, 1)
    return background + torch.einsum("sc,bsthw->bcthw", mixing, fields)


def random_fields(observable: ColourMap, generator: torch.Generator) -> Tensor:
    shape = (2, len(observable.species), 3, 8, 6)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * min(observable.maximum, 1.0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("observable", OBSERVABLES)
def test_reads_what_the_map_renders(observable: ColourMap, generator: torch.Generator) -> None:
    fields = random_fields(observable, generator)
    video = render(observable, fields)
    torch.testing.assert_close(observable(video), fields, rtol=0, atol=1e-14)
    single = observable(video.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), fields, rtol=0, atol=1e-6)


@pytest.mark.parametrize("observable", OBSERVABLES)
def test_is_the_least_squares_solution(observable: ColourMap, generator: torch.Generator) -> None:
    video = torch.rand(2, 3, 3, 8, 6, generator=generator, dtype=torch.float64)
    best = observable(video)
    error = (render(observable, best) - video).square().sum()
    for _ in range(20):
        other = best + 1e-3 * torch.randn(best.shape, generator=generator, dtype=torch.float64)
        assert (render(observable, other) - video).square().sum() > error


@pytest.mark.parametrize("observable", [ONE, THREE])
def test_gradient(observable: ColourMap, generator: torch.Generator) -> None:
    video = torch.randn(1, 3, 2, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(observable, (video,))
    (gradient,) = torch.autograd.grad(observable(video.float()).sum(), video)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("observable", OBSERVABLES)
def test_embed_sets_the_fields_inside_the_range(observable: ColourMap, generator: torch.Generator) -> None:
    fields = random_fields(observable, generator)
    low, high = observable.gamut
    if low < 0 or high > 1:
        fields *= 0.5
    raw = 0.5 + torch.randn(2, 3, 3, 8, 6, generator=generator, dtype=torch.float64)
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 2e-6)):
        video = observable.embed(raw.to(dtype), fields)
        assert video.dtype == dtype
        assert video.min() >= 0
        assert video.max() <= 1
        torch.testing.assert_close(observable(video).double(), fields, rtol=0, atol=tolerance)


@pytest.mark.parametrize("observable", [ONE, TWO, STAIN])
def test_embed_is_nearest_where_there_is_room(observable: ColourMap, generator: torch.Generator) -> None:
    """Projection onto an affine set: the move is orthogonal to every direction that leaves the fields alone."""
    fields = 0.4 + 0.1 * random_fields(observable, generator)
    video = render(observable, fields) + 0.01 * torch.randn(2, 3, 3, 8, 6, generator=generator, dtype=torch.float64)
    wanted = fields + 0.05
    nearest = observable.embed(video, wanted)
    direction = torch.randn(video.shape, generator=generator, dtype=torch.float64)
    direction -= render(observable, observable(direction)) - render(observable, torch.zeros_like(fields))
    direction -= render(observable, observable(direction)) - render(observable, torch.zeros_like(fields))
    direction -= direction.mul(0)
    along = render(observable, observable(direction)) - render(observable, torch.zeros_like(fields))
    free = direction - along - (observable.embed(torch.zeros_like(video), torch.zeros_like(fields)) * 0)
    base = observable(torch.zeros_like(video))
    free = free + render(observable, base) - render(observable, torch.zeros_like(fields))
    torch.testing.assert_close(observable(video + free), observable(video), rtol=0, atol=1e-12)
    assert abs(float(((nearest - video) * free).sum())) < 1e-10
