"""The nearest sample that satisfies the constraints, by Gauss-Newton steps without a Jacobian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.guidance.problem import Problem
from physgen.guidance.solve.least_norm import least_norm
from physgen.guidance.solve.linearisation import Linearisation
from physgen.tensors import of_samples

UNBOUNDED = (-math.inf, math.inf)
#: Newton steps on the multipliers of a linearised problem, halvings of one of them, and of a step on the samples
SETS, SHORTEST, HALVINGS = 40, 20, 4
#: what rounding does to the value of the dual, in units of eps
ROUNDING = 10
#: part of the violation above which what is left after a step is too much
ENOUGH = 0.5
#: part of the residual that an equality must lose in a linearised step, or be called inconsistent with the others
PROGRESS = 0.1


@dataclass(frozen=True)
class Nearest:
    """`x` ``[B, ...]``; its largest `violation` ``[B]``; whether equalities contradict each other there ``[B]``."""

    x: Tensor
    violation: Float[Tensor, "B"]
    inconsistent: Bool[Tensor, "B"]


def nearest(
    problem: Problem,
    x0: Float[Tensor, "B *shape"],
    *,
    steps: int = 20,
    products: int = 200,
    tolerance: float | None = None,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Nearest:
    """Nearest sample: argmin ||x - x0|| subject to h(x) = 0, g(x) <= 0, low <= x <= high, to first order of curvature.

    x <- clip(x0 - J^T l),  l such that  h + J (x - x_k) = 0,  l >= 0 and complementary for inequalities

    The multipliers of the linearised problem maximise its dual, by projected Newton steps with a line search: the
    systems (J P J^T) dl = h + J (x - x_k), P the values between the bounds, are solved by `least_norm` for the active
    inequalities and all equalities. For linear constraints the first step is exact. A step that makes a sample worse is
    halved. Where it gets better slowly, far from x0, the steps go on by the shortest way from where it is, and end when
    that does not help either, each sample by itself. Memory is a few samples and the graph of h.

    Args:
        problem: the constraints.
        x0: samples, one by one.
        steps: most linearisations.
        products: most products with J J^T of one solve.
        tolerance: largest violation to stop at, 1e-7 in float32 and 1e-10 in float64 by default.
        bounds: of every value.

    Source: Gauss-Newton projection: Utkarsh et al., arXiv:2506.04171; projected Newton: Bertsekas (1982), SIAM J.
        Control Optim. 20:221.

    >>> from physgen.constraints import Equality, Inequality
    >>> laws = {"sum": Equality(lambda x: x.sum(1) - 1.0), "first": Inequality(lambda x: x[:, 0] - 0.1)}
    >>> found = nearest(Problem(laws), torch.tensor([[0.8, 0.4, 0.0]]), bounds=(0.0, 1.0)).x[0]
    >>> [round(value, 4) for value in found.tolist()]
    [0.1, 0.65, 0.25]
    """
    if tolerance is None:
        tolerance = 1e-7 if x0.dtype == torch.float32 else 1e-10
    x = x0.clamp(*bounds)
    inconsistent = ended = torch.zeros(len(x0), dtype=torch.bool, device=x0.device)
    at = Linearisation(problem, x)
    multipliers = torch.zeros_like(at.residual)
    wrong = at.violation
    anchor, moved = x0, torch.zeros_like(inconsistent)
    for _ in range(steps):
        unsatisfied = (wrong.amax(1) > tolerance) & ~ended
        if not bool(unsatisfied.any()):
            break
        goal, multipliers, contradicts = _linear_step(at, anchor, multipliers, products, bounds)
        goal = torch.where(of_samples(unsatisfied, x0), goal, x)
        inconsistent = torch.where(unsatisfied, contradicts, inconsistent)
        length, size = unsatisfied.to(x0.dtype), wrong.norm(dim=1)
        for _ in range(HALVINGS):
            at = Linearisation(problem, x + of_samples(length, x0) * (goal - x))
            found = at.violation
            worse = unsatisfied & (found.norm(dim=1) > size) & (found.amax(1) > tolerance)
            if not bool(worse.any()):
                break
            length = torch.where(worse, length / 2, length)
        x, wrong = at.x.detach(), found
        slow = unsatisfied & (wrong.norm(dim=1) > ENOUGH * size)
        ended = ended | (slow & moved)
        anchor, moved = torch.where(of_samples(slow, x0), x, anchor), moved | slow
        multipliers = torch.where(slow[:, None], 0.0, multipliers)
    worst = wrong.amax(1)
    return Nearest(x, worst, inconsistent & (worst > tolerance))


@dataclass(frozen=True)
class _Dual:
    """The dual of the linearised problem at multipliers l: value, gradient, and the point that it stands for.

    q(l) = min_{low <= x <= high} 1/2 ||x - x0||^2 + <l, h + J (x - x_k)>,  grad q = h + J (x - x_k)
    """

    multipliers: Tensor
    x: Tensor
    free: Tensor
    value: Tensor
    gradient: Tensor

    @classmethod
    def at(cls, at: Linearisation, x0: Tensor, multipliers: Tensor, bounds: tuple[float, float]) -> _Dual:
        y = x0 - at.vjp(multipliers)
        x = y.clamp(*bounds)
        gradient = at.residual + at.jvp(x - at.x.detach())
        value = (x - x0).flatten(1).square().sum(1) / 2 + (multipliers * gradient).sum(1)
        return cls(multipliers, x, x == y, value, gradient)


def _linear_step(
    at: Linearisation, x0: Tensor, multipliers: Tensor, products: int, bounds: tuple[float, float]
) -> tuple[Tensor, Tensor, Bool[Tensor, "B"]]:
    """The nearest point of the linearised problem, its multipliers, and whether its equalities cannot all be had."""
    dual = _Dual.at(at, x0, multipliers, bounds)
    stuck = multipliers.new_zeros(len(x0), dtype=torch.bool)
    start: Tensor | None = None
    usual = _gain(at, torch.randn(multipliers.shape, generator=torch.Generator().manual_seed(0)).to(multipliers))
    eps = torch.finfo(x0.dtype).eps
    for attempt in range(SETS):
        active = ~at.inequality | (dual.multipliers > 0) | (dual.gradient > 0)
        wanted = active * dual.gradient
        size = wanted.norm(dim=1)
        start = size if start is None else start
        if attempt and not bool((size > eps**0.5 * (start + dual.x.flatten(1).norm(dim=1))).any()):
            break

        def jvp(v: Tensor, active: Tensor = active, free: Tensor = dual.free) -> Tensor:
            return active * at.jvp(free * v)

        def vjp(w: Tensor, active: Tensor = active, free: Tensor = dual.free) -> Tensor:
            return free * at.vjp(active * w)

        found = least_norm(jvp, vjp, wanted, steps=products, tolerance=1e-8)
        scale = _gain(at, wanted)
        lost = scale <= eps * usual  # nothing but rounding: J^T of what is wanted is zero
        stuck = lost | (found.stuck & (found.rest.norm(dim=1) > PROGRESS * size))
        if bool(lost.all()) and not bool(at.inequality.any()):
            break
        values = torch.where(lost[:, None], 0.0, found.values)
        direction = values + torch.where(stuck & (scale > 0), 1 / scale.maximum(eps * usual), 0.0)[:, None] * found.rest
        dual = _ascended(at, x0, dual, direction, bounds)
    return dual.x, dual.multipliers, stuck


def _gain(at: Linearisation, w: Float[Tensor, "B M"]) -> Float[Tensor, "B"]:
    """||J^T w||^2 / ||w||^2."""
    return at.vjp(w).flatten(1).square().sum(1) / w.square().sum(1)


def _ascended(at: Linearisation, x0: Tensor, dual: _Dual, direction: Tensor, bounds: tuple[float, float]) -> _Dual:
    """The dual at the end of a step along the direction, halved until it rises enough (Armijo), sample by sample."""
    length = torch.ones_like(dual.value)
    for _ in range(SHORTEST):
        multipliers = dual.multipliers + length[:, None] * direction
        multipliers = torch.where(at.inequality, multipliers.clamp(min=0), multipliers)
        new = _Dual.at(at, x0, multipliers, bounds)
        promised = (dual.gradient * (multipliers - dual.multipliers)).sum(1)
        low = new.value < dual.value + 1e-4 * promised - ROUNDING * torch.finfo(x0.dtype).eps * dual.value.abs()
        if not bool(low.any()):
            break
        length = torch.where(low, length / 2, length)
    return new
