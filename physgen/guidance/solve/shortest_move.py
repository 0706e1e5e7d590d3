"""The shortest move that equalities and violated inequalities ask for, to first order."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from physgen.guidance.problem import Problem
from physgen.guidance.solve.least_norm import least_norm
from physgen.guidance.solve.linearisation import Linearisation


def effort(problem: Problem) -> dict[str, Any]:
    """How far `least_norm` goes: to rounding on samples; through a decoder, where a product is dear, a few steps.

    >>> effort(Problem({}))
    {'steps': 200, 'tolerance': 1e-10}
    """
    return {"steps": 200, "tolerance": 1e-10} if problem.decode is None else {"steps": 4, "tolerance": 1e-2}


def shortest_move(
    problem: Problem, at: Linearisation, change: Float[Tensor, "B M"], damping: float = 0.0
) -> Float[Tensor, "B *shape"]:
    """J^T (J J^T + damping)^-1 change, J of the equalities and of the inequalities that are violated.

    Args:
        problem: the constraints.
        at: their linearisation.
        change: of their residuals.
        damping: see `least_norm`.

    >>> import torch
    >>> from physgen.constraints import Equality
    >>> problem = Problem({"sum": Equality(lambda x: x.sum(1) - 1.0)})
    >>> at = Linearisation(problem, torch.zeros(1, 2))
    >>> shortest_move(problem, at, -at.residual).tolist()
    [[0.5, 0.5]]
    """
    active = at.active
    found = least_norm(
        lambda v: active * at.jvp(v), lambda w: at.vjp(active * w), change, **effort(problem), damping=damping
    )
    return at.vjp(active * found.values)
