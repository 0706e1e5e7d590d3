"""Published samplers with hard constraints, as their authors describe them, for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]
Project = Callable[[Tensor], Tensor]


def eci(
    velocity: Velocity,
    noise: Float[Tensor, "B *shape"],
    sigmas: Sequence[float],
    project: Project,
    *,
    mixing: int = 1,
    resample: int = 0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Extrapolate to the clean sample, correct it, interpolate it with the noise that the path began with.

    x_s' = (1 - s') P(x_s - s v(x_s, s)) + s' e

    ``mixing`` repeats it that often at every level before the level is lowered; after every ``resample`` evaluations
    (0: never) the noise e is drawn anew. ``sigmas`` fall to 0.

    Source: Cheng et al., arXiv:2412.01786, algorithm 1.

    >>> x = eci(lambda x, s: torch.zeros_like(x), torch.ones(1, 2), [1.0, 0.5, 0.0], lambda x: x.clamp(max=0.5))
    >>> x.tolist()
    [[0.5, 0.5]]
    """
    x, done = noise, 0
    for sigma, lower in pairwise(sigmas):
        for turn in range(mixing):
            done += 1
            if resample and done % resample == 0:
                noise = torch.randn(noise.shape, generator=generator, dtype=noise.dtype)
            clean = project(x - sigma * velocity(x, sigma))
            to = lower if turn == mixing - 1 else sigma
            x = (1 - to) * clean + to * noise
    return x


def pcfm(
    velocity: Velocity,
    noise: Float[Tensor, "B *shape"],
    sigmas: Sequence[float],
    project: Project,
    residual: Callable[[Tensor], Tensor],
    *,
    penalty: float = 1.0,
    rate: float = 1e-2,
    steps: int = 20,
) -> Float[Tensor, "B *shape"]:
    """Project the extrapolated sample, go back along the straight path, and relax where that leads.

    y = (1 - s') P(x_s - s v) + s' e,   x_s' = argmin_x ||x - y||^2 + penalty ||h(x - s' v)||^2,  then x_0 = P(x_0)

    The inner problem gets ``steps`` gradient steps of length ``rate``, the authors' released defaults; without penalty
    the method is ECI with one mixing step. ``residual`` maps samples to h ``[B, M]``.

    Source: Utkarsh et al., arXiv:2506.04171, algorithm 1.
    """
    x = noise
    for sigma, lower in pairwise(sigmas):
        v = velocity(x, sigma).detach()
        y = (1 - lower) * project(x - sigma * v) + lower * noise
        x = y
        for _ in range(steps if penalty else 0):
            x = x.detach().requires_grad_()
            square = (x - y).square().sum() + penalty * residual(x - lower * v).square().sum()
            x = (x - rate * torch.autograd.grad(square, x)[0]).detach()
    return project(x)
