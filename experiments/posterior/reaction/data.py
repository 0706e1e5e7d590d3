"""Growth and spread on a line: trajectories [1, T, X] from random starts, under random diffusivities and rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.dynamics.flow_map import FlowMap
from physgen.equations.systems import reaction_system
from physgen.grid import Grid

FRAMES, CELLS = 32, 64
#: a line of unit length over unit time
GRID = Grid(spacing=(1.0 / CELLS,), dt=1.0 / (FRAMES - 1), boundary="no-flux")
DIFFUSIVITY, RATE = (1e-3, 1e-1), (0.5, 3.0)
MODES = 6
#: trajectories that stand for all that may follow from a start
TRUTHS = 128


@dataclass(frozen=True)
class Trajectories:
    """`u` ``[N, 1, T, X]`` in float32, and the diffusivity and rate ``[N]`` behind each."""

    u: Float[Tensor, "N 1 T X"]
    diffusivity: Float[Tensor, "N"]
    rate: Float[Tensor, "N"]


def starts(rng: np.random.Generator, count: int) -> Float[Tensor, "N X"]:
    """Random smooth starts between 0 and 1, without slope at the walls.

    u0 = low + (high - low) (s - min s) / (max s - min s),  s(x) = sum_k a_k cos(pi k x) / k,  a_k ~ N(0, 1), k <= 6,
    low ~ U(0, 0.3), high ~ U(0.5, 1)

    >>> u0 = starts(np.random.default_rng(0), 3)
    >>> u0.shape, bool(u0.amin() >= 0), bool(u0.amax() <= 1)
    (torch.Size([3, 64]), True, True)
    """
    k = np.arange(1, MODES + 1)
    x = (np.arange(CELLS) + 0.5) / CELLS
    s = (rng.normal(size=(count, MODES)) / k) @ np.cos(np.pi * k[:, None] * x)
    s -= s.min(1, keepdims=True)
    s /= s.max(1, keepdims=True)
    low, high = rng.uniform(0.0, 0.3, (count, 1)), rng.uniform(0.5, 1.0, (count, 1))
    return torch.from_numpy(low + (high - low) * s)


def simulate(u0: Float[Tensor, "N X"], diffusivity: float, rate: float) -> Float[Tensor, "N 1 T X"]:
    """Trajectories of Fisher's equation between no-flux walls, in float64.

    du/dt = D u_xx + r u (1 - u)

    Source: Fisher (1937), Annals of Eugenics 7:355; the task is that of Utkarsh et al., arXiv:2506.04171, whose data
        vary the flux through the walls instead of D and r.

    >>> u = simulate(torch.full((1, CELLS), 0.5), 0.01, 1.0)
    >>> bool((u[0, 0, -1] - 1 / (1 + np.exp(-1.0))).abs().max() < 1e-6)
    True
    """
    flow = FlowMap(reaction_system("fisher_kpp"), {"u": diffusivity}, {"r": rate, "K": 1.0}, GRID)
    with torch.no_grad():
        frames = [u0.double()[:, None, None]]
        for _ in range(FRAMES - 1):
            frames.append(flow(frames[-1], substeps=2))
    return torch.cat(frames, 2)


def diffusivities(quantiles: np.ndarray) -> np.ndarray:
    """Values of the log-uniform distribution of D at quantiles in (0, 1).

    >>> [round(float(d), 5) for d in diffusivities(np.array([0.0, 0.5, 1.0]))]
    [0.001, 0.01, 0.1]
    """
    low, high = np.log(DIFFUSIVITY)
    return np.exp(low + (high - low) * quantiles)


def dataset(seed: int, laws: int, each: int) -> Trajectories:
    """`laws` draws of (D, r), `each` starts under each: D log-uniform, r uniform, independent of the starts."""
    rng = np.random.default_rng(seed)
    d, r = diffusivities(rng.uniform(size=laws)), rng.uniform(*RATE, laws)
    u = [simulate(starts(rng, each), float(a), float(b)).float() for a, b in zip(d, r, strict=True)]
    laws_of_each = [torch.from_numpy(v).float().repeat_interleave(each) for v in (d, r)]
    return Trajectories(torch.cat(u), *laws_of_each)


@dataclass(frozen=True)
class Case:
    """A held-out start `u0` ``[X]``, its rate, one diffusivity for the full equation, and what may follow from it.

    `truth` ``[N, 1, T, X]`` are the trajectories from that start at that rate, at equidistant quantiles of D.
    """

    u0: Float[Tensor, "X"]
    rate: float
    diffusivity: float
    truth: Float[Tensor, "N 1 T X"]


def case(seed: int, count: int = TRUTHS) -> Case:
    """The held-out case of a seed: never a start of `dataset`, whose seeds are told apart by a spawn key.

    >>> held_out = case(0, count=4)
    >>> held_out.truth.shape, bool((held_out.truth[:, 0, 0] == held_out.u0).all())
    (torch.Size([4, 1, 32, 64]), True)
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    u0, rate, quantile = starts(rng, 1), float(rng.uniform(*RATE)), rng.uniform(size=1)
    quantiles = (np.arange(count) + 0.5) / count
    truth = torch.cat([simulate(u0, float(d), rate) for d in diffusivities(quantiles)])
    return Case(u0[0], rate, float(diffusivities(quantile)[0]), truth)


def draws(of: Case, n: int, seed: int) -> Float[Tensor, "n 1 T X"]:
    """Independent trajectories from a case's start, at diffusivities drawn anew."""
    quantiles = np.random.default_rng([seed, 2]).uniform(size=n)
    return torch.cat([simulate(of.u0[None], float(d), of.rate) for d in diffusivities(quantiles)])
