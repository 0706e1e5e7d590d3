"""Reaction-diffusion equations, from frame to frame or by the flow between frames."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.constraints.base import Constraint, Violation, check_fields, given_values
from physgen.constraints.constants import Constants, read_system
from physgen.constraints.fit import Fit
from physgen.constraints.least_squares import joined
from physgen.constraints.reaction_diffusion.equation import Equation, OfSpecies, Values
from physgen.constraints.reaction_diffusion.fit_constants import constants_of_law, constants_of_residual
from physgen.constraints.reaction_diffusion.projection import nearest_video
from physgen.constraints.reaction_diffusion.residual import fused_violation, scaled_residual
from physgen.constraints.reaction_diffusion.weighted import weighted_nearest
from physgen.equations.reaction_system import ReactionSystem, Value
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.stencil import SECOND_DERIVATIVE, check_wall
from physgen.tensors import single


class ReactionDiffusion(Constraint):
    """Species diffuse and react as their equation says.

    du/dt = D lap u + R(u; theta)

    ``differential``:  residual = dt ((u[t+1] - u[t]) / dt - (f[t] + f[t+1]) / 2) / scale,  f = D lap u + R(u; theta)
    ``flow_map``:      residual = (u[t+1] - Phi_dt(u[t]; theta)) / scale

    ``differential`` (Crank-Nicolson) is for frames that are close in time; where a frame interval is many reaction
    times, `FlowMap` takes as many sub-steps as it needs. The residual is the part of the motion that is not explained:
    scale[b, s] is the root mean square of the larger of the two changes from frame to frame, the video's and the
    predicted one; at least 1/1000 of the field's; and 1 for a field that is zero.

    Constants are fitted to each sample, under bounds. Those of `residual` and `project` are the ones of the least
    residual, `without_noise` (``differential``), or of the nearest trajectory, whatever its first frame (``flow_map``).
    `fit` measures: its constants are of the law itself, which neither noise nor steps of time move.
    Constants and the scale are detached: for given values of them the gradient of the loss is exact. (At the minimum
    of the residual the loss does not change with the constants to first order: envelope theorem.) Noise of the frame
    that a flow starts from is in the residual of ``flow_map`` twice, but not in its constants.

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
    needs_amounts = True
    projects = True
    holds = True

    def __init__(
        self,
        system: str | ReactionSystem | Mapping[str, Any],
        diffusivity: Mapping[str, Value] | None = None,
        parameters: Mapping[str, Value] | None = None,
        fitted: str | Sequence[str] | Mapping[str, Sequence[float | int]] = (),
        form: str = "differential",
        order: int = 2,
        wall: OfSpecies | None = None,
        scheme: str = "exponential",
        substeps: int | None = None,
        scale: OfSpecies | None = None,
        absent: float | int | None = None,
    ) -> None:
        self.equation = Equation.of(
            read_system(system),
            form=form,
            order=order,
            wall=wall,
            scheme=scheme,
            substeps=substeps,
            scale=scale,
            absent=absent,
        )
        diffusivity, parameters = ({} if values is None else values for values in (diffusivity, parameters))
        self.constants = Constants(self.system, diffusivity, parameters, fitted)

    @property
    def system(self) -> ReactionSystem:
        """The reactions."""
        return self.equation.system

    @property
    def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the constants that are fitted: parameters, and ``D_SPECIES``."""
        return tuple(self.constants.bounds)

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T-1 *space"]:
        """Unexplained part of the change ``[B, S, T-1, *space]`` of fields ``[B, S, T, *space]``, in float32 or better.

        Raises:
            InvalidArgument: fewer than two frames, a rank that is not the grid's, another number of species, NaN or
                Inf, no grid, a boundary other than ``no-flux``, ``periodic`` and ``dirichlet``, too few cells,
                sub-steps that are not stable, or constants of another number of samples.
        """
        fields, grid = self._checked(fields, grid)
        return scaled_residual(self.equation, self._constants(fields, grid), fields, grid)

    def violation(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Violation:
        """Of ``differential`` of second order in one fused pass."""
        if self.equation.form == "flow_map" or self.equation.order != 2:
            return super().violation(fields, grid)
        fields, grid = self._checked(fields, grid)
        return fused_violation(self.equation, self._constants(fields, grid), fields, grid)

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """The trajectory of the law that is nearest to the fields, in their dtype, detached.

        (Phi^t(u))_t,  u = argmin sum_t |Phi^t(u) - fields[t]|^2,  see `nearest_trajectory`

        Phi is the flow map, or the Crank-Nicolson step whose residual is zero. Constants are those of `residual`, which
        fits the same ones to the result, or nearly (``flow_map``). Sub-steps are those that the flow map chooses for
        the trajectory. Computed in float64: what is left is rounding to the fields' dtype (and that of a residual in
        float32 itself: 7e-6 of the field after 71 sub-steps of Gray-Scott).

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
        return torch.cat([nearest_video(self.equation, values, video, grid, fields.dtype) for video, values in samples])

    @torch.no_grad()
    def nearest(
        self,
        fields: Float[Tensor, "1 S T *space"],
        weight: Float[Tensor, "1 S T *space"],
        grid: Grid | None,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> tuple[Float[Tensor, "1 S T *space"], dict[str, Any]]:
        """The trajectory nearest to one sample where some values count more, and the constants found with it.

        sum weight |Phi^t(u) - fields[t]|^2 is least over first frames u and the constants in `fitted`, see
        `weighted_nearest`; u is within ``bounds``, and what the law allows.

        Raises:
            InvalidArgument: as `residual`.
            NoSolution: as `project`.
        """
        exact, grid = self._checked(fields, grid)
        (sample,) = self._samples(exact)
        start = {name: values[0] for name, values in self.fit(exact, grid).values.items()}
        found, constants = weighted_nearest(self.equation, sample, start, exact.double(), weight, grid, bounds)
        return found.to(fields.dtype), {name: [value] for name, value in constants.items()}

    @torch.no_grad()
    def fit(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Fit:
        """Fitted constants with their standard errors, ``condition`` and ``identifiable`` of all of them together.

        They are those of the law, in either form: see `constants_of_law`.

        >>> t = torch.arange(4.0).view(1, 1, 4, 1)
        >>> decaying = torch.exp(-0.1 * t) * torch.cos(torch.pi * (torch.arange(16) + 0.5) / 16)
        >>> heat = ReactionDiffusion("diffusion", fitted=["D"])
        >>> found = heat.fit(decaying, Grid(spacing=(0.5,), dt=0.2))
        >>> round(found.values["D_c"][0], 2), found.identifiable
        (3.25, [True])
        """
        if not self.fitted:
            return Fit()
        fields, grid = self._checked(fields, grid)
        return joined(self.fitted, constants_of_law(self.equation, self._samples(fields), fields, grid))

    def with_constants(self, constants: Fit | Mapping[str, Any]) -> ReactionDiffusion:
        """The law with its fitted constants given; ``D`` may stand for the diffusivity of a single species.

        >>> heat = ReactionDiffusion("diffusion", fitted=["D"]).with_constants({"D": [2.0, 3.0]})
        >>> heat.fitted
        ()
        """
        values = constants.values if isinstance(constants, Fit) else constants
        law = copy.copy(self)
        law.constants = self.constants.given(given_values(self.constants.canonical(values), self.fitted))
        return law

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> ReactionDiffusion:
        """The law with the constants of these samples, where they were given for each."""
        law = copy.copy(self)
        law.constants = self.constants.keep_samples(chosen)
        return law

    def _checked(self, fields: Tensor, grid: Grid | None) -> tuple[Tensor, Grid]:
        grid = check_fields(fields, grid)
        check_wall(grid.boundary)
        if fields.shape[1] != len(self.system.species):
            allowed = f"one of each species, {', '.join(self.system.species)}"
            raise InvalidArgument("fields", f"{fields.shape[1]} species", allowed)
        width = len(SECOND_DERIVATIVE[self.equation.order]) - 1
        if min(fields.shape[3:]) < width:
            allowed = f"at least {width} cells along every axis of space, for order {self.equation.order}"
            raise InvalidArgument("fields", tuple(fields.shape), allowed)
        return single(fields), grid

    def _constants(self, fields: Tensor, grid: Grid) -> list[Values]:
        """Diffusivities and parameters of each sample."""
        samples = self._samples(fields)
        if not self.fitted:
            return [sample.complete({}) for sample in samples]
        estimates = constants_of_residual(self.equation, samples, fields, grid)
        found = [dict(zip(self.fitted, one.value.tolist(), strict=True)) for one in estimates]
        return [sample.complete(values) for sample, values in zip(samples, found, strict=True)]

    def _samples(self, fields: Tensor) -> list[Constants]:
        return [self.constants.of_sample(index, len(fields)) for index in range(len(fields))]
