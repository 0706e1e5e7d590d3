"""The trajectory that is nearest to values of which some count more than others, and its constants with it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.constraints.reaction_diffusion.equation import Equation
from physgen.constraints.reaction_diffusion.fit_nearest import nearest_with_constants
from physgen.constraints.reaction_diffusion.projection import box_of, law_of, nearest_video, searched
from physgen.dynamics.flow_map import FlowMap
from physgen.grid import Grid

#: decrease of the weighted square that the last step makes, as a part of it
ENOUGH = 1e-4
#: of a constant per frame interval, below which it starts from there
LEAST = 1e-6


def weighted_nearest(
    equation: Equation,
    sample: Constants,
    start: dict[str, float],
    fields: Float64[Tensor, "1 S T *space"],
    weight: Float[Tensor, "1 S T *space"],
    grid: Grid,
    bounds: tuple[float, float],
) -> tuple[Float64[Tensor, "1 S T *space"], dict[str, float]]:
    """The trajectory, and the constants that are fitted.

    argmin over u, theta of sum weight |Phi_theta^t(u) - fields|^2

    by `nearest_with_constants` of the flow map, from ``start`` on; the trajectory is then that of the law's own form.
    ``bounds``: see `box_of`.

    Raises:
        NoSolution: see `ReactionDiffusion.project`, at ``start``.

    Source: 4D-Var with a background, Courtier, Thepaut and Hollingsworth (1994), Q. J. R. Meteorol. Soc. 120:1367.
    """
    weight = weight.double()
    found = {}
    if start:
        low, high = np.array([sample.bounds[name] for name in start]).T
        theta = np.clip([max(value, LEAST / grid.dt) for value in start.values()], low, high)

        def flow(theta: np.ndarray) -> FlowMap:
            return equation.flow(sample.complete(dict(zip(start, theta.tolist(), strict=True))), grid)

        box = box_of(equation, fields, flow(theta).parameters, bounds)
        seen, steps = searched(equation, fields, box, flow(theta))
        near = nearest_with_constants(
            seen, lambda x: law_of(equation, seen, flow(x), steps), theta, low, high, box, weight, ENOUGH
        )
        found = dict(zip(start, near.theta.tolist(), strict=True))
    return nearest_video(equation, sample.complete(found), fields, grid, torch.float64, weight, bounds), found
