"""Guidance in ODE solvers: functions of a velocity."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from physgen.grid import Grid
from physgen.guidance import Guidance
from physgen.guidance.problem import Decode
from physgen.sampling.functional import begin, corrected

Velocity = Callable[[Tensor, float | Tensor], Tensor]


def guided_velocity(
    velocity: Velocity, guidance: Guidance, *, decode: Decode | None = None, grid: Grid | None = None
) -> Velocity:
    """A flow-matching velocity that points to the corrected clean sample.

    v*(x, sigma) = (x - x0*) / sigma,  x0* = guidance(x - sigma v(x, sigma))

    with x = (1 - sigma) x0 + sigma noise [B, ...], to be integrated from sigma = 1 to 0; at 0, and below, where
    adaptive solvers look, it is v. Every call is corrected; make one for each run. A linear constraint h has
    dh(x)/dsigma = h(x) / sigma along it, so h falls to zero with sigma: exactly where the solver is linear in sigma and
    does not evaluate at 0 (Euler, midpoint).

    Raises:
        InvalidArgument: a guidance with a window, new noise or recurrence: the solver does not say where it is. In use:
            what the guidance raises.

    Source: Lipman et al., arXiv:2210.02747.

    >>> import torch
    >>> from torchdiffeq import odeint
    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import Projection
    >>> mass = Projection([MassConservation(initial_mass=8.0)])
    >>> v = guided_velocity(lambda x, sigma: torch.zeros_like(x), mass, grid=Grid(spacing=(1.0, 1.0), dt=1.0))
    >>> noise, sigmas = torch.rand(1, 1, 2, 4, 4), torch.linspace(1, 0, 5)
    >>> odeint(lambda sigma, x: v(x, sigma), noise, sigmas, method="euler")[-1].sum((3, 4)).round(decimals=4).flatten()
    tensor([8., 8.])
    """
    begin(guidance)

    def guided(x: Tensor, sigma: float | Tensor) -> Tensor:
        s = float(sigma)
        if s <= 0:
            return velocity(x, sigma)

        def predict(x_t: Tensor) -> Tensor:
            return x_t - s * velocity(x_t, sigma)

        return (x - corrected(guidance, predict, x, s, decode, grid)) / s

    return guided
