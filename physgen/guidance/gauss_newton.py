"""The nearest sample that satisfies the constraints, by Gauss-Newton steps without a Jacobian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.guidance.least_norm import least_norm
from physgen.guidance.linearisation import Linearisation
from physgen.guidance.problem import Problem, of_samples

#: changes of the set of active inequalities and bounds, and halvings of a step, before going on with what there is
SETS, HALVINGS = 12, 4
#: part of the violation above which a step was of no use
ENOUGH = 0.9
#: part of the residual that an equality must lose in a linearised step, or be called inconsistent with the others
PROGRESS = 0.1


@dataclass(frozen=True)
class Nearest:
    """`x` ``[B, ...]``; its largest `violation` ``[B]``; whether equalities contradict each other there ``[B]``."""

    x: Tensor
    violation: Float[Tensor, "B"]
    inconsistent: Bool[Tensor, "B"]


def violation(residual: Float[Tensor, "B M"], inequality: Bool[Tensor, "M"]) -> Float[Tensor, "B M"]:
    """|h| of equalities, max(h, 0) of inequalities."""
    return torch.where(inequality, residual.clamp(min=0), residual.abs())


def nearest(
    problem: Problem,
    x0: Float[Tensor, "B *shape"],
    *,
    steps: int = 20,
    products: int = 200,
    tolerance: float | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Nearest:
    """The sample that is argmin ||x - x0||  subject to  h(x) = 0, g(x) <= 0, low <= x <= high, to first order in the curvature.

    x <- clip(x0 - J^T l),  l such that  h + J (x - x_k) = 0,  l >= 0 and complementary for inequalities

    The multipliers of the linearised problem come from a semismooth Newton method: which inequalities are active and
    which values lie between the bounds is guessed, (J P J^T) dl = h + J (clip(x0 - J^T l) - x_k) is solved by
    `least_norm` (P: values between the bounds), and the guess renewed until it stays. For linear constraints the first
    step is exact. A step that makes a sample worse is halved; steps end when none gets better. Memory is a few samples
    and the graph of h.

    Args:
        problem: the constraints.
        x0: samples, one by one.
        steps: most linearisations.
        products: most products with J J^T of one solve.
        tolerance: largest violation to stop at, 1e-7 in float32 and 1e-10 in float64 by default.
        bounds: of every value.

    Source: Gauss-Newton projection: Utkarsh et al., arXiv:2506.04171; semismooth Newton as active set: Hintermueller,
        Ito and Kunisch (2002), SIAM J. Optim. 13:865.

    >>> from physgen.constraints import Equality, Inequality
    >>> laws = {"sum": Equality(lambda x: x.sum(1) - 1.0), "first": Inequality(lambda x: x[:, 0] - 0.1)}
    >>> found = nearest(Problem(laws), torch.tensor([[0.8, 0.4, 0.0]]), bounds=(0.0, 1.0)).x[0]
    >>> [round(value, 4) for value in found.tolist()]
    [0.1, 0.65, 0.25]
    """
    if tolerance is None:
        tolerance = 1e-7 if x0.dtype == torch.float32 else 1e-10
    x = x0.clamp(*bounds)
    inconsistent = torch.zeros(len(x0), dtype=torch.bool, device=x0.device)
    at = Linearisation(problem, x)
    multipliers = torch.zeros_like(at.residual)
    wrong = violation(at.residual, at.inequality)
    for _ in range(steps):
        unsatisfied = wrong.amax(1) > tolerance
        if not bool(unsatisfied.any()):
            break
        goal, multipliers, inconsistent = _linear_step(at, x0, multipliers, products, bounds)
        length, size = unsatisfied.to(x0.dtype), wrong.norm(dim=1)
        for _ in range(HALVINGS):
            at = Linearisation(problem, x + of_samples(length, x0) * (goal - x))
            found = violation(at.residual, at.inequality)
            worse = unsatisfied & (found.norm(dim=1) > size) & (found.amax(1) > tolerance)
            if not bool(worse.any()):
                break
            length = torch.where(worse, length / 2, length)
        x, wrong = at.x.detach(), found
        if not bool((unsatisfied & (wrong.norm(dim=1) < ENOUGH * size)).any()):
            break
    worst = wrong.amax(1)
    return Nearest(x, worst, inconsistent & (worst > tolerance))


def _linear_step(
    at: Linearisation, x0: Tensor, multipliers: Tensor, products: int, bounds: tuple[float, float]
) -> tuple[Tensor, Tensor, Bool[Tensor, "B"]]:
    """The nearest point of the linearised problem, its multipliers, and whether its equalities cannot all be had."""
    low, high = bounds
    active, free = at.inequality.expand_as(multipliers), torch.ones_like(x0, dtype=torch.bool)
    x, stuck = x0, multipliers.new_zeros(len(x0), dtype=torch.bool)
    for attempt in range(SETS):
        y = x0 - at.vjp(multipliers)
        x = y.clamp(low, high)
        value = at.residual + at.jvp(x - at.x.detach())
        diagonal = at.vjp(value).flatten(1).square().sum(1, keepdim=True) / value.square().sum(1, keepdim=True)
        now_active = ~at.inequality | (multipliers * diagonal.nan_to_num() + value > 0)
        now_free = (y >= low) & (y <= high)
        if attempt and torch.equal(now_active, active) and torch.equal(now_free, free):
            break
        active, free = now_active, now_free

        def jvp(v: Tensor, active: Tensor = active, free: Tensor = free) -> Tensor:
            return active * at.jvp(free * v)

        def vjp(w: Tensor, active: Tensor = active, free: Tensor = free) -> Tensor:
            return free * at.vjp(active * w)

        wanted = active * (value + at.jvp(free * at.vjp(multipliers * ~active)))
        found = least_norm(jvp, vjp, wanted, steps=products, tolerance=1e-8)
        multipliers = active * (multipliers + found.values)
        stuck = found.stuck & (found.rest.norm(dim=1) > PROGRESS * wanted.norm(dim=1))
    return x, multipliers, stuck
