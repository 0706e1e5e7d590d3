"""The samplers that are compared on the line, each from the same noise, without the projection at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Equality
from physgen.experiments.posterior.levels import levels
from physgen.experiments.posterior.network import Counted
from physgen.experiments.posterior.peers import eci, pcfm
from physgen.experiments.posterior.reaction.metric import Ensemble, MetricProjection
from physgen.experiments.posterior.reaction.peers import dense_newton
from physgen.guidance import AugmentedLagrangian, ConditionalMean, Guidance, PiGDM, Projection
from physgen.guidance.problem import Problem
from physgen.guidance.solve.gauss_newton import nearest
from physgen.sampling.flow import sample_flow

#: most products of the projection at the end: the whole equation is as many constraints as values
PRODUCTS = 1000


@dataclass(frozen=True)
class Task:
    """What a sampler gets: the network, the laws, noise ``[B, 1, T, X]``, a budget of evaluations, more noise."""

    network: Counted
    laws: dict[str, Equality]
    noise: Float[Tensor, "B 1 T X"]
    evaluations: int
    generator: torch.Generator
    ensemble: Ensemble

    @cached_property
    def listed(self) -> list[Equality]:
        """The laws."""
        return list(self.laws.values())

    def residual(self, x: Tensor) -> Float[Tensor, "B M"]:
        """Residuals of all laws."""
        return torch.cat([law.residual(x, None) for law in self.listed], 1)

    def newton(self, x: Tensor) -> Tensor:
        """One dense Newton step onto all laws."""
        return dense_newton(self.residual, x)

    def project(self, x: Tensor) -> Tensor:
        """The nearest sample that satisfies all laws."""
        with torch.enable_grad():
            found = nearest(Problem(dict(self.laws)), x.detach().double(), products=PRODUCTS, tolerance=1e-9)
        return found.x.to(x.dtype)


Sampler = Callable[[Task], Tensor]


def guided(task: Task, guidance: Guidance | None) -> Tensor:
    """Of the library."""
    sigmas = torch.tensor(levels(task.evaluations))
    return sample_flow(task.network, task.noise, sigmas, guidance=guidance, generator=task.generator)


def unguided(task: Task) -> Tensor:
    """The model's own samples."""
    with torch.no_grad():
        return guided(task, None)


def published_pcfm(task: Task, penalty: float, rate: float = 1e-2) -> Tensor:
    """PCFM with one Newton step at every level, 20 relaxation steps where there is a penalty."""
    sigmas = levels(task.evaluations)
    return pcfm(task.network, task.noise, sigmas, task.newton, task.residual, penalty=penalty, rate=rate)


def published_eci(task: Task, mixing: int, resample: int) -> Tensor:
    """ECI, its closed form replaced by the projection."""
    sigmas = levels(task.evaluations // mixing)
    settings = {"mixing": mixing, "resample": resample}
    with torch.no_grad():
        return eci(task.network, task.noise, sigmas, task.project, generator=task.generator, **settings)


def projection(task: Task, renoise: float) -> Tensor:
    """Every estimate projected."""
    return guided(task, Projection(task.listed, renoise=renoise, terminal=False))


def pigdm(task: Task, renoise: float) -> Tensor:
    """PiGDM through the network."""
    return guided(task, PiGDM(task.listed, renoise=renoise, terminal=False))


def conditional_mean(task: Task, renoise: float, steps: int) -> Tensor:
    """PiGDM with the network's own covariance."""
    return guided(task, ConditionalMean(task.listed, renoise=renoise, steps=steps, terminal=False))


def augmented_lagrangian(task: Task, renoise: float, steps: int) -> Tensor:
    """Multipliers and a penalty."""
    return guided(task, AugmentedLagrangian(task.listed, renoise=renoise, steps=steps))


def metric_projection(task: Task, renoise: float) -> Tensor:
    """Every estimate projected in the metric of an ensemble."""
    return guided(task, MetricProjection(task.listed, task.ensemble, renoise=renoise, terminal=False))


#: names in the table, in its order; settings of ours and PCFM's largest lambda were found on starts 0 to 2
PUBLISHED: dict[str, Sampler] = {
    "PCFM, lambda 0": partial(published_pcfm, penalty=0.0),
    "PCFM, lambda 1": partial(published_pcfm, penalty=1.0),
    "PCFM, lambda 1000": partial(published_pcfm, penalty=1000.0),
    "ECI, mix 1, resample 5": partial(published_eci, mixing=1, resample=5),
    "ECI, mix 5": partial(published_eci, mixing=5, resample=0),
}
OURS: dict[str, Sampler] = {
    "projection, eta 0": partial(projection, renoise=0.0),
    "projection, eta 1": partial(projection, renoise=1.0),
    "PiGDM, eta 1": partial(pigdm, renoise=1.0),
    "augmented Lagrangian, eta 1": partial(augmented_lagrangian, renoise=1.0, steps=3),
    "conditional mean, eta 0.5": partial(conditional_mean, renoise=0.5, steps=2),
    "metric projection, eta 0.3": partial(metric_projection, renoise=0.3),
}
UNGUIDED = "unguided"
ARMS: dict[str, Sampler] = {UNGUIDED: unguided, **PUBLISHED, **OURS}
