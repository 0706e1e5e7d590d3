"""What only grows."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import finite
from physgen.constraints.base import Constraint, check_fields
from physgen.constraints.course.isotonic import nearest_rising
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.measure.degenerate import degenerate
from physgen.tensors import quantile, single, soft_step

OF = ("amount", "area", "pixels")
DIRECTIONS = {"grows": 1.0, "shrinks": -1.0}
#: part of the fields' size that the scale of the residual is at least
FLOOR = 1e-3
#: quantiles of a species between which the edge of an area lies half way, and the edge's part of their distance
LEVELS, EDGE = (0.02, 0.98), 0.1
#: pairs of frames that are looked at together, of all series
PAIRS = 2**22


class Progression(Constraint):
    """A scalar that only grows: an amount, an area, or the value of each pixel.

    a(t+1) >= a(t);  residual[b, s, t] = (a - y) / scale,  y = argmin_y sum_t (y - a)^2,  y(t+1) >= y(t)

    ``amount``: a is the mean over the frame. ``area``: a is the part of the frame above a threshold with a soft edge,
    mean of sigmoid((c - threshold) / width). ``pixels``: a is every pixel's value, for what is never undone in any
    place. ``scale`` is the root mean square of a over the video (of ``pixels`` over all pixels), at least 1/1000 of
    that of the fields (``area``: of 1). Everything is differentiated.

    Args:
        of: ``amount``, ``area`` or ``pixels``.
        direction: ``grows`` or ``shrinks``.
        threshold: of ``area``, in the unit of the fields; when None half way between the quantiles 0.02 and 0.98 of
            each species of each video. The edge is as wide as a tenth of their distance.

    Raises:
        InvalidArgument: an unknown ``of`` or direction, a threshold that is not finite.

    Source: isotonic regression, Robertson, Wright and Dykstra (1988), Order Restricted Statistical Inference.

    >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    >>> healing = torch.tensor([1.0, 2.0, 4.0, 3.0]).view(1, 1, 4, 1, 1).expand(1, 1, 4, 8, 8)
    >>> [round(x, 3) for x in Progression().residual(healing, grid).flatten().tolist()]
    [0.0, 0.0, 0.183, -0.183]
    >>> Progression().project(healing, grid)[0, 0, :, 0, 0].tolist()
    [1.0, 2.0, 3.5, 3.5]
    """

    name = "progression"
    needs_amounts = True
    true_within = 0.01
    needs_constant_dt = False

    def __init__(self, of: str = "amount", direction: str = "grows", threshold: float | int | None = None) -> None:
        if of not in OF:
            raise InvalidArgument("of", of, ", ".join(OF))
        if direction not in DIRECTIONS:
            raise InvalidArgument("direction", direction, ", ".join(DIRECTIONS))
        self.of, self.direction = of, direction
        self.threshold = None if threshold is None else finite("threshold", threshold, "None or a finite number")

    @property
    def projects(self) -> bool:  # type: ignore[override]
        """Whether there is a nearest video in closed form: of ``amount`` and ``pixels``."""
        return self.of != "area"

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T N"]:
        """What a falls by, relative to its size, ``[B, S, T, N]``; N is 1, or the pixels.

        Raises:
            InvalidArgument: fewer than two frames, a rank that is not the grid's, NaN or Inf, no grid.
        """
        check_fields(fields, grid)
        series = self._series(fields)
        size = series.square().mean((2, 3))
        floor = 1.0 if self.of == "area" else fields.flatten(2).square().mean(2)
        square = (size + FLOOR**2 * floor)[:, :, None, None]
        return (series - self._rising(series)) / torch.where(square > 0, square, 1).sqrt()

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples only grow: no frame is further from the nearest course that only grows than the tolerance.

        Of ``pixels`` that is the root mean square over the frame. Simulated growth meets 0.01.
        """
        tolerance = finite("tolerance", tolerance, "a number >= 0", lambda value: value >= 0)
        residual = self.residual(fields, grid).detach()
        return residual.square().mean(3).sqrt().flatten(1).amax(1) <= tolerance

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """The nearest fields that only grow, computed in float64, in the dtype of the fields, detached.

        argmin |c' - c|^2 over {a'(t+1) >= a'(t)}

        ``amount``: every frame is moved by one number, c' = c + y - a, which is the smallest change that gives it the
        mean y; so y is the isotonic regression of a. ``pixels``: the isotonic regression of each pixel. Values may
        become negative in ``amount``.
        """
        check_fields(fields, grid)
        if not self.projects:
            return super().project(fields, grid)
        exact = fields.double()
        series = self._series(exact)
        change = self._rising(series) - series
        return (exact.flatten(3) + change).view_as(fields).to(fields.dtype)

    @torch.no_grad()
    def describe(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> dict[str, Any]:
        """``grown``: last over first less 1; ``fall``: the largest residual; ``abstains``: why nothing can be said.

        It abstains where nothing happens, and from an area that is nowhere.
        """
        residual = self.residual(fields, grid).square().mean(3).sqrt().flatten(1).amax(1)
        means = self._series(fields).double().mean((1, 3))
        first = torch.where(means[:, 0] != 0, means[:, 0], torch.nan)
        return {
            "grown": [None if x != x else x for x in (means[:, -1] / first - 1).tolist()],
            "fall": residual.tolist(),
            "abstains": [None if why is None else f"the fields are {why}" for why in degenerate(fields)],
        }

    def _series(self, fields: Tensor) -> Float[Tensor, "B S T N"]:
        flat = single(fields).flatten(3)
        if self.of == "pixels":
            return flat
        if self.of == "amount":
            return flat.mean(3, keepdim=True)
        low, high = (
            torch.cat([quantile(x, level).view(1) for x in flat.flatten(0, 1)]).view(*flat.shape[:2], 1, 1)
            for level in LEVELS
        )
        middle = (low + high) / 2 if self.threshold is None else self.threshold
        return soft_step(flat - middle, EDGE * (high - low)).mean(3, keepdim=True)

    def _rising(self, series: Float[Tensor, "B S T N"]) -> Float[Tensor, "B S T N"]:
        sign = DIRECTIONS[self.direction]
        rows = sign * series.movedim(2, -1)
        together = max(1, PAIRS // rows.shape[-1] ** 2)
        near = torch.cat([nearest_rising(part) for part in rows.flatten(0, -2).split(together)])
        return sign * near.view_as(rows).movedim(-1, 2)
