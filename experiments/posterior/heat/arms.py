"""The samplers that are compared, each from the same noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Equality
from physgen.experiments.posterior.heat.differences import covariance_by_difference
from physgen.experiments.posterior.heat.linear import Linear
from physgen.experiments.posterior.heat.mixture import Conditioned, Mixture
from physgen.experiments.posterior.heat.videos import SHAPE
from physgen.experiments.posterior.levels import levels
from physgen.experiments.posterior.network import Counted
from physgen.experiments.posterior.peers import eci, pcfm
from physgen.guidance import (
    DPS,
    TFG,
    AugmentedLagrangian,
    BestOfN,
    ConditionalMean,
    Guidance,
    PiGDM,
    Projection,
    X0Gradient,
)
from physgen.guidance.through_network.conditional_mean import conditional_move
from physgen.sampling.flow import sample_flow

#: of the levels where settings are tuned: most steps at low noise, where the components part; better for all arms on
#: seeds 0 to 4
SHIFT = 0.3


@dataclass(frozen=True)
class Case:
    """What a sampler gets: network, constraints, noise ``[B, N]``, a budget of evaluations, the shift of levels."""

    prior: Mixture
    posterior: Conditioned
    laws: list[Equality]
    law: Linear
    network: Counted
    noise: Float[Tensor, "B N"]
    evaluations: int
    generator: torch.Generator
    shift: float = SHIFT

    def clean(self, x: Tensor, sigma: float) -> Tensor:
        """x0_hat."""
        return x - sigma * self.network(x, sigma)

    def flow(self, noise: Tensor, evaluations: int, guidance: Guidance | None = None) -> Tensor:
        """Samples by `sample_flow`, projected at the end."""
        x = sample_flow(
            lambda x, sigma: self.network(x.flatten(1), sigma).unflatten(1, SHAPE),
            noise.unflatten(1, SHAPE),
            torch.tensor(levels(evaluations, self.shift), dtype=noise.dtype),
            guidance=guidance,
            generator=self.generator,
        )
        return self.law.project(x.flatten(1))


Sampler = Callable[[Case], Tensor]


def exact(case: Case) -> Tensor:
    """Draws from the posterior: what no sampler beats."""
    return case.posterior.sample(len(case.noise), case.generator)


def unguided(case: Case) -> Tensor:
    """The prior's samples."""
    return case.flow(case.noise, case.evaluations)


def best_of(case: Case, n: int) -> Tensor:
    """The unguided sample of n that violates the constraints least, each with its part of the evaluations."""

    def draw() -> Tensor:
        noise = torch.randn(case.noise.shape, generator=case.generator, dtype=case.noise.dtype)
        return case.flow(noise, case.evaluations // n).unflatten(1, SHAPE)

    return case.law.project(BestOfN(case.laws, n=n).sample(draw).flatten(1))


def guided(case: Case, make: Callable[[list[Equality]], Guidance]) -> Tensor:
    """The library's guidances."""
    guidance = make(case.laws)
    again = 0 if guidance.needs_graph else guidance.products
    return case.flow(case.noise, case.evaluations // (guidance.recurrence * (1 + again)), guidance)


def published_eci(case: Case, mixing: int) -> Tensor:
    """ECI; with one mixing step it is PCFM without penalty."""
    sigmas = levels(case.evaluations // mixing, case.shift)
    return eci(case.network, case.noise, sigmas, case.law.project, mixing=mixing)


def published_pcfm(case: Case) -> Tensor:
    """PCFM with its released defaults."""
    return pcfm(case.network, case.noise, levels(case.evaluations, case.shift), case.law.project, case.law.residual)


def by_difference(case: Case, *, products: int, renoise: float) -> Tensor:
    """`ConditionalMean` without a backward pass: its products are evaluations, which come off the budget."""

    def estimate(x: Tensor, sigma: float) -> Tensor:
        x0_hat = case.clean(x, sigma)
        if sigma == 1:
            return case.law.project(x0_hat)
        covariance = covariance_by_difference(partial(case.clean, sigma=sigma), x0_hat, x, sigma)
        return x0_hat + conditional_move(case.law.shortfall(x0_hat), case.law.row_space, covariance, products)

    return by_estimate(case, estimate, case.evaluations // (1 + products), renoise)


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

    return by_estimate(case, estimate, case.evaluations, renoise)


def by_estimate(case: Case, estimate: Callable[[Tensor, float], Tensor], steps: int, renoise: float) -> Tensor:
    """`sample_flow` of the velocity whose x0_hat is already x0*."""
    x = sample_flow(
        lambda x, sigma: (x - estimate(x, float(sigma))) / sigma,
        case.noise,
        torch.tensor(levels(steps, case.shift), dtype=case.noise.dtype),
        renoise=renoise,
        generator=case.generator,
    )
    return case.law.project(x)


#: names in the table, in its order; settings of the ensemble and of the conditional means were found on seeds 0 to 9
ARMS: dict[str, Sampler] = {
    "exact draws": exact,
    "unguided": unguided,
    "best of 4": partial(best_of, n=4),
    "ECI, mix 1": partial(published_eci, mixing=1),
    "ECI, mix 5": partial(published_eci, mixing=5),
    "PCFM": published_pcfm,
    "x0-gradient": partial(guided, make=X0Gradient),
    "augmented Lagrangian": partial(guided, make=AugmentedLagrangian),
    "projection": partial(guided, make=partial(Projection, renoise=0.5)),
    "ensemble of 256": partial(ensemble, members=256, renoise=0.1),
    "conditional mean, 1 forward": partial(by_difference, products=1, renoise=0.5),
    "conditional mean, 2 forward": partial(by_difference, products=2, renoise=0.1),
    "DPS": partial(guided, make=partial(DPS, renoise=0.3)),
    "TFG": partial(guided, make=TFG),
    "PiGDM": partial(guided, make=partial(PiGDM, renoise=0.3)),
    "conditional mean, 1 backward": partial(guided, make=partial(ConditionalMean, steps=1, renoise=0.7)),
    "conditional mean, 2 backward": partial(guided, make=partial(ConditionalMean, steps=2, renoise=0.1)),
}

#: arms of which nothing was set, on evenly spaced levels
PLAIN: dict[str, Sampler] = {
    "exact draws": exact,
    "unguided": unguided,
    "ECI": partial(published_eci, mixing=1),
    "PCFM": published_pcfm,
    "x0-gradient": partial(guided, make=X0Gradient),
    "augmented Lagrangian": partial(guided, make=AugmentedLagrangian),
    "projection": partial(guided, make=Projection),
    "PiGDM": partial(guided, make=PiGDM),
    "DPS": partial(guided, make=DPS),
    "DPS, forward": partial(guided, make=partial(DPS, jacobian="forward")),
    "TFG": partial(guided, make=TFG),
    "TFG, forward": partial(guided, make=partial(TFG, jacobian="forward")),
    "conditional mean": partial(guided, make=ConditionalMean),
    "conditional mean, forward": partial(guided, make=partial(ConditionalMean, jacobian="forward")),
}
