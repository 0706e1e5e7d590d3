"""Videos of one-dimensional diffusion with an unknown diffusivity: a Gaussian mixture, and its exact posterior."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Equality
from physgen.experiments.posterior.heat.mixture import Conditioned, Mixture

FRAMES, CELLS = 16, 20
SHAPE = (FRAMES, CELLS)
#: wave numbers of the initial condition, standard deviation of the first, white noise on every video
MODES, AMPLITUDE, FLOOR = 5, 0.5, 1e-3
DIFFUSIVITIES = torch.logspace(math.log10(0.01), math.log10(0.3), 12, dtype=torch.float64)


def heat_mixture() -> Mixture:
    """Videos u(t, x) ``[16 * 20]`` of u_t = D u_xx between no-flux walls, one component for each of 12 D.

    u(t, x) = sum_k c_k cos(pi k x) exp(-D (pi k)^2 t) + floor,  c_k ~ N(0, (0.5 / (1 + k))^2),  0 <= x, t <= 1

    Source: the benchmark is this package's; separation of variables, e.g. Crank (1975), The Mathematics of Diffusion.

    >>> heat_mixture().factors.shape
    torch.Size([12, 320, 5])
    """
    x = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
    t = torch.linspace(0, 1, FRAMES, dtype=torch.float64)
    k = torch.arange(MODES, dtype=torch.float64)
    waves = torch.cos(math.pi * k * x[:, None]) * AMPLITUDE / (1 + k)
    decay = torch.exp(-DIFFUSIVITIES[:, None, None] * t[:, None] * (math.pi * k).square())
    return Mixture((decay[:, :, None] * waves).flatten(1, 2), floor=FLOOR)


def constraint_matrix() -> Float[Tensor, "35 320"]:
    """Rows that give u(0, x), then mass(t) - mass(0) of every later frame, mass being the mean over x."""
    initial = torch.eye(FRAMES * CELLS, dtype=torch.float64)[:CELLS]
    mass = torch.zeros(FRAMES - 1, *SHAPE, dtype=torch.float64)
    mass[range(FRAMES - 1), range(1, FRAMES)] = 1 / CELLS
    mass[:, 0] = -1 / CELLS
    return torch.cat([initial, mass.flatten(1)])


def initial_condition(prior: Mixture, seed: int) -> Float[Tensor, "20"]:
    """First frame of a draw from the prior."""
    return prior.sample(1, torch.Generator().manual_seed(seed))[0, :CELLS]


def heat_constraints(initial: Float[Tensor, "20"]) -> list[Equality]:
    """The initial condition and conserved mass of videos ``[B, 16, 20]``, in the units of u.

    >>> [len(law.residual(torch.zeros(2, 16, 20), None)[0]) for law in heat_constraints(torch.ones(20))]
    [20, 15]
    """
    return [
        Equality(lambda u: u[:, 0] - initial, "initial"),
        Equality(lambda u: (u[:, 1:] - u[:, :1]).mean(2), "mass"),
    ]


def heat_posterior(prior: Mixture, initial: Float[Tensor, "20"]) -> Conditioned:
    """Videos that begin with ``initial`` and conserve mass."""
    return Conditioned(prior, constraint_matrix(), torch.cat([initial, initial.new_zeros(FRAMES - 1)]))
