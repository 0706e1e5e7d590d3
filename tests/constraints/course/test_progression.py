"""What only grows: exact regression, simulated growth, growth that is undone, real nuclei, where it abstains."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from physgen.constraints import Progression
from physgen.constraints.course.isotonic import nearest_rising
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.simulators import growth
from physgen.video import read_video

GRID = Grid(spacing=(1.0, 1.0), dt=1.0)
#: what true clips meet
TOLERANCE = 0.01


def clips(count: int, noise: float = 0.0, seed: int = 3) -> Tensor:
    fields = torch.from_numpy(growth.simulate(count, rng=np.random.default_rng(seed)).fields)
    return fields + noise * torch.randn(fields.shape, generator=torch.Generator().manual_seed(seed))


def undone(fields: Tensor) -> Tensor:
    return torch.cat([fields[:, :, :17], fields[:, :, 9:17].flip(2)], 2)


def swapped(fields: Tensor) -> Tensor:
    return fields[:, :, [*range(8), *range(14, 20), *range(8, 14), *range(20, 25)]]


def falling(fields: Tensor) -> Tensor:
    return torch.cat([fields[:, :, :20], 0.8 * fields[:, :, 15:20]], 2)


def test_regression_is_that_of_scipy() -> None:
    series = torch.randn(40, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = np.stack([isotonic_regression(row).x for row in series.numpy()])
    np.testing.assert_allclose(nearest_rising(series).numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("of", ["amount", "area", "pixels"])
@pytest.mark.parametrize("direction", ["grows", "shrinks"])
def test_gradient_where_scalars_fall(of: str, direction: str) -> None:
    fields = torch.rand(2, 1, 7, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    law = Progression(of, direction)
    assert torch.autograd.gradcheck(lambda x: law.residual(x, GRID), (fields.requires_grad_(),))


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("of", ["amount", "area"])
def test_growth_is_told_from_growth_that_is_undone(of: str, noise: float) -> None:
    law, true = Progression(of), clips(10, noise)
    assert law.satisfied(true, GRID, TOLERANCE).all()
    assert not Progression(of, "shrinks").satisfied(true, GRID, TOLERANCE).any()
    for fault in (undone, swapped, falling):
        assert law.satisfied(fault(true), GRID, TOLERANCE).double().mean() <= 0.2, fault.__name__


def test_pixels_of_simulated_growth_hardly_fall() -> None:
    law = Progression("pixels")
    assert law.satisfied(clips(3), GRID, 0.05).all()
    assert not law.satisfied(undone(clips(3)), GRID, 0.05).any()


@pytest.mark.parametrize("of", ["amount", "pixels"])
def test_projection_is_nearest(of: str) -> None:
    law, fields = Progression(of), undone(clips(2)).double()
    near = law.project(fields, GRID)
    assert law.satisfied(near, GRID, 1e-12).all()
    assert law.project(clips(2), GRID).sub(clips(2)).abs().max() < (1e-6 if of == "amount" else 0.2)
    others = [clips(2, seed=seed).double() for seed in (4, 5)]
    for other in (law.project(x, GRID) for x in (*others, torch.zeros_like(fields))):
        assert ((fields - near) * (other - near)).sum((1, 2, 3, 4)).max() <= 1e-9


def test_a_scale_does_not_count() -> None:
    law, fields = Progression("area"), undone(clips(2)).double()
    torch.testing.assert_close(law.residual(1e4 * fields, GRID), law.residual(fields, GRID))


def test_real_nuclei(shared: Path) -> None:
    """Nuclei that divide and condense: their area does not only grow, and the law does not say so."""
    frames = read_video(shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif").frames
    fields = torch.as_tensor(frames)[::3].double().mean(1)[None, None]
    assert not Progression("area").satisfied(fields, GRID, TOLERANCE).any()
    assert not Progression("area", "shrinks").satisfied(fields, GRID, TOLERANCE).any()


def test_abstains() -> None:
    law = Progression()
    still = clips(1)[:, :, :1].expand(-1, -1, 9, -1, -1)
    assert law.describe(still, GRID)["abstains"] == ["the fields are frozen"]
    assert law.describe(0 * still, GRID)["abstains"] == ["the fields are empty"]
    assert law.describe(clips(1), GRID)["abstains"] == [None]


@pytest.mark.parametrize("given", [{"of": "volume"}, {"direction": "up"}, {"threshold": float("nan")}])
def test_refuses(given: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(given))):
        Progression(**given)  # type: ignore[arg-type]


def test_area_has_no_projection() -> None:
    with pytest.raises(NotImplementedError, match="closed-form"):
        Progression("area").project(clips(1), GRID)


def test_more_values_than_torch_takes_a_quantile_of(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = torch.rand(1, 1, 5, 40, 40, generator=torch.Generator().manual_seed(0))
    law, grid = Progression("area"), Grid((1.0, 1.0), 1.0)
    exact = law.residual(fields, grid)
    monkeypatch.setattr("physgen.tensors.MOST", 1000)
    assert torch.allclose(law.residual(fields, grid), exact, atol=1e-4)
