"""The samplers that are compared, each from the same noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.experiments.benchmark_guidance.conditional_mean import (
    conditional_mean,
    covariance_by_backward,
    covariance_by_difference,
)
from physgen.experiments.benchmark_guidance.levels import descend, levels
from physgen.experiments.benchmark_guidance.linear import Linear
from physgen.experiments.benchmark_guidance.mixture import Conditioned, Mixture
from physgen.experiments.benchmark_guidance.network import Counted
from physgen.experiments.benchmark_guidance.peers import eci, pcfm

#: levels of the arms that take most of their steps at low noise, where the components part
SHIFT = 0.3


@dataclass(frozen=True)
class Case:
    """What a sampler gets: the network, the constraints, noise ``[B, N]``, and a budget of network evaluations."""

    prior: Mixture
    posterior: Conditioned
    law: Linear
    network: Counted
    noise: Float[Tensor, "B N"]
    evaluations: int
    generator: torch.Generator

    def clean(self, x: Tensor, sigma: float) -> Tensor:
        """x0_hat."""
        return x - sigma * self.network(x, sigma)


Sampler = Callable[[Case], Tensor]


def exact(case: Case) -> Tensor:
    """Draws from the posterior: what no sampler beats."""
    return case.posterior.sample(len(case.noise), case.generator)


def unguided(case: Case) -> Tensor:
    """The prior's samples, projected at the end."""
    return case.law.project(descend(case.clean, case.noise, levels(case.evaluations), 0.0, case.generator))


def published_eci(case: Case, mixing: int) -> Tensor:
    """ECI; with one mixing step it is PCFM without penalty."""
    sigmas = levels(case.evaluations // mixing)
    return eci(case.network, case.noise, sigmas, case.law.project, mixing=mixing)


def published_pcfm(case: Case) -> Tensor:
    """PCFM with its released defaults."""
    return pcfm(case.network, case.noise, levels(case.evaluations), case.law.project, case.law.residual)


def projection(case: Case, renoise: float) -> Tensor:
    """Every estimate projected."""

    def estimate(x: Tensor, sigma: float) -> Tensor:
        return case.law.project(case.clean(x, sigma))

    return descend(estimate, case.noise, levels(case.evaluations), renoise, case.generator)


def pigdm(case: Case, renoise: float) -> Tensor:
    """PiGDM with the r^2 of white samples of unit variance, projected at the end.

    These samples are neither, so its steps are too long wherever the constraints see a large part of the variance.
    """

    def estimate(x: Tensor, sigma: float) -> Tensor:
        x = x.detach().requires_grad_()
        x0_hat = case.clean(x, sigma)
        if sigma == 1:
            return x0_hat
        covariance = covariance_by_backward(x0_hat, x, sigma)
        unit = sigma**2 / (sigma**2 + (1 - sigma) ** 2)
        return x0_hat + covariance(case.law.shortfall(x0_hat.detach())) / unit

    return case.law.project(descend(estimate, case.noise, levels(case.evaluations), renoise, case.generator))


def conditional(case: Case, *, products: int, renoise: float, backward: bool) -> Tensor:
    """Conditional means of a Gaussian x_0 given x_t, projected at the end: PiGDM with steps of the right length.

    Products with its covariance are backward passes, or further evaluations that come off the budget.
    """

    def estimate(x: Tensor, sigma: float) -> Tensor:
        x = x.detach().requires_grad_(backward)
        x0_hat = case.clean(x, sigma)
        if sigma == 1:
            return x0_hat
        covariance = (
            covariance_by_backward(x0_hat, x, sigma)
            if backward
            else covariance_by_difference(partial(case.clean, sigma=sigma), x0_hat, x, sigma)
        )
        shortfall = case.law.shortfall(x0_hat.detach())
        return conditional_mean(x0_hat, shortfall, case.law.row_space, covariance, products)

    steps = case.evaluations if backward else case.evaluations // (1 + products)
    return case.law.project(descend(estimate, case.noise, levels(steps, SHIFT), renoise, case.generator))


def ensemble(case: Case, *, members: int, renoise: float) -> Tensor:
    """Conditional means with the covariance of a Gaussian prior that an ensemble of unguided samples gives.

    Cov[x_0 | x_t] = (C^-1 + (1 - s)^2 / s^2)^-1; the ensemble's own evaluations, made once for all initial conditions,
    are not counted.
    """
    draws = case.prior.sample(members, torch.Generator().manual_seed(members))
    variances, vectors = torch.linalg.eigh(torch.cov(draws.T))
    seen = case.law.jacobian @ vectors

    def estimate(x: Tensor, sigma: float) -> Tensor:
        x0_hat = case.clean(x, sigma)
        left = 1 / (1 / variances.clamp(min=1e-12) + (1 - sigma) ** 2 / sigma**2)
        gram = (seen * left) @ seen.T
        damped = gram + 1e-6 * gram.trace() / len(gram) * torch.eye(len(gram), dtype=gram.dtype)
        return x0_hat - torch.linalg.solve(damped, case.law.residual(x0_hat).T).T @ (seen * left) @ vectors.T

    return case.law.project(descend(estimate, case.noise, levels(case.evaluations, SHIFT), renoise, case.generator))


#: names in the table, in its order; settings of the last five were found on initial conditions 0 to 9
ARMS: dict[str, Sampler] = {
    "exact draws": exact,
    "unguided": unguided,
    "ECI, mix 1": partial(published_eci, mixing=1),
    "ECI, mix 5": partial(published_eci, mixing=5),
    "PCFM": published_pcfm,
    "projection, eta 0.5": partial(projection, renoise=0.5),
    "PiGDM, eta 0.3": partial(pigdm, renoise=0.3),
    "ensemble of 256": partial(ensemble, members=256, renoise=0.1),
    "conditional mean, 1 forward": partial(conditional, products=1, renoise=0.5, backward=False),
    "conditional mean, 2 forward": partial(conditional, products=2, renoise=0.1, backward=False),
    "conditional mean, 1 backward": partial(conditional, products=1, renoise=0.7, backward=True),
    "conditional mean, 2 backward": partial(conditional, products=2, renoise=0.1, backward=True),
}
