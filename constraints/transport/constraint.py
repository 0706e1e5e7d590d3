"""What is seen is carried by a flow, and neither made nor lost."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import finite, instance
from physgen.constraints.base import Constraint, check_fields, given_values
from physgen.constraints.fit import Fit
from physgen.constraints.transport.abstention import why_unmeasured
from physgen.constraints.transport.characteristics import Curved, nearest_carried, read_curved
from physgen.constraints.transport.fitted import Measured, as_fit
from physgen.constraints.transport.motion import LAPLACIAN, Motion
from physgen.constraints.transport.reading import Reading, read_flow
from physgen.constraints.transport.residual import Flow, change_of, flow_of, motion_of, scaled
from physgen.constraints.transport.steady import DIRECTIONS, Steady, nearest_steady, read_steady
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.measure.degenerate import noise_level
from physgen.tensors import of_samples, single

VELOCITIES = ("stream", "general")
FORMS = ("frames", "steady", "curved")
#: what true videos of the simulator have at most, clean and with 2 % noise: see `Transport.satisfied`
WORST, PATCH, FADE = 0.1, 0.01, 0.03
#: part of what happens that a steady flow explains, below which there is none, along rows and along curves: of the
#: simulators' videos in which nothing flows, mitosis has up to 0.09 along rows and up to 0.18 along curves
COHERENT = {"steady": 0.15, "curved": 0.25}
#: part of what happens that a steady flow explains of what is carried by one
CARRIED = 0.9
CONSTANTS = ("speed", "direction")
#: part of the change that is left in true videos of simulators, and of its noise by one flow and by one of each pair
TRUE_LEFT, NOISE_LEFT, NOISE_LEFT_OF_PAIRS = 0.002, 0.4, 0.3


class Transport(Constraint):
    """What is seen is carried by a flow that is fitted to it.

    dc/dt + div(v c) = s,  s = 0

    ``frames``:  residual = (r, sqrt(smoothness G) |grad d|) / change,
                 r = c[t+1](x + d/2) (1 + div d / 2) - c[t](x - d/2) (1 - div d / 2),  d = v dt
    ``steady``:  residual = (c - P c) / motion,  P c = b + u(x - v t) in every row
    ``curved``:  residual = (c - P c) / motion,  P c = mean of c along the path through each pixel and frame

    ``frames``: v makes half the squared norm of the residual least (`fit_motion`), so what is left of r is s. Frames
    are carried half of the way each, by cubic convolution: second order in space and time, for motion by several pixels
    too. The loss is that of the least v, and by the envelope theorem its gradient is that for given v: exact, and
    nothing is differentiated through the search. ``change`` is the root mean square of the change from frame to frame,
    at least 1/1000 of the fields'; it is part of the gradient, so that a video does not come nearer to the law by
    moving less. G is the mean of |grad c|^2.

    ``steady``: the distance to the nearest video in which every row, along y or x, is carried along itself at one
    speed, see `nearest_steady`. For frames that are periodic. ``motion`` is the root mean
    square about the mean over time. Its gradient is exact in the same sense.

    ``curved``: the same for vessels that bend and split, and for whatever turns: v has one stream function, fitted over
    all frames, and P c is the nearest video that is constant along its paths, see `nearest_carried`. Any grid will do.
    Its gradient holds the paths; v is nearly, but not exactly, what makes the distance least.

    Brightness of all species is in one unit. Speeds and directions of a `fit` are means of v where something moves.

    Args:
        velocity: ``stream``: v from a stream function, so that div v = 0; or ``general``. Of ``frames``; of ``curved``
            ``stream`` alone.
        steady: one v for all frames in place of one for each pair. Of ``frames``.
        walls: of the frame: ``free``, ``no-slip``, or ``periodic``, which makes space periodic whatever the grid says.
            Of ``frames`` and ``curved``.
        smoothness: weight of |grad d|^2, in squared pixels. Of ``frames`` and ``curved``.
        gain: whether all brightness may be multiplied by a number from frame to frame, which is fitted. Of ``frames``.
        form: ``frames``, ``steady`` or ``curved``.
        direction: of ``steady``: ``right``, ``left``, ``up`` or ``down``, where it is known; found where None.
        background: of ``steady``: whether a still pattern b(x) lies under what is carried; b is one number of each row
            where it does not, as that of a straight vessel and its walls.

    Raises:
        InvalidArgument: an unknown velocity, walls, form or direction, a smoothness that is not positive, a switch that
            is neither true nor false, or ``curved`` with a ``general`` velocity.

    Source: Horn and Schunck (1981), Artificial Intelligence 17:185; envelope theorem: Milgrom and Segal (2002),
        Econometrica 70:583.

    >>> x, t = torch.arange(32, dtype=torch.float64), torch.arange(5.0).view(-1, 1, 1)
    >>> wave = torch.exp(torch.cos((x - 0.5 * t) * torch.pi / 8)).expand(5, 32, 32)[None, None]
    >>> grid = Grid(spacing=(2.0, 2.0), dt=0.1, boundary="periodic")
    >>> law = Transport(form="steady")
    >>> [round(value[0], 3) + 0.0 for value in law.fit(wave, grid).values.values()]
    [10.0, 0.0]
    >>> bool(law.residual(wave, grid).abs().max() < 1e-5)
    True
    """

    name = "transport"
    tolerates = False

    def __init__(
        self,
        velocity: str = "stream",
        steady: bool = False,
        walls: str = "free",
        smoothness: float | int = 0.1,
        gain: bool = False,
        form: str = "frames",
        direction: str | None = None,
        background: bool = False,
    ) -> None:
        for name, got, allowed in (
            ("velocity", velocity, VELOCITIES),
            ("walls", walls, tuple(LAPLACIAN)),
            ("form", form, FORMS),
            ("direction", direction, (None, *DIRECTIONS)),
        ):
            if got not in allowed:
                raise InvalidArgument(name, got, ", ".join(map(str, allowed)))
        self.velocity_form, self.walls, self.form, self.direction = velocity, walls, form, direction
        for name, switch in (("steady", steady), ("gain", gain), ("background", background)):
            instance(name, switch, bool, "true or false")
        if form == "curved" and velocity != "stream":
            raise InvalidArgument("velocity", velocity, "stream, for form='curved'")
        self.steady, self.gain, self.background = steady, gain, background
        self.smoothness = finite("smoothness", smoothness, "a number > 0, squared pixels", lambda value: value > 0)
        self._given = False

    @property
    def projects(self) -> bool:  # type: ignore[override]
        """Whether there is a nearest video: of ``steady`` and ``curved``."""
        return self.form != "frames"

    @property
    def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
        """``speed`` and ``direction``, which v has."""
        return () if self._given else CONSTANTS

    def residual(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B S N M"]:
        """Unexplained part of the motion, in float32 or better: ``[B, S, T-1, HW + 1]``, or ``[B, S, T, HW]`` (others).

        Raises:
            InvalidArgument: fewer than two frames, fields that are not ``[B, S, T, H, W]`` on this grid, NaN or Inf, no
                grid, fewer than four cells along an axis; ``steady`` on a grid that is not periodic.
        """
        fields, grid = self._checked(fields, grid)
        if self.form == "frames":
            return scaled(self._flow(fields, grid), fields)
        nearest = torch.stack([found.fields for found in self._nearest(fields, grid)])
        return ((fields - nearest) / of_samples(motion_of(fields), fields)).flatten(3)

    @torch.no_grad()
    def floor(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> Float[Tensor, "B"]:
        """Norm of the residual that true videos of this size and this noise have, which guidance leaves alone.

        sqrt(N (0.002 (1 - nu) + a nu)),  nu = 2 sigma^2 / change^2,  N values of all pairs

        sigma is the `noise_level`; of the noise's part nu a flow leaves a = 0.4 (one of all frames) or 0.3 (one of each
        pair): interpolation smooths noise, and flows follow it. Without noise smoothness and interpolation leave 0.002.
        It is 0 where there is a nearest video.
        """
        if self.projects:
            return super().floor(fields, grid)
        fields, grid = self._checked(fields, grid)
        noise = torch.stack([2 * noise_level(x).square().mean() for x in fields])
        part = (noise / change_of(fields).double().square()).clamp(max=1)
        left = TRUE_LEFT * (1 - part) + (NOISE_LEFT if self.steady else NOISE_LEFT_OF_PAIRS) * part
        return (left * fields[0, :, 1:].numel()).sqrt()

    @torch.no_grad()
    def velocity(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B T-1 2 H W"]:
        """Velocity between frames at the pixels, along y (down) and x, µm/s."""
        return self._read(*self._checked(fields, grid))[0]

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples are carried, by limits that true videos of the simulator keep; the tolerance plays no part.

        ``frames``: no pair leaves more than 0.1 of the mean change, no window of 7 x 7 pixels more than 0.01 of the
        squared contrast, both beyond noise; and brightness changes by at most 3 % over the video (unless ``gain``).
        ``steady`` and ``curved``: 0.9 of what happens is explained, beyond noise.
        """
        readings = self._read(*self._checked(fields.detach(), grid))[1]
        return torch.tensor([self._holds(one) for one in readings], device=fields.device)

    def _holds(self, one: Reading) -> bool:
        if math.isnan(one.explained):
            return True
        if self.projects:
            return one.explained >= CARRIED
        return one.worst <= WORST and one.patch <= PATCH and (self.gain or abs(one.fade) <= FADE)

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B S T H W"]:
        """The nearest steady flow, in the dtype of the fields, computed in float64, detached.

        Raises:
            InvalidArgument: as `residual`.
            NoSolution: fields of which a steady flow explains less than 0.15 of what happens, or 0.25 along curves.
        """
        checked, grid = self._checked(fields, grid)
        exact = checked.double()
        if not self.projects:
            return super().project(fields, grid)
        found, least = self._nearest(exact, grid), COHERENT[self.form]
        for one, x in zip(found, exact, strict=True):
            if one.share < least and not _still(x):
                problem = f"a steady flow explains {100 * max(one.share, 0.0):.0f} % of what happens"
                raise NoSolution("fields", problem, f"fields of which it explains at least {100 * least:.0f} %")
        return torch.stack([one.fields for one in found]).to(fields.dtype)

    @torch.no_grad()
    def fit(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Fit:
        """``speed``, µm/s, and ``direction``, degrees from right (0) over up (90), of what moves.

        ``measured`` is false, with the reason, where `why_unmeasured` says that the video does not carry them.
        """
        if self._given:
            return Fit()
        fields, grid = self._checked(fields, grid)
        return self._fit(fields, grid, self._read(fields, grid)[1])

    def with_constants(self, constants: Fit | Mapping[str, Any]) -> Transport:
        """The law that `fit` reports nothing of: speed and direction are means of v, which is fitted all the same."""
        given_values(constants, self.fitted)
        law = copy.copy(self)
        law._given = True
        return law

    @torch.no_grad()
    def describe(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> dict[str, Any]:
        """What the flow is like, of each sample.

        ``speed`` in µm/s and ``direction`` in degrees as `fit` has them, root mean squares of ``divergence`` and
        ``vorticity`` in 1/s, the part of the change that is ``explained``; and what `satisfied` looks at:
        ``worst_pair``, ``worst_patch`` and ``fade``.
        """
        fields, grid = self._checked(fields, grid)
        velocity, readings = self._read(fields, grid)
        motion, d = self._motion(fields, grid), velocity.flatten(0, 1) * grid.dt / _unit(grid)
        turning = {
            name: (of(d).unflatten(0, velocity.shape[:2]).square().mean((1, 2, 3)).sqrt() / grid.dt).tolist()
            for name, of in (("divergence", motion.dilation), ("vorticity", motion.curl))
        }
        return {
            **self._fit(fields, grid, readings).values,
            **turning,
            "explained": [one.share for one in readings],
            "worst_pair": [one.worst for one in readings],
            "worst_patch": [one.patch for one in readings],
            "fade": [one.fade for one in readings],
        }

    def _fit(self, fields: Tensor, grid: Grid, readings: list[Reading]) -> Fit:
        unit, pairs, spacing = _unit(grid) / grid.dt, fields.shape[2] - 1, _spacing(grid)
        found = zip(readings, fields, strict=True)
        return as_fit([Measured(one, unit, pairs, why_unmeasured(x, one, spacing)) for one, x in found])

    def _checked(self, fields: Tensor, grid: Grid | None) -> tuple[Tensor, Grid]:
        grid = check_fields(fields, grid)
        if len(grid.spacing) != 2 or min(fields.shape[3:]) < 4:
            raise InvalidArgument("fields", fields, "[B, S, T, H, W], at least four cells along y and x")
        if self.form == "steady" and grid.boundary != "periodic":
            raise InvalidArgument("boundary", grid.boundary, "periodic, for form='steady'; form='frames' takes any")
        return single(fields), grid

    def _motion(self, fields: Tensor, grid: Grid) -> Motion:
        walls = "periodic" if self.form == "steady" else self.walls
        return Motion(self.velocity_form == "stream", walls, fields.shape[3], fields.shape[4], _spacing(grid))

    def _wraps(self, grid: Grid) -> bool:
        return self.walls == "periodic" or grid.boundary == "periodic"

    def _flow(self, fields: Tensor, grid: Grid) -> Flow:
        motion, wraps = self._motion(fields, grid), self._wraps(grid)
        return flow_of(fields, motion, self.smoothness, steady=self.steady, wraps=wraps, gain=self.gain)

    def _nearest(self, fields: Tensor, grid: Grid) -> Sequence[Steady | Curved]:
        if self.form == "steady":
            return [nearest_steady(sample.detach(), self.direction, self.background) for sample in fields]
        motion, wraps = self._motion(fields, grid), self._wraps(grid)
        return [nearest_carried(sample, motion, self.smoothness, wraps) for sample in fields]

    def _read(self, fields: Tensor, grid: Grid) -> tuple[Float[Tensor, "B P 2 H W"], list[Reading]]:
        """Velocities in µm/s, and readings of each sample."""
        spacing = _spacing(grid)
        if self.form == "frames":
            flow = self._flow(fields, grid)
            readings = [
                read_flow(*of_one, spacing) for of_one in zip(fields, flow.d, flow.left, flow.gain, strict=True)
            ]
            return flow.d * _unit(grid) / grid.dt, readings
        found = self._nearest(fields, grid)
        readings = [
            read_steady(one, x, spacing) if isinstance(one, Steady) else read_curved(one, x, spacing)
            for one, x in zip(found, fields, strict=True)
        ]
        velocity = torch.stack([one.displacement(spacing) for one in found]) * _unit(grid) / grid.dt
        return velocity[:, None].expand(-1, fields.shape[2] - 1, -1, -1, -1), readings


def _unit(grid: Grid) -> float:
    """Root of the area of a pixel, µm."""
    return math.sqrt(grid.cell_area)


def _spacing(grid: Grid) -> tuple[float, float]:
    """Of the pixels along y and x, in units of the root of their area."""
    return grid.spacing[0] / _unit(grid), grid.spacing[1] / _unit(grid)


def _still(fields: Float[Tensor, "S T H W"]) -> bool:
    """Whether nothing happens at all: then the law holds with any flow."""
    return bool((fields == fields[:, :1]).all())
