"""Reaction-diffusion equations, from frame to frame or by the flow between frames."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.base import Constraint, check_fields
from physgen.constraints.constants import Constants, read_system
from physgen.constraints.least_squares import Fit
from physgen.constraints.reaction_diffusion.denoise import without_noise
from physgen.constraints.reaction_diffusion.fit import fit_differential, fit_flow_map
from physgen.constraints.reaction_diffusion.fit_heat import fit_heat
from physgen.constraints.reaction_diffusion.fit_nearest import nearest_constants
from physgen.constraints.reaction_diffusion.nearest_trajectory import (
    Box,
    Law,
    is_linear,
    lowest_values,
    nearest_trajectory,
)
from physgen.dynamics.crank_nicolson import CrankNicolson
from physgen.dynamics.flow_map import SCHEMES, FlowMap
from physgen.dynamics.spectral import laplacian_modes
from physgen.equations.reaction_system import ReactionSystem, Value
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid, finite
from physgen.ops.reaction_diffusion import crank_nicolson_residual, reaction_diffusion_loss
from physgen.stencil import SECOND_DERIVATIVE, check_wall

Values = tuple[dict[str, float], dict[str, float]]

FORMS = ("differential", "flow_map")
#: change from frame to frame that the scale of the residual is at least, as a part of the field
FLOOR = 1e-3
#: sub-steps of the flow map that a projection linearises as one
LINEARISED = 2
#: tolerance of Crank-Nicolson steps, and rounding of compiled ones, while the nearest trajectory is looked for
ROUGH = 1e-6
#: constants that a fit begins at, at least, in their natural units
LEAST = 1e-3
#: a frame interval so long that the change per second is nothing
NEVER = 1e30


class ReactionDiffusion(Constraint):
    """Species diffuse and react as their equation says.

    du/dt = D lap u + R(u; theta)

    ``differential``:  residual = dt ((u[t+1] - u[t]) / dt - (f[t] + f[t+1]) / 2) / scale,  f = D lap u + R(u; theta)
    ``flow_map``:      residual = (u[t+1] - Phi_dt(u[t]; theta)) / scale

    ``differential`` (Crank-Nicolson) is for frames that are close in time; where a frame interval is many reaction
    times, `FlowMap` takes as many sub-steps as it needs. The residual is the part of the motion that is not explained:
    scale[b, s] is the root mean square of the larger of the two changes from frame to frame, the video's and the
    predicted one; at least 1/1000 of the field's; and 1 for a field that is zero.

    Constants are fitted to each sample, under bounds: those of the least residual `without_noise` (``differential``) or
    of the nearest trajectory, whatever its first frame (``flow_map``: `fit_heat`, `nearest_constants`). They and the
    scale are detached: for given values of them the gradient of the loss is exact. (At the minimum of the residual the
    loss does not change with the constants to first order: envelope theorem.) Noise of the frame that a flow starts
    from is in the residual of ``flow_map`` twice, but not in its constants.

    Args:
        system: name of a shipped system, a `ReactionSystem`, or its arguments ``species``, ``parameters``, ``rates``.
        diffusivity: D of each species that is not fitted, µm²/s: a number, or one per sample ``[B]``.
        parameters: theta that is not fitted, likewise.
        fitted: names of what is fitted (or one name), or a mapping to (lowest, highest): parameters, and ``D_SPECIES``
            (or ``D`` where there is one species). One that is given too starts the search of the flow map there.
        form: ``differential`` or ``flow_map``.
        order: of the Laplacian, 2 or 4.
        wall: value of the species, or of each, at a ``dirichlet`` wall, 0 by default.
        scheme: of the flow map, ``exponential`` or ``explicit``.
        substeps: of the flow map, from one frame to the next; chosen by it for each sample when None.
        scale: a fixed scale of every species, or of each, in the unit of the fields, in place of the video's own.
        absent: value below which the first frame shows nothing, so that nothing grows there but what comes from
            elsewhere, of `project`. What grows makes a front of what lies unseen before it: without this a projection
            may put just that into the first frame, and fronts move as they did in the video.

    Raises:
        InvalidArgument: an unknown system, form, order or scheme; a constant that is missing, unknown, out of bounds or
            not finite; sub-steps or a scale that are not positive.

    Source: Turing (1952), Phil. Trans. R. Soc. B 237:37; envelope theorem: Milgrom and Segal (2002), Econometrica
        70:583.

    >>> grid = Grid(spacing=(1.0, 1.0), dt=0.1)
    >>> frozen = torch.rand(1, 1, 1, 8, 8).expand(1, 1, 3, 8, 8)
    >>> heat = ReactionDiffusion("diffusion", {"c": 1.0})
    >>> round(heat.residual(frozen, grid).square().mean().sqrt().item(), 3)  # none of the predicted motion is there
    1.0
    """

    name = "reaction_diffusion"
    projects = True

    def __init__(
        self,
        system: str | ReactionSystem | Mapping[str, Any],
        diffusivity: Mapping[str, Value] | None = None,
        parameters: Mapping[str, Value] | None = None,
        fitted: str | Sequence[str] | Mapping[str, Sequence[float | int]] = (),
        form: str = "differential",
        order: int = 2,
        wall: float | int | Mapping[str, float | int] | None = None,
        scheme: str = "exponential",
        substeps: int | None = None,
        scale: float | int | Mapping[str, float | int] | None = None,
        absent: float | int | None = None,
    ) -> None:
        for name, got, allowed in (
            ("form", form, FORMS),
            ("order", order, tuple(SECOND_DERIVATIVE)),
            ("scheme", scheme, SCHEMES),
        ):
            if got not in allowed:
                raise InvalidArgument(name, got, ", ".join(map(str, allowed)))
        if substeps is not None and (not isinstance(substeps, int) or substeps < 1):
            raise InvalidArgument("substeps", substeps, "None or a whole number >= 1")
        self.system = read_system(system)
        diffusivity, parameters = ({} if values is None else values for values in (diffusivity, parameters))
        self.constants = Constants(self.system, diffusivity, parameters, fitted)
        self.absent = None if absent is None else finite("absent", absent, "None or a finite number")
        self.form, self.order, self.scheme, self.substeps = form, order, scheme, substeps
        self.wall = self._of_species("wall", wall or 0.0, lambda value: True)
        self.scale = None if scale is None else self._of_species("scale", scale, lambda value: value > 0)
        self.parameters = "fitted" if self.constants.bounds else "fixed"

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T-1 *space"]:
        """Unexplained part of the change ``[B, S, T-1, *space]`` of fields ``[B, S, T, *space]``, in float32 or better.

        Raises:
            InvalidArgument: fewer than two frames, a rank that is not the grid's, another number of species, NaN or
                Inf, no grid, a boundary other than ``no-flux``, ``periodic`` and ``dirichlet``, too few cells,
                sub-steps that are not stable, or constants of another number of samples.
        """
        fields, grid = self._checked(fields, grid)
        change = fields.diff(dim=2)
        unexplained = self._unexplained(fields, grid)
        scale = self._fixed_scale(fields)
        if scale is None:
            scale = _scale(fields, _rms(change), _rms(change - unexplained))
        return unexplained / scale.view(*scale.shape, *[1] * (fields.ndim - 2))

    def loss(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B"]:
        """Half the squared norm of the residual per sample, ``differential`` of second order in one fused pass."""
        if self.form == "flow_map" or self.order != 2:
            return super().loss(fields, grid)
        fields, grid = self._checked(fields, grid)
        equation = (self.system, *_of_batch(self._constants(fields, grid)))
        scale = self._fixed_scale(fields)
        if scale is None:
            predicted = grid.dt * self._predicted_rate(fields.detach(), equation, grid)
            scale = _scale(fields, _rms(fields.diff(dim=2)), predicted)
        return reaction_diffusion_loss(fields, *equation, grid, weight=grid.dt / scale, wall=self.wall)

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """The trajectory of the law that is nearest to the fields, in their dtype, detached.

        (Phi^t(u))_t,  u = argmin sum_t |Phi^t(u) - fields[t]|^2,  see `nearest_trajectory`

        Phi is the flow map, or the Crank-Nicolson step whose residual is zero. Constants are those of `residual`, and
        kept: ``law.fixed(law.estimate(fields, grid))`` has the residual zero, a new fit nearly. Sub-steps are those
        that the flow map chooses for the trajectory. Computed in float64: what is left is rounding to the fields'
        dtype (and that of a residual in float32 itself: 7e-6 of the field after 71 sub-steps of Gray-Scott).

        Only the first frame is bounded (`lowest_values`), and nothing is clipped later: the law keeps what is positive
        so, but for rounding and for the fourth order Laplacian's undershoots. Values above 1 stay.

        Exact for diffusion alone. Otherwise the search ends after 3 steps of 5 conjugate gradients, which on a sample
        of growth is a distance 4 % above that of a long search: 2 steps 8 %, 4 steps 2 %.

        Raises:
            InvalidArgument: as `residual`.
            NoSolution: fields near which the law blows up or, for ``differential``, that are so far apart in time that
                a step is not found.

        >>> fields, grid = torch.rand(1, 1, 5, 8, 8), Grid(spacing=(1.0, 1.0), dt=0.1)
        >>> heat = ReactionDiffusion("diffusion", {"c": 1.0}, form="flow_map")
        >>> bool(heat.residual(heat.project(fields, grid), grid).abs().max() < 1e-5)
        True
        """
        exact, grid = self._checked(fields, grid)
        samples = zip(exact.split(1), self._constants(exact, grid), strict=True)
        return torch.cat([self._nearest(video, values, grid, fields.dtype) for video, values in samples])

    def fixed(self, values: Mapping[str, Any]) -> ReactionDiffusion:
        """The constraint with its fitted constants fixed to values per sample, by their names in `estimate`.

        Names of no fitted constant are ignored.

        Raises:
            InvalidArgument: a fitted constant without values, and values that cannot be.

        >>> heat = ReactionDiffusion("diffusion", fitted=["D"]).fixed({"D_c": [2.0, 3.0], "condition": [1.0, 1.0]})
        >>> heat.parameters, heat.constants.bounds
        ('fixed', {})
        """
        law = copy.copy(self)
        law.constants, law.parameters = self.constants.fixed(values), "fixed"
        return law

    @torch.no_grad()
    def estimate(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> dict[str, float | list]:
        """Fitted values by name, their standard errors ``NAME_error``, and how well they are determined, each ``[B]``.

        ``condition`` and ``identifiable`` are of all of them together, see `least_squares.Fit`.

        >>> t = torch.arange(4.0).view(1, 1, 4, 1)
        >>> decaying = torch.exp(-0.1 * t) * torch.cos(torch.pi * (torch.arange(16) + 0.5) / 16)
        >>> heat = ReactionDiffusion("diffusion", fitted=["D"])
        >>> report = heat.estimate(decaying, Grid(spacing=(0.5,), dt=0.2))
        >>> round(report["D_c"][0], 2), report["identifiable"]
        (3.25, [True])
        """
        if not self.constants.bounds:
            return {}
        fits = self._fits(*self._checked(fields, grid))
        report: dict[str, float | list] = {}
        for index, name in enumerate(self.constants.bounds):
            report[name] = [float(fit.value[index]) for fit in fits]
            report[f"{name}_error"] = [float(fit.error[index]) for fit in fits]
        return report | {
            "condition": [fit.condition for fit in fits],
            "identifiable": [fit.identifiable for fit in fits],
        }

    def _checked(self, fields: Tensor, grid: Grid | None) -> tuple[Tensor, Grid]:
        grid = check_fields(fields, grid)
        check_wall(grid.boundary)
        if fields.shape[1] != len(self.system.species):
            allowed = f"one of each species, {', '.join(self.system.species)}"
            raise InvalidArgument("fields", f"{fields.shape[1]} species", allowed)
        width = len(SECOND_DERIVATIVE[self.order]) - 1
        if min(fields.shape[3:]) < width:
            allowed = f"at least {width} cells along every axis of space, for order {self.order}"
            raise InvalidArgument("fields", tuple(fields.shape), allowed)
        return fields.to(torch.promote_types(fields.dtype, torch.float32)), grid

    def _unexplained(self, fields: Tensor, grid: Grid) -> Tensor:
        """Change from frame to frame that is not predicted, in the unit of the fields."""
        constants = self._constants(fields, grid)
        if self.form == "differential":
            return grid.dt * crank_nicolson_residual(
                fields, self.system, *_of_batch(constants), grid, order=self.order, wall=self.wall
            )
        flows = [
            FlowMap(self.system, *values, grid, order=self.order, wall=self.wall, scheme=self.scheme)
            for values in constants
        ]
        before, after = fields[:, :, :-1], fields[:, :, 1:]
        predicted = [flow(sample, self.substeps) for flow, sample in zip(flows, before.split(1), strict=True)]
        return after - torch.cat(predicted)

    def _nearest(self, fields: Tensor, constants: Values, grid: Grid, dtype: torch.dtype) -> Tensor:
        """The trajectory nearest to one video, in ``dtype``."""
        video, frames, (diffusivity, parameters) = fields.double(), fields.shape[2], constants
        box = self._box(video, parameters)
        flow = FlowMap(self.system, *constants, grid, scheme=self.scheme, order=self.order, wall=self.wall)
        if self.form == "flow_map":
            return flow.trajectory(self._nearest_first(video, box, flow), frames, self.substeps, dtype)[0].to(dtype)
        equation: dict[str, Any] = {"order": self.order, "wall": self.wall}
        step = CrankNicolson(self.system, diffusivity, parameters, grid, **equation)
        rough = CrankNicolson(self.system, diffusivity, parameters, grid, **equation, tolerance=ROUGH)
        exponent, bases = self._exponent(video, flow)
        decay, jacobian = (1 + exponent / 2) / (1 - exponent / 2), partial(self.system.jacobian, values=parameters)
        law = Law(rough, 1, jacobian, grid.dt, bases, decay, is_linear(self.system), accuracy=10 * ROUGH)
        exact, found = replace(law, step=step), None
        if not law.linear and flow.compiled(video):
            with suppress(InvalidArgument, NoSolution):
                found = self._nearest_first(video, box, flow)
        starts = [nearest_trajectory(video, law, box)] if found is None else [box.nearest(video[:, :, :1]), found]
        near = min(
            (exact.roll(start, frames) for start in starts),
            key=lambda path: float((path - video).norm().nan_to_num(math.inf)),
        )
        if not bool(near.isfinite().all()):
            allowed = "fields near which the law does not blow up, and so close in time that its step is found"
            raise NoSolution("fields", "no trajectory nearby", allowed)
        return near.to(dtype)

    def _box(self, video: Tensor, parameters: Mapping[str, Value]) -> Box:
        """What the first frame of a trajectory near one video may be."""
        lowest = lowest_values(self.system, parameters, video).view(1, -1, *[1] * (video.ndim - 2))
        highest = torch.full_like(video[:, :, :1], math.inf)
        if self.absent is None:
            return Box(lowest, highest)
        nothing = video[:, :, :1] < self.absent
        return Box(*(torch.where(nothing, 0.0, bound) for bound in (lowest, highest)))

    def _nearest_first(self, video: Tensor, box: Box, flow: FlowMap) -> Tensor:
        """First frame of the flow map's trajectory that is nearest to one video."""
        searched, steps = self._searched(video, box, flow)
        return nearest_trajectory(searched, self._law(searched, flow, steps), box).double()

    def _searched(self, video: Tensor, box: Box, flow: FlowMap) -> tuple[Tensor, int]:
        """The video as it is searched, in float32 where steps are compiled, and sub-steps that suit it."""
        searched = video.float() if flow.compiled(video) else video
        return searched, flow.trajectory(box.nearest(searched[:, :, :1]), video.shape[2], self.substeps)[1]

    def _law(self, video: Tensor, flow: FlowMap, steps: int) -> Law:
        """The flow between frames like those of a video, in parts whose tangents are taken."""
        linear, first, parts = is_linear(self.system), video[:, :, :1], math.ceil(steps / LINEARISED)
        exponent, bases = self._exponent(video, flow)
        jacobian = partial(self.system.jacobian, values=flow.parameters)
        march = flow.part(parts).march(first, math.ceil(steps / parts))
        law = Law(march, parts, jacobian, flow.grid.dt / parts, bases, (exponent / parts).exp(), linear)
        if not flow.compiled(first):
            return law
        return replace(law, linearised=flow.linearised(first, parts), accuracy=10 * ROUGH)

    def _exponent(self, video: Tensor, flow: FlowMap) -> tuple[Tensor, list[Tensor]]:
        """Exponents dt D lambda ``[S, *space]`` of every mode of the Laplacian, and the modes along each axis."""
        values, bases = laplacian_modes(video.shape[3:], flow.grid, self.order)
        return flow.grid.dt * flow.diffusivity.view(-1, *[1] * values.ndim) * values, bases

    def _constants(self, fields: Tensor, grid: Grid) -> list[Values]:
        """Diffusivities and parameters of each sample."""
        samples = self._samples(fields)
        if not self.constants.bounds:
            return [sample.complete({}) for sample in samples]
        found = [dict(zip(self.constants.bounds, fit.value.tolist(), strict=True)) for fit in self._fits(fields, grid)]
        return [sample.complete(values) for sample, values in zip(samples, found, strict=True)]

    def _samples(self, fields: Tensor) -> list[Constants]:
        return [self.constants.of_sample(index, len(fields)) for index in range(len(fields))]

    @torch.no_grad()
    def _fits(self, fields: Tensor, grid: Grid) -> list[Fit]:
        wall = fields.new_tensor(list(self.wall.values())).view(-1, *[1] * (fields.ndim - 2))
        samples = self._samples(fields)
        if self.form == "flow_map" and len(self.wall) == 1 and not any(self.system.rates):
            ((low, high),) = self.constants.bounds.values()
            modes = laplacian_modes(fields.shape[3:], grid, self.order)
            return [fit_heat(video, *modes, grid.dt, low, high) for video in (fields - wall).double().split(1)]
        clean = without_noise(fields - wall, grid) + wall
        scale = self._fixed_scale(clean)
        scale = _scale(clean, _rms(clean.diff(dim=2))) if scale is None else scale
        equation: dict[str, Any] = {"order": self.order, "wall": self.wall}
        videos = zip(clean.split(1), samples, 1 / scale, strict=True)
        if self.form == "differential":
            return [fit_differential(video, constants, grid, weight, **equation) for video, constants, weight in videos]
        equation |= {"scheme": self.scheme, "substeps": self.substeps}
        starts = [
            fit_flow_map(self._physical(video, constants), constants, grid, weight, **equation)
            for video, constants, weight in videos
        ]
        given = zip(fields.double().split(1), samples, starts, strict=True)
        return [self._nearest_fit(video, constants, start, grid) for video, constants, start in given]

    def _physical(self, video: Tensor, constants: Constants) -> Tensor:
        """One video without values that the law never reaches, from which it may blow up."""
        parameters = constants.complete(dict.fromkeys(constants.bounds, 1.0))[1]
        return video.maximum(lowest_values(self.system, parameters, video).view(1, -1, *[1] * (video.ndim - 2)))

    def _nearest_fit(self, video: Tensor, constants: Constants, start: Fit, grid: Grid) -> Fit:
        """Constants of the nearest trajectory of the flow map, from those of flows that start at the video's frames.

        Those are left as they are, and not identifiable, where the law blows up near the video.
        """
        low, high = np.array(list(constants.bounds.values())).T
        unit = [grid.cell_area if name in constants.diffusing else 1.0 for name in constants.bounds]
        theta = np.clip(np.maximum(start.value, LEAST * np.array(unit) / grid.dt), low, high)

        def flow(theta: np.ndarray) -> FlowMap:
            values = constants.complete(dict(zip(constants.bounds, theta.tolist(), strict=True)))
            return FlowMap(self.system, *values, grid, scheme=self.scheme, order=self.order, wall=self.wall)

        box = self._box(video, flow(theta).parameters)
        try:
            searched, steps = self._searched(video, box, flow(theta))
            return nearest_constants(searched, lambda x: self._law(searched, flow(x), steps), theta, low, high, box)
        except NoSolution:
            return replace(start, identifiable=False)

    def _predicted_rate(self, fields: Tensor, equation: tuple[ReactionSystem, Any, Any], grid: Grid) -> Tensor:
        """Root mean square of (f[t] + f[t+1]) / 2, ``[B, S]``: the residual of frames that do not change."""
        still, batch = replace(grid, dt=NEVER), len(fields)
        losses = [
            reaction_diffusion_loss(fields, *equation, still, weight=one.expand(batch, -1), wall=self.wall)
            for one in torch.eye(fields.shape[1], dtype=fields.dtype, device=fields.device)
        ]
        return (2 / fields[0, 0, 1:].numel() * torch.stack(losses, 1)).sqrt()

    def _fixed_scale(self, fields: Tensor) -> Tensor | None:
        if self.scale is None:
            return None
        return fields.new_tensor(list(self.scale.values())).expand(fields.shape[:2])

    def _of_species(
        self, name: str, given: float | int | Mapping[str, float | int], accept: Callable[[float], bool]
    ) -> dict[str, float]:
        positive = ", > 0" if name == "scale" else ""
        allowed = f"a number, or one of each species, {', '.join(self.system.species)}{positive}"
        values = given if isinstance(given, Mapping) else dict.fromkeys(self.system.species, given)
        if set(values) != set(self.system.species):
            raise InvalidArgument(name, dict(values), allowed)
        return {species: finite(name, values[species], allowed, accept) for species in self.system.species}


def _of_batch(constants: Sequence[Values]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Values of each sample as one tensor ``[B]`` of each name."""
    diffusivity, parameters = (
        {name: torch.tensor([sample[part][name] for sample in constants], dtype=torch.float64) for name in first}
        for part, first in enumerate(constants[0])
    )
    return diffusivity, parameters


def _rms(change: Tensor) -> Tensor:
    return change.detach().flatten(2).square().mean(2).sqrt()


def _scale(fields: Tensor, *changes: Tensor) -> Tensor:
    """``[B, S]``: the largest of the changes, at least `FLOOR` of the fields, and 1 for a field that is zero."""
    scale = torch.stack([FLOOR * _rms(fields), *changes]).amax(0)
    return torch.where(scale > 0, scale, 1.0)
