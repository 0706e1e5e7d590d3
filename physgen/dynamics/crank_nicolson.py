"""Reaction-diffusion from one frame to the next by one implicit step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.dynamics.spectral import laplacian_modes, transform
from physgen.equations.reaction_system import ReactionSystem
from physgen.grid import Grid
from physgen.stencil import laplacian

#: corrections of a step at most; a correction, as a part of the field, below which another is only rounding
MOST, ROUNDING, CONVERGED = 100, 4e-16, 1e-12


class CrankNicolson:
    """The frame v one interval after u whose Crank-Nicolson residual is zero.

    v = u + dt (f(u) + f(v)) / 2,  f = D lap u + R(u; theta)

    v is corrected by -(1 - dt (D lap + r) / 2)^-1 of what is wrong, with the exact inverse in the eigenbasis of the
    Laplacian and r the middle of dR_s/dc_s over u, 0 at most, until corrections are rounding or below a ``tolerance``
    (a part of the field). That converges where dR/dc is within 2 / dt of r; elsewhere v is NaN.

    Args:
        system: reactions R.
        diffusivity: D of each species, µm²/s.
        parameters: theta.
        grid: spacing, frame interval dt and boundary.
        order: of the Laplacian, 2 or 4.
        wall: value of each species at a ``dirichlet`` wall, 0 by default.
        tolerance: of the corrections.

    Source: Crank and Nicolson (1947), Proc. Camb. Phil. Soc. 43:50; simplified Newton: Hairer and Wanner (1996),
        Solving Ordinary Differential Equations II, ch. IV.8.

    >>> from physgen.equations.systems import reaction_system
    >>> step = CrankNicolson(reaction_system("fisher_kpp"), {"u": 1.0}, {"r": 2.0, "K": 1e9}, Grid((1.0,), dt=0.5))
    >>> step(torch.ones(1, 1, 1, 4, dtype=torch.float64)).round(decimals=6).flatten().tolist()  # (1 + 1/2) / (1 - 1/2)
    [3.0, 3.0, 3.0, 3.0]
    """

    def __init__(
        self,
        system: ReactionSystem,
        diffusivity: Mapping[str, float],
        parameters: Mapping[str, float],
        grid: Grid,
        *,
        order: int = 2,
        wall: Mapping[str, float] | None = None,
        tolerance: float = 0.0,
    ) -> None:
        self.system, self.grid, self.order, self.tolerance = system, grid, order, tolerance
        self.parameters = system.values(parameters)
        self._diffusivity = torch.tensor([diffusivity[name] for name in system.species], dtype=torch.float64)
        self._wall = torch.tensor([(wall or {}).get(name, 0.0) for name in system.species], dtype=torch.float64)

    @torch.no_grad()
    def __call__(self, u: Float64[Tensor, "1 S T *space"]) -> Float64[Tensor, "1 S T *space"]:
        """Every frame one frame interval later; NaN where that is not found."""
        half, last = self.grid.dt / 2, torch.inf
        values, bases = laplacian_modes(u.shape[3:], self.grid, self.order)
        values, shape = values.to(u), (-1, *[1] * values.ndim)
        rate = self._rate(u)
        given, v = u + half * rate, u
        reaction = self.system.jacobian(u, self.parameters).diagonal(dim1=1, dim2=2).flatten(0, -2)
        middle = ((reaction.amax(0) + reaction.amin(0)) / 2).clamp(max=0)
        factor = 1 / (1 - half * (self._diffusivity.to(u).view(shape) * values + middle.view(shape)))
        for _ in range(MOST):
            wrong = v - half * self._rate(v) - given
            modes = transform(wrong, [basis.mT for basis in bases])
            correction = transform(modes * factor.unsqueeze(1), bases)
            v = v - correction
            size, whole = float(correction.abs().amax()), float(v.abs().amax())
            if size <= max(ROUNDING, self.tolerance) * whole or (size <= CONVERGED * whole and size >= last):
                return v
            last = size
        return torch.full_like(u, torch.nan)

    def _rate(self, u: Tensor) -> Tensor:
        shape = (-1, *[1] * (u.ndim - 2))
        spread = laplacian(u - self._wall.to(u).view(shape), self.grid.spacing, self.grid.boundary, self.order)
        return self._diffusivity.to(u).view(shape) * spread + self.system.reaction(u, self.parameters)
