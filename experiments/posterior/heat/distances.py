"""How far samples are from an exact posterior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.experiments.posterior.heat.mixture import Conditioned

#: projections of the sliced distance, the same for every method, and sets of exact samples that it is the mean over
DIRECTIONS, EXACT_SETS = 128, 8


@dataclass(frozen=True)
class Distances:
    """Squared errors of mean and standard deviation, sliced Wasserstein-2, total variation over components."""

    mmse: float
    smse: float
    sw2: float
    tv: float


def sliced_wasserstein(x: Float[Tensor, "B N"], y: Float[Tensor, "B N"], directions: int = DIRECTIONS) -> float:
    """Root of the mean over unit directions of the squared Wasserstein-2 distance in one dimension.

    sqrt(mean_theta mean_i (sort(x theta)_i - sort(y theta)_i)^2), for as many x as y

    Source: Bonneel et al. (2015), J. Math. Imaging Vis. 51:22.

    >>> x = torch.zeros(8, 2).double()
    >>> round(sliced_wasserstein(x, x + 1, 10000), 2)
    1.0
    """
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(x.shape[1], directions, generator=generator, dtype=x.dtype)
    theta = theta / theta.norm(dim=0)
    return float(((x @ theta).sort(0).values - (y @ theta).sort(0).values).square().mean().sqrt())


def distances(posterior: Conditioned, x: Float[Tensor, "B N"], seed: int) -> Distances:
    """Of samples from the posterior; `seed` draws the exact samples of the sliced distance, in sets of as many."""
    generator = torch.Generator().manual_seed(seed)
    exact = [posterior.sample(len(x), generator) for _ in range(EXACT_SETS)]
    found = torch.bincount(posterior.component(x), minlength=len(posterior.weights)) / len(x)
    return Distances(
        mmse=float((x.mean(0) - posterior.mean).square().mean()),
        smse=float((x.std(0) - posterior.std).square().mean()),
        sw2=sum(sliced_wasserstein(x, y) for y in exact) / len(exact),
        tv=float((found - posterior.weights).abs().sum() / 2),
    )
