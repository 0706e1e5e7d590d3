import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from physgen.constraints.mass import capped_simplex
from physgen.constraints.mass.capped_simplex import project_capped_simplex


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("maximum", [1.0, 0.4, float("inf")])
@pytest.mark.parametrize("filling", [0.05, 0.5, 0.95])
def test_agrees_with_quadratic_programming(maximum: float, filling: float, generator: torch.Generator) -> None:
    points = torch.randn(8, generator=generator, dtype=torch.float64)
    total = filling * 8 * min(maximum, 1.0)
    solved = minimize(
        lambda x: 0.5 * np.sum((x - points.numpy()) ** 2),
        np.full(8, total / 8),
        jac=lambda x: x - points.numpy(),
        bounds=[(0, maximum)] * 8,
        constraints={"type": "eq", "fun": lambda x: x.sum() - total, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-15},
    )
    found = project_capped_simplex(points, torch.tensor(total, dtype=torch.float64), maximum)
    np.testing.assert_allclose(found.numpy(), solved.x, rtol=0, atol=1e-7)


@pytest.mark.parametrize("n", [1, 7, 64 * 64])
def test_sum_is_met_to_rounding(n: int, generator: torch.Generator) -> None:
    """Random, sparse, binary, constant, tiny and far-off points, from empty to full."""
    uniform = torch.rand(n, generator=generator, dtype=torch.float64)
    points = torch.stack([uniform, uniform.pow(20), uniform.round(), 0 * uniform, 1e-12 * uniform, 50 * uniform - 20])
    for filling in (0.0, 1e-9, 0.01, 0.3, 0.5, 1 - 1e-9, 1.0):
        total = torch.full((len(points),), filling * n, dtype=torch.float64)
        x = project_capped_simplex(points, total, 1.0)
        assert x.min() >= 0
        assert x.max() <= 1
        assert ((x.sum(-1) - total).abs() <= 1e-13 * n).all()
        assert ((x.sum(-1) - total).abs() <= 1e-12 * total + 1e-14 * n).all()


def test_newton_needs_few_steps(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    """Points over fifteen decades, on either side of both bounds; bisection alone takes more than fifty steps."""
    monkeypatch.setattr(capped_simplex, "ITERATIONS", 30)
    distance = 10 ** (3 - 15 * torch.rand(4, 1024, generator=generator, dtype=torch.float64))
    bound = torch.tensor([[0], [0], [1], [1]])
    points = bound + torch.tensor([[1], [-1], [1], [-1]]) * distance
    for filling in (1e-12, 1e-6, 0.01, 0.5, 0.99, 1 - 1e-6):
        total = torch.full((4,), filling * 1024, dtype=torch.float64)
        x = project_capped_simplex(points, total, 1.0)
        assert ((x.sum(-1) - total).abs() <= 1e-12 * total + 1e-14 * 1024).all()


def test_rows_do_not_wait_for_each_other(generator: torch.Generator) -> None:
    """A row that has its sum stays as it is while the others go on."""
    points = 10 ** (3 - 15 * torch.rand(5, 512, generator=generator, dtype=torch.float64))
    total = torch.tensor([1e-9, 1e-3, 1.0, 256.0, 511.0], dtype=torch.float64)
    together = project_capped_simplex(points, total, 1.0)
    for row in range(5):
        assert torch.equal(together[row], project_capped_simplex(points[row], total[row], 1.0))


def test_ties_at_the_bounds() -> None:
    """All at one bound or the other: the sum is flat around shift 0, and the root lies past the flat piece."""
    points = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    for total, expected in ((2.0, [0, 0, 1, 1]), (2.5, [0.25, 0.25, 1, 1]), (1.5, [0, 0, 0.75, 0.75])):
        x = project_capped_simplex(points, torch.tensor(total, dtype=torch.float64), 1.0)
        torch.testing.assert_close(x, torch.tensor(expected, dtype=torch.float64))
