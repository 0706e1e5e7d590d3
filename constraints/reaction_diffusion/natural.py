"""Sizes of constants in the units of a video."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.grid import Grid


@torch.no_grad()
def natural_units(
    fields: Float64[Tensor, "1 S T *space"],
    constants: Constants,
    values: Float64[np.ndarray, "P"],
    grid: Grid,
) -> Float64[np.ndarray, "P"]:
    """What each fitted constant is counted in, so that its fit is the same in all units of value, length and time.

    h^2 / dt of a diffusivity, h^S the size of a cell;  |u| / (dt |dR/dtheta|) of a parameter in which R is linear;
    its range, or else its value, of any other

    Args:
        fields: one video.
        constants: of the law.
        values: of those that are fitted.
        grid: of the video.

    Source: dimensional analysis.

    >>> from physgen.equations.systems import reaction_system
    >>> growth = Constants(reaction_system("fisher_kpp"), {}, {}, {"D_u": (0, 9), "r": (0, 9), "K": (1, 5)})
    >>> u = torch.full((1, 1, 2, 4), 1.0, dtype=torch.float64)
    >>> natural_units(u, growth, np.array([1.0, 1.0, 2.0]), Grid(spacing=(2.0,), dt=0.5)).tolist()
    [8.0, 4.0, 4.0]
    """
    system, span = constants.system, grid.cell_area ** (2 / len(grid.spacing))
    parameters = constants.complete(dict(zip(constants.bounds, values.tolist(), strict=True)))[1]
    units = []
    for (name, (low, high)), value in zip(constants.bounds.items(), values.tolist(), strict=True):
        unit = abs(value)
        if name in constants.diffusing:
            unit = span / grid.dt
        elif system.linear([name]):
            others = {other: given for other, given in parameters.items() if other != name}
            made = float(system.design(fields, [name], others)[0].norm())
            unit = float(fields.norm()) / (grid.dt * made) if made > 0 else 1 / grid.dt
        elif math.isfinite(high - low):
            unit = high - low
        units.append(unit if unit > 0 else 1.0)
    return np.array(units)
