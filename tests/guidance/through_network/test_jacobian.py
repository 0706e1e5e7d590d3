"""The network's Jacobian by one more evaluation, against the one by reverse mode."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from physgen.constraints import Equality
from physgen.errors import InvalidArgument
from physgen.guidance import DPS, TFG, Composition, ConditionalMean, PiGDM, X0Gradient
from physgen.guidance.solve.forward_difference import forward_difference
from physgen.sampling import sample_flow

N = 12
WEIGHT = torch.randn(3, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LAW = Equality(lambda x: x @ WEIGHT.T - 1.0)
ALGORITHMS: list[Any] = [DPS, PiGDM, ConditionalMean, TFG]


class Potential(nn.Module):
    """Gradient of a convex function, as a mean of x_0 given x_t is: its Jacobian is symmetric."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Parameter(
            torch.randn(20, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 4
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.inner.T) @ self.inner


NET = Potential().requires_grad_(False)
X = torch.randn(2, N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
ON = torch.randn(2, N, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_the_difference_converges_to_the_transposed_product_with_first_order() -> None:
    x = X.clone().requires_grad_()
    (exact,) = torch.autograd.grad(NET(x), x, ON)
    errors = [float((forward_difference(NET, X, NET(X), ON, step) - exact).norm()) for step in (1e-2, 5e-3, 2.5e-3)]
    assert errors[0] < 0.02 * float(exact.norm())
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(2.0, abs=0.1)


def test_a_sample_without_a_direction_has_none_and_does_not_spoil_the_others() -> None:
    on = ON.clone()
    on[0] = 0.0
    found = forward_difference(NET, X, NET(X), on, 0.1)
    assert not found[0].any()
    torch.testing.assert_close(found[1], forward_difference(NET, X, NET(X), ON, 0.1)[1])


def test_it_is_as_good_where_little_noise_is_left() -> None:
    """Prior of sd 0.01 and 1: at sigma = 0.02 the mean of x_0 bends within a twentieth of the noise."""
    at, sigma = torch.tensor([[0.011, 0.3]], dtype=torch.float64), 0.02

    def predict(x: Tensor) -> Tensor:
        signal = x / (1 - sigma)
        narrow = 0.01 * torch.tanh(signal[:, :1] / 0.01)
        return torch.cat([narrow, signal[:, 1:]], 1)

    x_t = at.clone().requires_grad_()
    exact = DPS(Equality(lambda x: x.sum(1) - 0.5)).correct(predict(x_t), x_t=x_t, sigma=sigma)
    law = DPS(Equality(lambda x: x.sum(1) - 0.5), jacobian="forward")
    found = law.correct(predict(at), x_t=at, sigma=sigma, predict=predict)
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-4)
    coarse = law.correction(predict(at), x_t=at, sigma=sigma, predict=predict, precision=torch.bfloat16).x0
    assert float((coarse - exact).abs().max()) > 5e-4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_guidance_takes_it_in_place_of_the_graph(algorithm: Any) -> None:
    x_t = X.clone().requires_grad_()
    exact = algorithm(LAW).correct(NET(x_t), x_t=x_t, sigma=0.5)
    calls: list[Tensor] = []

    def predict(x: Tensor) -> Tensor:
        calls.append(x)
        return NET(x)

    found = algorithm(LAW, jacobian="forward").correct(NET(X), x_t=X, sigma=0.5, predict=predict)
    moved = exact - NET(X)
    assert float((found - exact).norm()) < 0.1 * float(moved.norm())
    assert len(calls) == (2 if algorithm is ConditionalMean else 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sample_flow_needs_no_graph_for_it(algorithm: Any) -> None:
    def velocity(x: Tensor, s: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        assert not x.requires_grad
        return (2 * s - 1) * x / (s**2 + (1 - s) ** 2)

    guidance = algorithm(LAW, jacobian="forward", **({"recurrence": 1} if algorithm is TFG else {}))
    with torch.no_grad():
        found = sample_flow(velocity, X, torch.linspace(1, 0, 21, dtype=torch.float64), guidance=guidance)
    assert float(LAW.residual(found, None).abs().max()) < 0.1


def test_a_composition_takes_that_of_its_first() -> None:
    composed = Composition([DPS(LAW, stop=0.5, jacobian="forward"), X0Gradient(LAW, start=0.5)])
    assert (composed.through_network, composed.needs_graph) == (True, False)


def test_bad_input() -> None:
    with pytest.raises(InvalidArgument, match="jacobian='sideways': allowed: backward, forward"):
        DPS(LAW, jacobian="sideways")
    with pytest.raises(InvalidArgument, match="predict"):
        DPS(LAW, jacobian="forward").correct(NET(X), x_t=X, sigma=0.5)
