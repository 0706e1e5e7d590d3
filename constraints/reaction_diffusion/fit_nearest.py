"""The constants of a law, and the trajectory, that are nearest to a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from physgen.constraints.bounded import bounded_least_squares
from physgen.constraints.least_squares import Estimate, fitted, judged
from physgen.constraints.reaction_diffusion.blocks import blocks_of
from physgen.constraints.reaction_diffusion.fit_flow_map import UNEXPLAINED
from physgen.constraints.reaction_diffusion.nearest_trajectory import (
    LENGTHS,
    Box,
    Law,
    Tangent,
    energy,
    nearest_trajectory,
    solution,
)
from physgen.errors import NoSolution
from physgen.measure import noise_level

#: steps at most
STEPS = 12
#: relative change of a constant that its sensitivity is the slope over
NUDGE = 1e-3
#: what bounds are apart at least, in units of a constant
TINY = 1e-9


@dataclass(frozen=True)
class Nearest:
    """A trajectory near a video, and how it would change with its constants.

    Attributes:
        theta: the constants.
        first: the first frame ``[1, S, 1, *space]``.
        frames: those of the trajectory, like the video's.
        left, jacobian: what no first frame can explain of the misfit before the last step, and of the slopes in theta
            in units of ``size``.
    """

    theta: Float64[np.ndarray, "P"]
    first: Tensor
    frames: Tensor
    left: Float64[np.ndarray, "N"]
    jacobian: Float64[np.ndarray, "N P"]
    size: Float64[np.ndarray, "P"]


def nearest_constants(
    fields: Float[Tensor, "1 S T *space"],
    law_at: Callable[[np.ndarray], Law],
    start: Float64[np.ndarray, "P"],
    low: Float64[np.ndarray, "P"],
    high: Float64[np.ndarray, "P"],
    box: Box,
) -> Estimate:
    """Constants of the trajectory that is nearest to a video, whatever its first frame, see `nearest_with_constants`.

    Constants that leave more than half of the motion's power unexplained are not identifiable.

    Raises:
        NoSolution: the law blows up from the first frame on.
    """
    near = nearest_with_constants(fields, law_at, start, low, high, box)
    blocks = np.tile(blocks_of(fields.shape[3:]), fields.shape[1] * fields.shape[2])
    fit = fitted(near.theta, near.left, near.jacobian / near.size, low, high, blocks)
    missed, motion = energy(near.frames - fields), energy(fields - fields.mean(2, keepdim=True))
    noise = float(noise_level(fields[0]).square().sum()) * fields[0, 0, 1:].numel()
    fit = judged(fit, missed, motion, noise)
    return replace(fit, identifiable=fit.identifiable and fit.explained >= 1 - UNEXPLAINED)


def nearest_with_constants(
    fields: Float[Tensor, "1 S T *space"],
    law_at: Callable[[np.ndarray], Law],
    start: Float64[np.ndarray, "P"],
    low: Float64[np.ndarray, "P"],
    high: Float64[np.ndarray, "P"],
    box: Box,
    weight: Float[Tensor, "1 S T *space"] | None = None,
    enough: float | None = None,
) -> Nearest:
    """The trajectory that is nearest to a video, and its constants, by Gauss and Newton.

    argmin_{low <= theta <= high} min_{u in box} sum_t |Phi^t(u; theta) - fields[t]|^2,  each square times its weight

    The first frame is eliminated: of the slopes J in theta only what no first frame can make counts, J - M M^+ J, with
    M the tangent of the trajectory in its first frame. So noise of the frames does not look like diffusion, as it does
    where a flow starts from the video's own. Steps that do not come nearer are shortened, and the last one explains no
    more than the part ``enough`` of what is left, one value's share where None. ``law_at`` makes the law of constants,
    in the same number of parts for all.

    Raises:
        NoSolution: the law blows up from the first frame on.

    Source: variable projection, Golub and Pereyra (1973), SIAM J. Numer. Anal. 10:413.
    """
    theta, law, frames = start, law_at(start), fields.shape[2]
    root = 1.0 if weight is None else (weight / weight.mean()).sqrt().to(fields)
    enough = 1 / fields.numel() if enough is None else enough
    path = law.roll(nearest_trajectory(fields, law, box, weight), frames)
    if not bool(path.isfinite().all()):
        raise NoSolution("fields", "no trajectory nearby", "fields near which the law does not blow up")
    size = np.where(start != 0, np.abs(start), 1.0)
    for _ in range(STEPS):
        shown, first = path[:, :, :: law.parts], path[:, :, :1]
        misfit, tangent = root * (shown - fields), Tangent(law, path)
        distance, slope = energy(misfit), tangent.adjoint(root * misfit)
        free = box.free(first, slope)

        changes, columns = [], []
        for index, scale in enumerate(size):
            nudge = NUDGE * scale if theta[index] + NUDGE * scale <= high[index] else -NUDGE * scale
            ahead = law_at(theta + nudge * (np.arange(len(theta)) == index)).roll(first, frames)
            sloped = (ahead[:, :, :: law.parts] - shown) * float(scale / nudge)
            change, column = _outside(tangent, free, root * sloped, root)
            changes.append(change)
            columns.append(column)
        rest, left = _outside(tangent, free, -misfit, root)
        jacobian = np.stack(columns, 1)
        bounds = (low - theta) / size - TINY, (high - theta) / size + TINY
        moved = bounded_least_squares(jacobian, left, *bounds)
        move = rest - sum(float(part) * change for part, change in zip(moved, changes, strict=True))
        for length in LENGTHS:
            values = np.clip(theta + length * moved * size, low, high)
            tried = law_at(values).roll(box.nearest(first + length * move), frames)
            if energy(root * (tried[:, :, :: law.parts] - fields)) < distance:
                break
        else:
            break
        theta, law, path = values, law_at(values), tried
        if energy(root * (path[:, :, :: law.parts] - fields)) > (1 - enough) * distance:
            break
    return Nearest(theta, path[:, :, :1], path[:, :, :: law.parts], left, jacobian, size)


def _outside(tangent: Tangent, free: Tensor, frames: Tensor, root: Tensor | float) -> tuple[Tensor, np.ndarray]:
    """The change of the first frame that comes nearest to a weighted change of all frames, and what is left of that."""
    change = solution(tangent, -tangent.adjoint(root * frames), free, root)
    return change, (frames - root * tangent(change)).flatten().double().cpu().numpy()
