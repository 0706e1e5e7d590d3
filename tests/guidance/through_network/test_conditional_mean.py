"""The conditional mean of Gaussian priors, for linear constraints and what is hard about others."""

import pytest
import torch
from torch import Tensor

from physgen.constraints import Equality, Inequality
from physgen.guidance.through_network.conditional_mean import ConditionalMean, conditional_move

N = 12


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


W, B = random(3, N, seed=7), random(3, seed=8)
LINEAR = Equality(lambda x: x @ W.T - B)
ROOT = random(N, N, seed=9)
PRIOR = ROOT @ ROOT.T + 0.05 * torch.eye(N, dtype=torch.float64)


def estimate(x_t: Tensor, sigma: float) -> Tensor:
    noisy = (1 - sigma) ** 2 * PRIOR + sigma**2 * torch.eye(N, dtype=torch.float64)
    return torch.linalg.solve(noisy, ((1 - sigma) * x_t).T).T @ PRIOR


def posterior_mean(x0_hat: Tensor, rows: Tensor, values: Tensor, sigma: float) -> Tensor:
    C = torch.linalg.inv(torch.linalg.inv(PRIOR) + ((1 - sigma) / sigma) ** 2 * torch.eye(N, dtype=torch.float64))
    return x0_hat + torch.linalg.solve(rows @ C @ rows.T, (values - x0_hat @ rows.T).T).T @ rows @ C


@pytest.mark.parametrize("sigma", [0.05, 0.5, 0.95])
def test_as_many_steps_as_constraints_give_the_posterior_mean(sigma: float) -> None:
    x_t = random(2, N, seed=1).requires_grad_()
    x0_hat = estimate(x_t, sigma)
    found = ConditionalMean([LINEAR], steps=3).correct(x0_hat, x_t=x_t, sigma=sigma)
    torch.testing.assert_close(found, posterior_mean(x0_hat, W, B, sigma).detach(), rtol=1e-4, atol=1e-5)


def test_every_step_comes_nearer() -> None:
    x_t, sigma = random(2, N, seed=1).requires_grad_(), 0.5
    x0_hat = estimate(x_t, sigma)
    exact = posterior_mean(x0_hat, W, B, sigma)
    errors = [
        float((ConditionalMean([LINEAR], steps=steps).correct(x0_hat, x_t=x_t, sigma=sigma) - exact).norm())
        for steps in (1, 2, 3)
    ]
    assert float((x0_hat - exact).norm()) > errors[0] > errors[1] > 10 * errors[2]


def test_a_satisfied_inequality_is_left_alone_and_a_violated_one_is_an_equality() -> None:
    x_t, sigma = random(2, N, seed=1).requires_grad_(), 0.5
    x0_hat = estimate(x_t, sigma)
    slack = Inequality(lambda x: x[:, :1] - 100)
    torch.testing.assert_close(ConditionalMean([slack]).correct(x0_hat, x_t=x_t, sigma=sigma), x0_hat.detach())
    tight = Inequality(lambda x: x[:, :1] + 100)
    first = torch.eye(N, dtype=torch.float64)[:1]
    exact = posterior_mean(x0_hat, first, torch.tensor([-100.0]).double(), sigma).detach()
    torch.testing.assert_close(ConditionalMean([tight]).correct(x0_hat, x_t=x_t, sigma=sigma), exact)


def test_where_x_t_says_nothing_it_projects() -> None:
    x_t = random(2, N, seed=1).requires_grad_()
    found = ConditionalMean([LINEAR]).correct(0 * x_t, x_t=x_t, sigma=1.0)
    torch.testing.assert_close(found, (torch.linalg.pinv(W) @ B).expand(2, N), rtol=1e-5, atol=1e-6)


def test_a_sample_that_is_not_finite_is_dropped_alone() -> None:
    x_t, sigma = random(2, N, seed=1), 0.5
    x_t[1, 0] = torch.nan
    x_t.requires_grad_()
    correction = ConditionalMean([LINEAR], steps=3).correction(estimate(x_t, sigma), x_t=x_t, sigma=sigma)
    assert correction.dropped == 1
    alone = x_t.detach()[:1].requires_grad_()
    expected = ConditionalMean([LINEAR], steps=3).correct(estimate(alone, sigma), x_t=alone, sigma=sigma)
    torch.testing.assert_close(correction.x0[:1], expected)


def test_more_products_than_constraints_in_float32() -> None:
    row = random(1, N, seed=7).float()
    P, C = (row.T @ row) / row.square().sum(), PRIOR.float()
    exact = (row @ C / (row @ C @ row.T)).expand(64, N)
    shortfall = (torch.linspace(0.5, 2.0, 64)[:, None] * row) / row.square().sum()
    found = conditional_move(shortfall, lambda v: v @ P, lambda v: v @ C, 8)
    torch.testing.assert_close(found, torch.linspace(0.5, 2.0, 64)[:, None] * exact, rtol=1e-3, atol=1e-4)
