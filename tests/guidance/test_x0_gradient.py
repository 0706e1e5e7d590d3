"""The step length and its limit."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import Constraint, MassConservation
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import X0Gradient


class Sphere(Constraint):
    """||fields||^2 / n = 1: curved, so that one Newton step does not finish."""

    name = "sphere"

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return fields.flatten(1).square().mean(1, keepdim=True) - 1


class Constant(Constraint):
    name = "constant"

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return 0 * fields.flatten(1).sum(1, keepdim=True) + 1


class Counted:
    """A linear decode that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, z: Tensor) -> Tensor:
        self.calls += 1
        return 0.5 * z + 0.1


def test_one_step_solves_a_residual_of_rank_one(hyperplane: Any, x0_hat: Tensor) -> None:
    decode = Counted()
    x0 = X0Gradient([hyperplane]).correct(x0_hat, x_t=x0_hat, sigma=0.9, decode=decode)
    assert hyperplane.residual(decode(x0), None).abs().max() < 1e-5
    normal = hyperplane.normal.view_as(x0_hat[0])
    off_normal = (x0 - x0_hat) - ((x0 - x0_hat) * normal).sum(
        (1, 2, 3, 4), keepdim=True
    ) / normal.square().sum() * normal
    assert off_normal.abs().max() < 1e-5


def test_inner_steps_converge_on_a_curved_constraint(x0_hat: Tensor) -> None:
    start = 1.5 * x0_hat
    guided = [X0Gradient([Sphere()], steps=k).correct(start, x_t=start, sigma=0.9) for k in (1, 2, 5)]
    errors = [float(Sphere().residual(x0, None).abs().max()) for x0 in guided]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-5


@pytest.mark.parametrize("steps", [1, 3])
def test_one_decode_per_inner_step_and_the_residual_is_of_the_first(
    hyperplane: Any, x0_hat: Tensor, steps: Any
) -> None:
    decode = Counted()
    correction = X0Gradient([hyperplane], steps=steps).correction(x0_hat, x_t=x0_hat, sigma=0.9, decode=decode)
    assert decode.calls == steps
    before = hyperplane.residual(decode(x0_hat), None).square().mean().sqrt()
    assert correction.residuals["hyperplane"] == pytest.approx(float(before))


@pytest.mark.parametrize("sigma", [0.02, 0.5])
@pytest.mark.parametrize("steps", [1, 4])
def test_move_is_capped_by_the_uncertainty_of_x0(hyperplane: Any, x0_hat: Tensor, sigma: float, steps: Any) -> None:
    hyperplane.offset = 1e3
    move = X0Gradient([hyperplane], steps=steps).correct(x0_hat, x_t=x0_hat, sigma=sigma) - x0_hat
    cap = sigma / math.hypot(sigma, 1 - sigma)
    assert torch.allclose(move.flatten(1).square().mean(1).sqrt(), torch.tensor(cap), rtol=1e-4)


def test_nothing_moves_without_noise(hyperplane: Any, x0_hat: Tensor) -> None:
    assert torch.equal(X0Gradient([hyperplane]).correct(x0_hat, x_t=x0_hat, sigma=0.0), x0_hat)


def test_satisfied_constraints_move_nothing(x0_hat: Tensor) -> None:
    zero = torch.zeros_like(x0_hat)
    correction = X0Gradient([MassConservation()]).correction(
        zero, x_t=zero, sigma=0.9, grid=Grid(spacing=(1.0, 1.0), dt=1.0)
    )
    assert torch.equal(correction.x0, zero)
    assert correction.dropped == 0


def test_violation_without_a_gradient_is_dropped_and_counted(x0_hat: Tensor) -> None:
    correction = X0Gradient([Constant()]).correction(x0_hat, x_t=x0_hat, sigma=0.9)
    assert torch.equal(correction.x0, x0_hat)
    assert correction.dropped == len(x0_hat)


def test_decode_without_gradients_is_refused(hyperplane: Any, x0_hat: Tensor) -> None:
    with pytest.raises(InvalidArgument, match="differentiable"):
        X0Gradient([hyperplane]).correct(x0_hat, x_t=x0_hat, sigma=0.9, decode=lambda z: z.detach())


def test_mass_is_approached_through_a_nonlinear_decode() -> None:
    grid, mass, decode = Grid(spacing=(1.0, 1.0), dt=1.0), MassConservation(), torch.sigmoid
    latents = torch.randn(2, 1, 5, 8, 8, generator=torch.Generator().manual_seed(3))
    latents = latents + torch.linspace(0, 1, 5).view(5, 1, 1)
    guided = [
        X0Gradient([mass], steps=k).correct(latents, x_t=latents, sigma=0.5, decode=decode, grid=grid) for k in (1, 3)
    ]
    before, one, three = (float(mass.residual(decode(z), grid).abs().max()) for z in [latents, *guided])
    assert one < before / 2
    assert three < before / 20
