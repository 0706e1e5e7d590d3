"""Conservation of mass in every cell, with a given velocity."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import finite, finite_tensor
from physgen.constraints.base import Constraint, check_fields, values_of
from physgen.constraints.mass.source import Source, production, read_source
from physgen.errors import InvalidArgument
from physgen.grid import CLOSED, Grid
from physgen.tensors import single

#: rate of change that the scale of the residual is at least this part of, if the field changed once in the video
FLOOR = 1e-3


class Continuity(Constraint):
    """What leaves a cell enters its neighbours, but for sources.

    dc/dt + div(v c) = D lap(c) + s

    residual = ((c[t+1] - c[t]) / dt - (f[t] + f[t+1]) / 2) / scale,  f = -div(v c - D grad c) + s

    Finite volumes: the flux through a face is v (c_i + c_j)/2 - D (c_j - c_i)/dx with v the mean of its two cells, and
    0 through a wall (``no-flux``, whatever v is there). So the residual summed over space is that of the mass of the
    frame, to rounding. Second order in space and time (central fluxes, Crank-Nicolson).

    scale[b, s] is the root mean square of the larger of the two rates, |c[t+1] - c[t]| / dt and |f[t] + f[t+1]| / 2;
    at least 1/1000 of the field's over the duration of the video; and 1 for a field that is zero. It is detached: for a
    given scale the gradient of the loss is exact.

    Args:
        velocity: v, µm/s, in the order of the grid's spacing: one number per axis (a uniform drift), or at the centres
            of the cells ``[A, *space]``, ``[A, T, *space]`` or ``[B, A, T, *space]`` for A axes.
        diffusivity: D of every species, or a list of one for each, µm²/s.
        source: s, what is made in place, ``unit``/s, as a function of the fields, see `production`.
        scale: a fixed scale in ``unit``/s, in place of the video's own.

    Raises:
        InvalidArgument: a velocity, diffusivity or scale that is not finite, a negative diffusivity, or a scale that is
            not positive.

    Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, ch. 4.

    >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0, boundary="periodic")
    >>> ramp = torch.arange(4.0).expand(1, 1, 2, 4, 4)
    >>> Continuity(velocity=(1.0, 0.0)).residual(ramp, grid).abs().max().item()
    0.0
    >>> Continuity(velocity=(0.0, 1.0), scale=1.0).residual(ramp, grid)[0, 0, 0, 0].tolist()
    [-1.0, 1.0, 1.0, -1.0]
    """

    name = "continuity"
    needs_amounts = True

    def __init__(
        self,
        velocity: Tensor | Sequence[float | int],
        diffusivity: float | int | Sequence[float | int] = 0.0,
        source: Source | None = None,
        scale: float | int | None = None,
    ) -> None:
        self.velocity = finite_tensor("velocity", velocity, "finite, µm/s: one per axis, or [A, *space] and longer")
        allowed = "finite numbers >= 0, µm²/s: one, or one of each species"
        self.diffusivity = finite_tensor("diffusivity", diffusivity, allowed)
        if self.diffusivity.ndim > 1 or bool((self.diffusivity < 0).any()):
            raise InvalidArgument("diffusivity", diffusivity, allowed)
        self.source = None if source is None else read_source(source)
        self._kept: Bool[Tensor, "B"] | None = None
        self.scale = None if scale is None else finite("scale", scale, "None or a number > 0", lambda value: value > 0)

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T-1 *space"]:
        """Excess of the rate of change ``[B, S, T-1, *space]``, relative to the scale, in float32 or better.

        Raises:
            InvalidArgument: fewer than two frames, a rank that is not the grid's, NaN or Inf, no grid, a boundary other
                than ``no-flux`` and ``periodic``, or a velocity, diffusivity or source that does not fit the fields.
        """
        grid = check_fields(fields, grid)
        if grid.boundary not in CLOSED:
            raise InvalidArgument("boundary", grid.boundary, ", ".join(CLOSED))
        fields = single(fields)
        rate = self._rate(fields, grid)
        changed, predicted = fields.diff(dim=2) / grid.dt, (rate[:, :, 1:] + rate[:, :, :-1]) / 2
        return (changed - predicted) / (self.scale or self._scale(fields, changed, predicted, grid))

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Continuity:
        """The law with the velocities of these samples, where it has one for each: only fields tell whether it has."""
        law = copy.copy(self)
        law._kept = chosen.cpu()
        if self._kept is not None:
            law._kept = self._kept.masked_scatter(self._kept, law._kept)
        return law

    @torch.no_grad()
    def _scale(self, fields: Tensor, changed: Tensor, predicted: Tensor, grid: Grid) -> Tensor:
        space = tuple(range(2, fields.ndim))
        rate = torch.maximum(changed.abs(), predicted.abs()).square().mean(space, keepdim=True).sqrt()
        size = fields.square().mean(space, keepdim=True).sqrt()
        scale = rate.maximum(FLOOR * size / (grid.dt * changed.shape[2]))
        return torch.where(scale > 0, scale, 1.0)

    def _rate(self, fields: Tensor, grid: Grid) -> Tensor:
        """-div(v c - D grad c) + s at every frame."""
        velocity, diffusivity = self._velocity(fields), self._diffusivity(fields)
        rate = torch.zeros_like(fields) if self.source is None else production(self.source, fields)
        for axis, length in enumerate(grid.spacing):
            dim, closed = 3 + axis, grid.boundary == "no-flux"
            c, v = (x if closed else _wrapped(x, dim) for x in (fields, velocity[axis]))
            faces = c.shape[dim] - 1
            low, high = (c.narrow(dim, side, faces) for side in (0, 1))
            speed = (v.narrow(dim, 0, faces) + v.narrow(dim, 1, faces)) / 2
            flux = speed * (low + high) / 2 - diffusivity * (high - low) / length
            if closed:
                wall = torch.zeros_like(fields.narrow(dim, 0, 1))
                flux = torch.cat([wall, flux, wall], dim)
            rate = rate - flux.diff(dim=dim) / length
        return rate

    def _velocity(self, fields: Tensor) -> Tensor:
        """``[A, B or 1, 1, T or 1, *space]``."""
        batch, _, frames, *space = fields.shape
        axes, given = len(space), self.velocity
        if self._kept is not None and given.ndim == 3 + axes:
            given = values_of("velocity", given, self._kept)
        shapes = ((axes,), (axes, *space), (axes, frames, *space), (batch, axes, frames, *space))
        if tuple(given.shape) not in shapes:
            raise InvalidArgument("velocity", tuple(given.shape), " or ".join(map(str, shapes)))
        if given.ndim == 1:
            given = given.view(axes, *[1] * axes).expand(axes, *space)
        if given.ndim == 1 + axes:
            given = given[:, None]
        if given.ndim == 2 + axes:
            given = given[None]
        return given.transpose(0, 1)[:, :, None].to(fields)

    def _diffusivity(self, fields: Tensor) -> Tensor:
        species = fields.shape[1]
        if tuple(self.diffusivity.shape) not in ((), (species,)):
            raise InvalidArgument("diffusivity", self.diffusivity.tolist(), f"one, or one of each species, {species}")
        return self.diffusivity.to(fields).view(-1, *[1] * (fields.ndim - 2))


def _wrapped(x: Tensor, dim: int) -> Tensor:
    return torch.cat([x.narrow(dim, -1, 1), x, x.narrow(dim, 0, 1)], dim)
