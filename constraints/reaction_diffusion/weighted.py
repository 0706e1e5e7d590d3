"""The trajectory that is nearest to values of which some count more than others, and its constants with it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.constraints.reaction_diffusion.equation import Equation
from physgen.constraints.reaction_diffusion.projection import nearest_video
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid

#: relative difference by which constants are varied, and evaluations of the slope
DIFFERENCE, EVALUATIONS = 0.05, 8
#: of a constant per frame interval, below which it starts from there
LEAST = 1e-6


def weighted_nearest(
    equation: Equation,
    sample: Constants,
    start: dict[str, float],
    fields: Float64[Tensor, "1 S T *space"],
    weight: Float[Tensor, "1 S T *space"],
    grid: Grid,
) -> tuple[Float64[Tensor, "1 S T *space"], dict[str, float]]:
    """The trajectory, and the constants that are fitted.

    argmin over u, theta of sum weight |Phi_theta^t(u) - fields|^2

    by variable projection: for given constants `nearest_trajectory` finds the first frame; their logarithms are found
    by Gauss and Newton with differences of 5 %, from ``start`` on. Constants stay positive.

    Raises:
        NoSolution: see `ReactionDiffusion.project`, at ``start``.

    Source: 4D-Var with a background, Courtier, Thepaut and Hollingsworth (1994), Q. J. R. Meteorol. Soc. 120:1367;
        variable projection: Golub and Pereyra (1973), SIAM J. Numer. Anal. 10:413.
    """
    import scipy.optimize

    weight = weight.double()
    root = (weight / weight.mean()).sqrt()
    first = np.log([max(value, LEAST / grid.dt) for value in start.values()])

    def constants(logs: np.ndarray) -> dict[str, float]:
        return dict(zip(start, np.exp(logs).tolist(), strict=True))

    def near(logs: np.ndarray) -> Tensor:
        return nearest_video(equation, sample.complete(constants(logs)), fields, grid, torch.float64, weight)

    if not start:
        return near(first), {}

    def misfit(logs: np.ndarray) -> np.ndarray:
        try:
            return (root * (near(logs) - fields)).flatten().numpy()
        except (InvalidArgument, NoSolution):
            return np.full(fields.numel(), 1e3 * float(fields.abs().max()))

    near(first)
    found = scipy.optimize.least_squares(
        misfit, first, diff_step=DIFFERENCE, max_nfev=EVALUATIONS, xtol=1e-3, ftol=1e-4
    )
    return near(found.x), constants(found.x)
