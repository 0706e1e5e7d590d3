"""Constants and initial concentrations that are fitted to the means of a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.kinetics.compartments import TOLERANCE, Compartments
from physgen.constraints.kinetics.given import Value
from physgen.constraints.kinetics.unknown import Unknown
from physgen.constraints.least_squares import Estimate, judged, least_squares
from physgen.errors import InvalidArgument, NoSolution

#: points that a fit of constants starts from the best of, and the relative error of a step until it is close
STARTS, COARSE = 8, 1e-3


class FittedConstants:
    """The state of compartments, of which some values are fixed and the others fitted, sample by sample.

    p = argmin sum_st ((c_s(t; p) - m_st) / scale_s)^2

    Args:
        compartments: whose trajectories c are fitted.
        given: a number or an `Unknown` for each of their names.

    Source: Bard (1974), Nonlinear Parameter Estimation.

    >>> from physgen.equations.reaction_system import ReactionSystem
    >>> decay = Compartments(ReactionSystem(["c"], ["k"], ["-k*c"]))
    >>> times, one = torch.arange(9).double(), torch.ones(1, dtype=torch.float64)
    >>> found = FittedConstants(decay, [1.0, Unknown(0.01, 10.0)]).fit(torch.exp(-0.7 * times)[None], times, one)
    >>> found.value.round(4).tolist()
    [0.7]
    """

    def __init__(self, compartments: Compartments, given: Sequence[Value]) -> None:
        self.compartments = compartments
        self._given = given
        self._unknown = {index: value for index, value in enumerate(given) if isinstance(value, Unknown)}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the fitted values."""
        names, species = self.compartments.names, len(self.compartments.species)
        return tuple(f"initial_{names[index]}" if index < species else names[index] for index in self._unknown)

    def state(self, fitted: Float[Tensor, "P"] | None = None) -> Float[Tensor, "N"]:
        """The state of `Compartments` with the fitted values in their places."""
        given = [0.0 if isinstance(x, Unknown) else x for x in self._given]
        state = torch.stack([torch.as_tensor(x, dtype=torch.float64, device="cpu") for x in given])
        return state if fitted is None else state.index_put((torch.tensor(list(self._unknown)),), fitted)

    def fit(self, measured: Float[Tensor, "S T"], times: Float[Tensor, "T"], scale: Float[Tensor, "S"]) -> Estimate:
        """Of one sample's means, from the best of `STARTS` points, with exact derivatives of c."""
        size = float(measured.abs().max()) or 1.0
        unknown = [replace(value, size=size) for value in self._unknown.values()]
        weight = 1 / scale
        columns = list(self._unknown)

        def each(method: str, u: np.ndarray) -> np.ndarray:
            return np.array([getattr(x, method)(p) for x, p in zip(unknown, u.tolist(), strict=True)])

        def misfit(solved: Tensor) -> np.ndarray:
            return ((solved.T - measured) * weight[:, None]).flatten().numpy()

        def coarse(u: np.ndarray) -> float:
            state = self.state(torch.from_numpy(each("value", u))).detach()
            try:
                return float(np.sum(misfit(self.compartments.trajectory(state, times, COARSE)) ** 2))
            except (InvalidArgument, NoSolution):
                return math.inf

        def model(u: np.ndarray, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
            state = self.state(torch.from_numpy(each("value", u))).detach()
            directions = torch.zeros(len(unknown), len(state), dtype=torch.float64)
            directions[range(len(unknown)), columns] = torch.from_numpy(each("slope", u))
            solved, sensitive = self.compartments.sensitivities(state, directions, times, tolerance)
            return misfit(solved), (sensitive * weight).transpose(1, 2).flatten(1).T.numpy()

        species = len(self.compartments.species)
        first = [
            x.coordinate(float(measured[index, 0])) if index < species else math.nan
            for index, x in zip(columns, unknown, strict=True)
        ]
        bounds = np.zeros(len(unknown)), np.array([x.end for x in unknown])
        start = min(_starts(np.array(first)), key=coarse)
        start = least_squares(lambda u: model(u, COARSE), start, *bounds, COARSE).value
        fit = least_squares(model, start, *bounds)
        slope = each("slope", fit.value)
        left = float(np.sum(model(fit.value)[0] ** 2))
        power = float((measured - measured.mean(1, keepdim=True)).mul(weight[:, None]).square().sum())
        found = replace(
            fit,
            value=each("value", fit.value),
            covariance=fit.covariance * np.outer(slope, slope),
            bounds=np.array([[x.low for x in unknown], [x.high for x in unknown]]),
            groups=measured.numel(),
        )
        return judged(found, left, power)


def _starts(coordinates: np.ndarray) -> np.ndarray:
    """Points at the known coordinates, spread evenly in the unknown ones, which are NaN."""
    from scipy.stats import qmc

    free = np.isnan(coordinates)
    if not free.any():
        return coordinates[None]
    starts = np.tile(coordinates, (STARTS, 1))
    starts[:, free] = qmc.Sobol(int(free.sum()), scramble=False).random(STARTS) + 1 / (2 * STARTS)
    return starts
