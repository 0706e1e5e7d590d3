"""Guidance in samplers of k-diffusion: functions of a denoiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from physgen.grid import Grid
from physgen.guidance import Guidance
from physgen.guidance.problem import Decode
from physgen.sampling.functional import begin, corrected, level

Denoiser = Callable[..., Tensor]


def guided_denoiser(
    denoiser: Denoiser, guidance: Guidance, *, decode: Decode | None = None, grid: Grid | None = None
) -> Denoiser:
    """A denoiser whose clean samples are corrected.

    D*(x, sigma_k) = guidance(D(x, sigma_k))

    with x = x0 + sigma_k noise [B, ...] and sigma_k a number or one number for each of the batch, all the same. The
    guidance sees x_t = x / (1 + sigma_k) at the flow-matching level sigma = sigma_k / (1 + sigma_k). Further arguments
    go to `denoiser`. Every call is corrected; make one for each run.

    Raises:
        InvalidArgument: a guidance with a window, new noise or recurrence: the sampler does not say where it is. In
            use: levels that differ within the batch, and what the guidance raises.

    Source: Karras et al., arXiv:2206.00364, as in crowsonkb/k-diffusion.

    >>> import torch
    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import Projection
    >>> mass = Projection([MassConservation(initial_mass=8.0)])
    >>> denoiser = guided_denoiser(lambda x, sigma: x / (1 + sigma**2), mass, grid=Grid(spacing=(1.0, 1.0), dt=1.0))
    >>> denoiser(torch.full((1, 1, 2, 4, 4), 3.0), 2.0).sum((3, 4)).flatten()
    tensor([8., 8.])
    """
    begin(guidance)

    def guided(x: Tensor, sigma: float | Tensor, **arguments: Any) -> Tensor:
        k = level("sigma", sigma)

        def predict(x_t: Tensor) -> Tensor:
            return denoiser((1 + k) * x_t, sigma, **arguments)

        return corrected(guidance, predict, x / (1 + k), k / (1 + k), decode, grid)

    return guided
