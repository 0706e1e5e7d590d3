"""Nothing comes from nowhere, nothing vanishes."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import finite, instance
from physgen.constraints.base import Constraint, check_fields
from physgen.constraints.objects.sinkhorn import assign_softly
from physgen.constraints.objects.spots import Objects, find_objects
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.measure.degenerate import degenerate
from physgen.tensors import single

#: how far things may move in one frame, and how far from an edge they may come and go, in radii
REACH, BORDER = 2.0, 2.0
#: how near to its mother a daughter appears, in radii
FAMILY = 3.0
#: weight from which the hard tracker sees an object
SEEN = 0.5


class Permanence(Constraint):
    """Away from the edge of the frame no bright object appears or vanishes, and none divides or merges.

    residual[b, s, t] = (objects of frame t with none in frame t + 1, objects of frame t + 1 with none in frame t)

    Objects are local maxima of blurred frames, with weights between 0 and 1 (`find_objects`). Those of neighboring
    frames are assigned to each other softly (`assign_softly`): linking two costs (distance / reach)², a loose end 1/2.
    Loose ends do not count within two radii of an edge that is not periodic. In units of objects; differentiated
    through weights, places and assignment, which object there is held.

    It looks from one frame to the next: what fades away or brightens over many frames is found only where it crosses
    the threshold quickly, and two objects that swap places within reach are not found.

    Args:
        radius: of an object, µm.
        reach: largest motion from a frame to the next, µm; two radii when None.
        divides, merges: whether the text allows it: then an object may appear (vanish) within three radii of one of the
            frame before (after).
        threshold: brightness of an object, in the unit of the fields; half of the contrast when None.

    Raises:
        InvalidArgument: a radius or reach that is not positive, a threshold that is not finite, a switch that is
            neither true nor false.

    Source: Sinkhorn (1967), Amer. Math. Monthly 74:402; linking by least squared distance, Crocker and Grier (1996),
        J. Colloid Interface Sci. 179:298.

    >>> y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    >>> moving = torch.stack([torch.exp(-((y - 16) ** 2 + (x - 12 - t) ** 2) / 12) for t in range(5)])
    >>> ghost = moving.clone()
    >>> ghost[3:] += torch.exp(-((y - 10) ** 2 + (x - 24) ** 2) / 12)
    >>> law = Permanence(radius=3.0)
    >>> law.satisfied(torch.stack([moving, ghost])[:, None], Grid(spacing=(1.0, 1.0), dt=1.0), 0.5).tolist()
    [True, False]
    """

    name = "permanence"
    needs_amounts = True
    true_within = 0.5
    needs_constant_dt = False

    def __init__(
        self,
        radius: float | int,
        reach: float | int | None = None,
        divides: bool = False,
        merges: bool = False,
        threshold: float | int | None = None,
    ) -> None:
        self.radius = finite("radius", radius, "a number > 0, µm", lambda value: value > 0)
        far = REACH * self.radius if reach is None else reach
        self.reach = finite("reach", far, "None or a number > 0, µm", lambda value: value > 0)
        self.divides = instance("divides", divides, bool, "true or false")
        self.merges = instance("merges", merges, bool, "true or false")
        self.threshold = None if threshold is None else finite("threshold", threshold, "None or a finite number")

    def residual(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B S P 2"]:
        """Objects that vanish after frame t, and that appear in frame t + 1, ``[B, S, T-1, 2]``.

        Raises:
            InvalidArgument: fewer than two frames, fields that are not ``[B, S, T, H, W]`` on this grid, NaN or Inf, no
                grid.
        """
        grid = self._checked(fields, grid)
        found = [self._loose(self._objects(x, grid), fields.shape[3:], grid) for x in _movies(fields)]
        return torch.stack(found).view(*fields.shape[:2], fields.shape[2] - 1, 2)

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples keep their objects: from no frame to the next more than ``tolerance`` objects appear or vanish.

        0.5 is what simulated clips meet.
        """
        return super().satisfied(fields, grid, tolerance)

    @torch.no_grad()
    def describe(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> dict[str, Any]:
        """What a hard tracker finds: most ``objects`` of a frame, how many ``appeared`` and ``vanished``, ``[B][S]``.

        Links of least squared distance; ``abstains`` says why nothing can be followed.
        """
        grid = self._checked(fields, grid)
        found = [self._tracked(self._objects(x, grid), fields.shape[3:], grid) for x in _movies(fields)]
        table = torch.tensor(found).view(*fields.shape[:2], 3)
        empty = [f"the fields are {why}" if why in ("empty", "uniform") else None for why in degenerate(fields)]
        names = ("objects", "appeared", "vanished")
        return {**{name: table[..., i].tolist() for i, name in enumerate(names)}, "abstains": empty}

    def _checked(self, fields: Tensor, grid: Grid | None) -> Grid:
        grid = check_fields(fields, grid)
        if len(grid.spacing) != 2:
            raise InvalidArgument("fields", fields, "[B, S, T, H, W]")
        return grid

    def _objects(self, frames: Float[Tensor, "T H W"], grid: Grid) -> Objects:
        radii = (self.radius / grid.spacing[0], self.radius / grid.spacing[1])
        return find_objects(frames, radii, self.threshold, grid.boundary == "periodic")

    def _loose(self, objects: Objects, space: torch.Size, grid: Grid) -> Float[Tensor, "P 2"]:
        places, weights = objects.places, objects.weights
        squares = self._squares(places[:-1], places[1:], space, grid)
        inside = self._inside(places.detach(), space, grid).to(weights)
        near = FAMILY * self.radius / self.reach
        used = weights.detach() > SEEN
        kin = torch.where(used[:-1, :, None] & used[1:, None], squares.detach(), torch.inf) <= near**2
        # loose ends are free at the edge, and next to a relative where that is allowed
        vanishing, appearing = inside[:-1], inside[1:]
        if self.merges:
            vanishing = vanishing * ~kin.any(2)
        if self.divides:
            appearing = appearing * ~kin.any(1)
        gone, new = assign_softly(squares, weights[:-1], weights[1:], vanishing / 2, appearing / 2)
        return torch.stack([(gone * vanishing).sum(1), (new * appearing).sum(1)], 1)

    def _squares(
        self, before: Float[Tensor, "P N 2"], after: Float[Tensor, "P M 2"], space: torch.Size, grid: Grid
    ) -> Float[Tensor, "P N M"]:
        """Squared distances in units of the reach."""
        apart = before[:, :, None] - after[:, None]
        if grid.boundary == "periodic":
            size = torch.tensor(space, dtype=apart.dtype, device=apart.device)
            apart = (apart + size / 2) % size - size / 2
        return (apart * torch.tensor([h / self.reach for h in grid.spacing]).to(apart)).square().sum(3)

    def _inside(self, places: Float[Tensor, "T N 2"], space: torch.Size, grid: Grid) -> Bool[Tensor, "T N"]:
        if grid.boundary == "periodic":
            return torch.ones_like(places[..., 0], dtype=torch.bool)
        last = torch.tensor(space, dtype=places.dtype, device=places.device) - 1
        margin = torch.tensor([BORDER * self.radius / h for h in grid.spacing]).to(places)
        return ((places >= margin) & (places <= last - margin)).all(2)

    def _tracked(self, objects: Objects, space: torch.Size, grid: Grid) -> tuple[int, int, int]:
        from scipy.optimize import linear_sum_assignment

        seen, inside = objects.weights > SEEN, self._inside(objects.places, space, grid)
        squares = self._squares(objects.places[:-1], objects.places[1:], space, grid)
        appeared = vanished = 0
        for pair, square in enumerate(squares):
            loose = [seen[pair] & inside[pair], seen[pair + 1] & inside[pair + 1]]
            cost = torch.where(seen[pair][:, None] & seen[pair + 1], square, 1).clamp(max=1)
            rows, columns = linear_sum_assignment(cost.cpu().numpy())
            for row, column in zip(rows, columns, strict=True):
                if float(cost[row, column]) < 1:
                    loose[0][row] = loose[1][column] = False
            vanished, appeared = vanished + int(loose[0].sum()), appeared + int(loose[1].sum())
        return int(seen.sum(1).max()), appeared, vanished


def _movies(fields: Float[Tensor, "B S T H W"]) -> Float[Tensor, "N T H W"]:
    return single(fields).flatten(0, 1)
