"""What is known of a trajectory: its start, its growth, its equation; as functions of the model's samples."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Equality
from physgen.experiments.posterior.reaction.data import GRID, Case
from physgen.experiments.posterior.reaction.model import to_fields
from physgen.stencil import laplacian


def start_residual(u: Float[Tensor, "B 1 T X"], u0: Float[Tensor, "X"]) -> Float[Tensor, "B X"]:
    """First frame less the known start."""
    return u[:, 0, 0] - u0.to(u)


def growth_residual(u: Float[Tensor, "B 1 T X"], rate: float) -> Float[Tensor, "B T-1"]:
    """Mass gained since the start less what was produced, by the trapezoidal rule.

    m_n - m_0 - r dt sum_{k < n} (p_k + p_{k+1}) / 2,  m = <u>, p = <u (1 - u)>, means over the line

    Diffusion between no-flux walls moves mass and makes none. True trajectories leave O((r dt)^2), 5e-5 on this grid.

    Source: the law of the reaction-diffusion task of Utkarsh et al., arXiv:2506.04171.
    """
    mass, produced = u[:, 0].mean(-1), rate * (u * (1 - u))[:, 0].mean(-1)
    return mass[:, 1:] - mass[:, :1] - GRID.dt * ((produced[:, 1:] + produced[:, :-1]) / 2).cumsum(-1)


def equation_residual(u: Float[Tensor, "B 1 T X"], diffusivity: float, rate: float) -> Float[Tensor, "B M"]:
    """Change from frame to frame less what Crank and Nicolson's rule for Fisher's equation makes of it.

    u_{n+1} - u_n - dt (f_n + f_{n+1}) / 2,  f = D lap u + r u (1 - u)
    """
    f = diffusivity * laplacian(u, GRID.spacing, GRID.boundary, 2) + rate * u * (1 - u)
    return (u.diff(dim=2) - GRID.dt * (f[:, :, 1:] + f[:, :, :-1]) / 2).flatten(1)


def main_laws(case: Case) -> dict[str, Equality]:
    """The start and the growth, where the diffusivity is not known."""
    return {
        "start": Equality(lambda x: start_residual(to_fields(x), case.u0), "start"),
        "growth": Equality(lambda x: growth_residual(to_fields(x), case.rate), "growth"),
    }


def full_laws(case: Case) -> dict[str, Equality]:
    """The start and the whole equation, which leave one trajectory."""
    return {
        "start": Equality(lambda x: start_residual(to_fields(x), case.u0), "start"),
        "equation": Equality(lambda x: equation_residual(to_fields(x), case.diffusivity, case.rate), "equation"),
    }


def largest(laws: dict[str, Equality], x: Float[Tensor, "B 1 T X"]) -> dict[str, float]:
    """Largest residual of each law over all samples, in double precision."""
    with torch.no_grad():
        return {name: float(law.residual(x.double(), None).abs().max()) for name, law in laws.items()}
