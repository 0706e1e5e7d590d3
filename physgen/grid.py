"""Physical scale of a video: pixel spacing, frame interval, boundary condition."""

from __future__ import annotations

import math
from dataclasses import dataclass

from physgen.arguments import finite
from physgen.errors import InvalidArgument

BOUNDARIES = ("no-flux", "periodic", "dirichlet", "open")
#: those that let nothing through
CLOSED = ("no-flux", "periodic")


@dataclass(frozen=True)
class Grid:
    """Cell-centred grid of a video, one cell per pixel, one time per frame.

    x_ij = ((i + 1/2) dy, (j + 1/2) dx),  t_n = n dt

    Args:
        spacing: ``(dy, dx)`` of a pixel, µm; ``(dx,)`` of a line and ``(dz, dy, dx)`` of a volume.
        dt: time from one frame to the next, s.
        boundary: ``no-flux`` (mirrored ghost cell), ``periodic``, ``dirichlet`` or ``open``.

    Raises:
        InvalidArgument: a length or time that is not finite and positive, or an unknown boundary.

    Source: cell-centred finite volumes, LeVeque (2002), Finite Volume Methods for Hyperbolic Problems.

    >>> Grid(spacing=(2.0, 0.5), dt=0.1).cell_area
    1.0
    """

    spacing: tuple[float | int, ...]
    dt: float | int
    boundary: str = "no-flux"

    def __post_init__(self) -> None:
        if not isinstance(self.spacing, tuple | list) or not 1 <= len(self.spacing) <= 3:
            raise InvalidArgument("spacing", self.spacing, "(dy, dx) in µm, or one or three lengths")
        allowed = "a finite number > 0"
        spacing = tuple(finite("spacing", length, f"{allowed}, µm", lambda value: value > 0) for length in self.spacing)
        object.__setattr__(self, "spacing", spacing)
        object.__setattr__(self, "dt", finite("dt", self.dt, f"{allowed}, s", lambda value: value > 0))
        if self.boundary not in BOUNDARIES:
            raise InvalidArgument("boundary", self.boundary, ", ".join(BOUNDARIES))

    @property
    def cell_area(self) -> float:
        """Area of one pixel, µm² (length on a line, volume in a volume)."""
        return math.prod(self.spacing)
