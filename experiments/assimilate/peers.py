"""Published samplers on the same network, with what was observed as their constraint.

Where a method takes a projection, a sample is decoded, what was observed is put in, and it is encoded again.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Observed
from physgen.experiments.assimilate.network import Network
from physgen.experiments.posterior.peers import eci, pcfm

#: length of the step along the gradient of DiffusionPDE and of FlowDAS, found on development prompts, and draws of the
#: end point in the latter
STEP_PDE, STEP_DAS, DRAWS = 0.03, 0.1, 2


def imposed(network: Network, seen: Observed, x: Tensor) -> Tensor:
    """The sample whose video shows what was observed."""
    return network.with_fields(x, seen.project(network.fields(x), None))


def run_eci(network: Network, seen: Observed, noise: Tensor, steps: int) -> Tensor:
    """ECI with one mixing step."""
    sigmas = network.sigmas(steps).tolist()
    with torch.no_grad():
        return eci(network, noise, sigmas, lambda x: imposed(network, seen, x))


def run_ppr(network: Network, seen: Observed, noise: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Predict, project, renoise: fresh noise after each projection, every level visited twice.

    Source: arXiv:2601.21033.
    """
    sigmas = network.sigmas(steps // 2).tolist()
    with torch.no_grad():
        return eci(
            network, noise, sigmas, lambda x: imposed(network, seen, x), mixing=2, resample=1, generator=generator
        )


def run_pcfm(network: Network, seen: Observed, noise: Tensor, steps: int) -> Tensor:
    """PCFM with one step of its relaxation, which decodes with a gradient, at each level."""
    sigmas = network.sigmas(steps).tolist()
    return pcfm(
        lambda x, sigma: network(x.detach(), sigma),
        noise,
        sigmas,
        lambda x: imposed(network, seen, x),
        lambda x: seen.residual(network.decoder(x)) / math.sqrt(int(seen.mask.sum())),
        steps=1,
    )


def run_diffusion_pde(network: Network, seen: Observed, noise: Tensor, steps: int) -> Tensor:
    """The rule of DiffusionPDE: an Euler step, then one of fixed length down the misfit's gradient in x_t.

    x <- x + (s' - s) v - zeta s d/dx ||residual||

    Source: Huang et al., arXiv:2406.17763, algorithm 1.
    """
    x = noise
    for sigma, lower in pairwise(network.sigmas(steps).tolist()):
        x, v, slope = _misfit(network, seen, x, sigma, 1, None)
        x = x + (lower - sigma) * v - STEP_PDE * sigma * slope
    return x


def run_flow_das(
    network: Network, seen: Observed, noise: Tensor, steps: int, generator: torch.Generator
) -> Float[Tensor, "B C N h w"]:
    """FlowDAS: a stochastic step, then one along the gradient of the likelihood, averaged over draws of the end point.

    x <- (1 - s') x0_hat + s' xi + zeta s d/dx log mean_j exp(-||residual(x0_j)||^2 / 2),  x0_j ~ N(x0_hat, spread^2)

    The published step of the stochastic equation keeps a part of the noise. To draw all of it anew had less error here,
    with the step's length found for either.

    Source: Chen et al., arXiv:2501.16642, algorithm 1.
    """
    x = noise
    for sigma, lower in pairwise(network.sigmas(steps).tolist()):
        x, v, slope = _misfit(network, seen, x, sigma, DRAWS, generator)
        fresh = torch.randn(x.shape, generator=generator)
        x = (1 - lower) * (x - sigma * v) + lower * fresh - STEP_DAS * sigma * slope
    return x


def _misfit(
    network: Network, seen: Observed, x: Tensor, sigma: float, draws: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The sample and v without their graph, and the misfit's gradient in the sample, its RMS 1."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        v = network(x, sigma)
        clean = x - sigma * v
        wide = sigma / math.hypot(sigma, 1 - sigma)
        squares = []
        for _ in range(draws):
            end = clean if generator is None else clean + wide * torch.randn(x.shape, generator=generator)
            squares.append(seen.residual(network.decoder(end)).square().sum(1) / 2)
        likelihood = -torch.logsumexp(-torch.stack(squares), 0)
        (slope,) = torch.autograd.grad(likelihood.sum(), x)
    size = slope.flatten(1).square().mean(1).sqrt().view(-1, 1, 1, 1, 1).clamp(min=1e-30)
    return x.detach(), v.detach(), (slope / size).detach()
