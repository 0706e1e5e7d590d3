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
from physgen.constraints.least_squares import IDENTIFIABLE, Estimate, judged, least_squares
from physgen.errors import InvalidArgument, NoSolution

#: points that a fit of constants starts from the best of, and the relative error of a step until it is close
STARTS, COARSE = 8, 1e-3
#: coordinate beyond a bound that a Newton step from a fitted value has to reach, to be held by the bound
BEYOND = 1e-8
#: longest Newton step from a fit that has ended near its minimum
NEAR = 1e-3


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
        unknown, weight = self._sized(measured), 1 / scale

        def misfit(solved: Tensor) -> np.ndarray:
            return ((solved.T - measured) * weight[:, None]).flatten().numpy()

        def coarse(u: np.ndarray) -> float:
            state = self.state(torch.from_numpy(_each(unknown, "value", u))).detach()
            try:
                return float(np.sum(misfit(self.compartments.trajectory(state, times, COARSE)) ** 2))
            except (InvalidArgument, NoSolution):
                return math.inf

        def model(u: np.ndarray, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
            state = self.state(torch.from_numpy(_each(unknown, "value", u))).detach()
            directions = self._directions(_each(unknown, "slope", u))
            solved, sensitive = self.compartments.sensitivities(state, directions, times, tolerance)
            return misfit(solved), (sensitive * weight).transpose(1, 2).flatten(1).T.numpy()

        species = len(self.compartments.species)
        first = [
            x.coordinate(float(measured[index, 0])) if index < species else math.nan
            for index, x in zip(self._unknown, unknown, strict=True)
        ]
        bounds = np.zeros(len(unknown)), np.array([x.end for x in unknown])
        start = min(_starts(np.array(first)), key=coarse)
        start = least_squares(lambda u: model(u, COARSE), start, *bounds, COARSE).value
        fit = least_squares(model, start, *bounds)
        slope = _each(unknown, "slope", fit.value)
        left = float(np.sum(model(fit.value)[0] ** 2))
        power = float((measured - measured.mean(1, keepdim=True)).mul(weight[:, None]).square().sum())
        found = replace(
            fit,
            value=_each(unknown, "value", fit.value),
            covariance=fit.covariance * np.outer(slope, slope),
            bounds=np.array([[x.low for x in unknown], [x.high for x in unknown]]),
            groups=measured.numel(),
        )
        return judged(found, left, power)

    def trajectory(
        self, means: Float[Tensor, "S T"], times: Float[Tensor, "T"], scale: Float[Tensor, "S"]
    ) -> Float[Tensor, "S T"]:
        """The trajectory that is fitted to one sample's means, which it follows when they change.

        c(p(m)),  dc/dm = J H^-1 J^T W^2,  J = dc/dp,  W = 1 / scale,  H = J^T W^2 J + sum_st W^2 (c - m) d2c/dp2

        Values that a bound holds do not move, nor do all of them together in a direction in which c does not change.
        Where there is a gradient, c is that after one more Newton step of the fit: what is left, m - c, has to be
        orthogonal to J, or no change of the means removes it to first order.

        Source: the implicit function theorem for the equation that p solves, J^T W^2 (c - m) = 0.

        >>> from physgen.equations.reaction_system import ReactionSystem
        >>> still = FittedConstants(Compartments(ReactionSystem(["c"], [], ["0"])), [Unknown(0.0, math.inf)])
        >>> means = torch.tensor([[1.0, 2.0, 6.0]], dtype=torch.float64, requires_grad=True)
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> level = still.trajectory(means, torch.arange(3).double(), one)[0, 0]
        >>> [round(float(part), 6) for part in torch.autograd.grad(level, means)[0][0]]
        [0.333333, 0.333333, 0.333333]
        """
        measured = means.detach()
        fitted, unknown = self.fit(measured, times, scale).value, self._sized(measured)
        u = _each(unknown, "coordinate", fitted)
        state, directions = self.state(torch.from_numpy(fitted)), self._directions(_each(unknown, "slope", u))
        solved, sensitive = self.compartments.sensitivities(state, directions, times)
        if not means.requires_grad:
            return solved.T
        gradient, hessian = self._derivatives(state.detach(), directions, measured, times, scale)
        inverse = _inverse_within(torch.from_numpy(u), torch.tensor([x.end for x in unknown]), gradient, hessian)
        sensitive = sensitive.detach().mT
        moved = inverse @ (sensitive * (means - measured) / scale[:, None] ** 2).sum((1, 2))
        step = inverse @ gradient
        if bool(step.abs().max() <= NEAR):
            moved = moved - step
        return solved.T + torch.einsum("pst,p->st", sensitive, moved)

    def _derivatives(
        self, state: Tensor, directions: Tensor, measured: Tensor, times: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """J^T W^2 (c - m) ``[P]`` and H ``[P, P]``."""
        columns = list(self._unknown)
        with torch.enable_grad():
            state = state.requires_grad_()
            solved, sensitive = self.compartments.sensitivities(state, directions, times)
            weighted = sensitive.mT / scale[:, None] ** 2
            gradient = (weighted * (solved.T - measured)).sum((1, 2))
            every = torch.eye(len(columns), dtype=torch.float64)
            (rows,) = torch.autograd.grad(gradient, state, every, is_grads_batched=True)
        hessian = rows[:, columns] @ directions[:, columns].T
        if not bool(hessian.isfinite().all()):  # of a rate like c^1.5 at 0
            hessian = torch.einsum("pst,qst->pq", weighted, sensitive.mT)
        return gradient.detach(), hessian.detach()

    def _sized(self, measured: Tensor) -> list[Unknown]:
        """The unknown values, in units of the means where they have no highest value."""
        size = float(measured.abs().max()) or 1.0
        return [replace(value, size=size) for value in self._unknown.values()]

    def _directions(self, slope: np.ndarray) -> Tensor:
        """Of the state along the coordinate of each unknown value."""
        directions = torch.zeros(len(slope), len(self._given), dtype=torch.float64)
        directions[range(len(slope)), list(self._unknown)] = torch.from_numpy(slope)
        return directions


def _inverse_within(u: Tensor, end: Tensor, gradient: Tensor, hessian: Tensor) -> Tensor:
    """H^-1 of the coordinates that a Newton step leaves between 0 and their ends; 0 of the others, which are held."""
    free = torch.ones(len(u), dtype=torch.bool)
    while True:
        inverse = _inverse(hessian, free)
        after = u - inverse @ gradient
        beyond = torch.where(free, (-after).maximum(after - end), 0.0)
        if bool(beyond.max() <= BEYOND):
            return inverse
        free[beyond.argmax()] = False


def _inverse(hessian: Tensor, free: Tensor) -> Tensor:
    """Of the rows and columns that are free, without directions in which it is not positive."""
    diagonal = hessian.diagonal()
    length = torch.where(free & (diagonal > 0), diagonal, math.inf).sqrt()
    size, axes = torch.linalg.eigh(hessian / length[:, None] / length)
    kept = size > IDENTIFIABLE**-2
    axes = axes[:, kept] / length[:, None]
    return axes / size[kept] @ axes.T


def _each(unknown: Sequence[Unknown], method: str, at: np.ndarray) -> np.ndarray:
    return np.array([getattr(x, method)(p) for x, p in zip(unknown, at.tolist(), strict=True)])


def _starts(coordinates: np.ndarray) -> np.ndarray:
    """Points at the known coordinates, spread evenly in the unknown ones, which are NaN."""
    from scipy.stats import qmc

    free = np.isnan(coordinates)
    if not free.any():
        return coordinates[None]
    starts = np.tile(coordinates, (STARTS, 1))
    starts[:, free] = qmc.Sobol(int(free.sum()), scramble=False).random(STARTS) + 1 / (2 * STARTS)
    return starts
