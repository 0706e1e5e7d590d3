"""Denoisers, velocities and PhysicsNeMo's scores of an analytic Gaussian prior, guided onto a linear set."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.guidance import Correction, Guidance, Projection, X0Gradient
from physgen.sampling import PhysicsNeMoGuidance, guided_denoiser, guided_velocity

SHAPE = (2, 3, 4, 4)
MEAN, VARIANCE = 0.7, 0.25
Linear = Callable[[Sequence[int]], Constraint]


def posterior_mean(x: Tensor, a: float, b: float) -> Tensor:
    """E[x0 | x] for x = a x0 + b e, x0 ~ N(MEAN, VARIANCE)."""
    return MEAN + a * VARIANCE / (a * a * VARIANCE + b * b) * (x - a * MEAN)


def velocity(x: Tensor, sigma: float | Tensor) -> Tensor:
    a, b = 1 - float(sigma), float(sigma)
    return b / (a * a * VARIANCE + b * b) * (x - a * MEAN) - posterior_mean(x, a, b)


def denoiser(x: Tensor, sigma: float | Tensor) -> Tensor:
    return posterior_mean(x, 1.0, float(torch.as_tensor(sigma).flatten()[0]))


def noise(batch: int = 3) -> Tensor:
    return torch.randn(batch, *SHAPE, generator=torch.Generator().manual_seed(0))


def distance(constraint: Constraint, x: Tensor) -> float:
    return float((x - constraint.project(x, None)).abs().max() / x.abs().max())


class Derivative(X0Gradient):
    """Keeps the product of a vector of ones with d x0_hat / d x_t."""

    through_network = True

    def correction(self, x0_hat: Tensor, **arguments: Any) -> Correction:
        (self.product,) = torch.autograd.grad(x0_hat.sum(), arguments["x_t"])
        self.sigma = arguments["sigma"]
        return Correction(x0_hat.detach(), {}, 0.0, 0)


# --- velocity


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_velocity_ends_on_the_set(method: str, linear_set: Linear) -> None:
    constraint = linear_set(SHAPE)
    guided = guided_velocity(velocity, Projection([constraint]))
    x = odeint(lambda s, x: guided(x, s), noise(), torch.linspace(1, 0, 21), method=method)[-1]
    assert distance(constraint, x) <= 1e-5


def test_distance_falls_with_sigma_in_an_adaptive_solver(linear_set: Linear) -> None:
    constraint = linear_set(SHAPE)
    guided = guided_velocity(velocity, Projection([constraint]))
    x = noise().double()
    end = odeint(lambda s, x: guided(x, s), x, torch.tensor([1.0, 1e-3]).double(), rtol=1e-7, atol=1e-9)[-1]
    residual = constraint.residual(end, None) / constraint.residual(x, None)
    assert torch.allclose(residual, torch.full_like(residual, 1e-3), rtol=1e-2)


def test_velocity_without_correction_is_the_velocity(linear_set: Linear) -> None:
    guided = guided_velocity(velocity, Derivative([linear_set(SHAPE)]))
    for sigma in (1.0, 0.3, torch.tensor(0.3), 0.0):
        assert torch.allclose(guided(noise(), sigma), velocity(noise(), sigma), atol=1e-5)


def test_guided_samples_have_the_law_of_the_prior_on_the_set(linear_set: Linear) -> None:
    """Off the set, a projection changes nothing: directions within it keep mean and variance of the prior."""
    constraint = linear_set(SHAPE)
    guided = guided_velocity(velocity, Projection([constraint]))
    steps = torch.linspace(1, 0, 41)
    start = noise(64)
    x = odeint(lambda s, x: guided(x, s), start, steps, method="midpoint")[-1]
    plain = odeint(lambda s, x: velocity(x, s), start, steps, method="midpoint")[-1]
    assert torch.allclose(x, constraint.project(plain, None), atol=1e-4)


# --- denoiser


def test_denoiser_ends_on_the_set(linear_set: Linear) -> None:
    """Euler steps of k-diffusion; the last goes to sigma = 0."""
    constraint, sigmas = linear_set(SHAPE), [80.0, 20.0, 5.0, 1.0, 0.2, 0.0]
    guided = guided_denoiser(denoiser, Projection([constraint]))
    x = sigmas[0] * noise()
    for k, following in pairwise(sigmas):
        x = x + (x - guided(x, torch.full((len(x),), k))) / k * (following - k)
    assert distance(constraint, x) <= 1e-5


def test_denoiser_sees_flow_matching_and_passes_arguments(linear_set: Linear) -> None:
    guidance, seen = Derivative([linear_set(SHAPE)]), []

    def conditional(x: Tensor, sigma: Tensor, label: str) -> Tensor:
        seen.append(label)
        return denoiser(x, sigma)

    k = 3.0
    guided_denoiser(conditional, guidance)(noise(), torch.full((3,), k), label="cell")
    slope = (1 + k) * VARIANCE / (VARIANCE + k * k)
    assert seen == ["cell"]
    assert guidance.sigma == 0.75
    assert torch.allclose(guidance.product, torch.full_like(guidance.product, slope))


# --- PhysicsNeMo


def alpha(t: Tensor) -> Tensor:
    return torch.cos(t)


def test_score_is_that_of_the_corrected_sample(linear_set: Linear) -> None:
    constraint, x, t = linear_set(SHAPE), noise(), torch.full((3,), 0.6)
    a, b = math.cos(0.6), math.sin(0.6)
    x_0 = posterior_mean(x, a, b)
    term = PhysicsNeMoGuidance(Projection([constraint]), alpha=alpha, sigma=torch.sin)(x, t, x_0)
    score = (a * x_0 - x) / b**2 + term
    assert torch.allclose((x + b**2 * score) / a, constraint.project(x_0, None), atol=1e-5)


def test_derivative_goes_through_the_predictor(linear_set: Linear) -> None:
    guidance, t = Derivative([linear_set(SHAPE)]), torch.full((3,), 0.6)
    a, b = math.cos(0.6), math.sin(0.6)
    x = noise().requires_grad_()
    PhysicsNeMoGuidance(guidance, alpha=alpha, sigma=torch.sin)(x, t, posterior_mean(x, a, b))
    slope = (a + b) * a * VARIANCE / (a * a * VARIANCE + b * b)
    assert torch.allclose(guidance.product, torch.full_like(guidance.product, slope))
    with pytest.raises(InvalidArgument, match="without a graph"):
        PhysicsNeMoGuidance(guidance)(noise(), t, noise())


def test_in_physicsnemo(linear_set: Linear) -> None:
    nemo = pytest.importorskip("physicsnemo.diffusion.guidance")
    schedulers = pytest.importorskip("physicsnemo.diffusion.noise_schedulers")
    constraint, scheduler = linear_set(SHAPE), schedulers.EDMNoiseScheduler()
    guidance = PhysicsNeMoGuidance(Projection([constraint]), alpha=scheduler.alpha, sigma=scheduler.sigma)
    assert isinstance(guidance, nemo.DPSGuidance)
    predictor = nemo.DPSScorePredictor(denoiser, scheduler.x0_to_score, guidance)
    x, t = 2 * noise(), torch.full((3,), 2.0)
    assert distance(constraint, x + 4 * predictor(x, t)) <= 1e-5


# --- refusals


@pytest.mark.parametrize("make", [guided_denoiser, guided_velocity, lambda _, guidance: PhysicsNeMoGuidance(guidance)])
@pytest.mark.parametrize("window", [{"start": 0.5}, {"stop": 0.5}, {"every": 2}])
def test_windows_need_a_schedule(
    make: Callable[[Any, Guidance], Any], window: dict[str, Any], linear_set: Linear
) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(window))):
        make(denoiser, Projection([linear_set(SHAPE)], **window))


def test_levels_that_differ_are_refused(linear_set: Linear) -> None:
    guidance = Projection([linear_set(SHAPE)])
    with pytest.raises(InvalidArgument, match="sigma"):
        guided_denoiser(denoiser, guidance)(noise(), torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(InvalidArgument, match="sigma"):
        PhysicsNeMoGuidance(guidance)(noise(), torch.tensor([1.0, 2.0, 3.0]), noise())


def test_decode_of_another_shape_is_refused(linear_set: Linear) -> None:
    guided = guided_velocity(velocity, X0Gradient([linear_set(SHAPE)]), decode=lambda x: x.sum())
    with pytest.raises(InvalidArgument, match="decode"):
        guided(noise(), 0.5)
