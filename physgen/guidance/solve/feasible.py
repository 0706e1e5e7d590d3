"""Fields that satisfy every constraint, near given ones."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import NoSolution
from physgen.grid import Grid
from physgen.guidance.problem import Problem
from physgen.guidance.solve.contradiction import contradiction, hopeless, require_consistent
from physgen.guidance.solve.gauss_newton import UNBOUNDED, nearest
from physgen.tensors import finite_samples

#: times that closed forms are applied in turn, before Gauss-Newton steps are taken
ROUNDS = 10
#: largest residual to stop at, in float64
TOLERANCE = 1e-9


def feasible(
    problem: Problem, fields: Float[Tensor, "B *shape"], *, bounds: tuple[float, float] = UNBOUNDED
) -> Float[Tensor, "B *shape"]:
    """A point of all constraints near ``fields``, computed in float64 and rounded to their dtype.

    One constraint: its own projection, where it has one. Several: their projections in turn, and where those undo each
    other, or are missing, `nearest` from there: the result is then the nearest one to first order only. A sample that a
    projection has `NoSolution` for is NaN.

    Raises:
        Contradiction: equalities that no sample of the batch can satisfy together, the fewest of them named.

    Source: alternating projections: von Neumann (1950); Bauschke and Borwein (1996), SIAM Review 38:367.

    >>> from physgen.constraints import Equality
    >>> feasible(Problem({"sum": Equality(lambda x: x.sum(1) - 2.0)}), torch.zeros(1, 4)).tolist()
    [[0.5, 0.5, 0.5, 0.5]]
    """
    x = fields.detach().double()
    closed = [constraint for constraint in problem.constraints.values() if constraint.projects]
    alone = len(problem.constraints) == 1
    with torch.no_grad():
        for _ in range(ROUNDS if closed else 0):
            for constraint in closed:
                x = _projected(constraint, x, problem.grid)
            if alone or problem.satisfied(x, TOLERANCE):
                return x.to(fields.dtype)
    with torch.enable_grad():
        require_consistent(problem, x)
        found = nearest(problem, x, tolerance=TOLERANCE, bounds=bounds)
        if hopeless(found):
            raise contradiction(problem, x, bounds)
    return found.x.to(fields.dtype)


def _projected(constraint: Constraint, x: Tensor, grid: Grid | None) -> Tensor:
    """Each sample by itself where there is none for all of them."""
    finite = finite_samples(x)
    if not bool(finite.all()):
        y = x.clone()
        if bool(finite.any()):
            y[finite] = _projected(constraint.keep_samples(finite), x[finite], grid)
        return y
    try:
        return constraint.project(x, grid)
    except NoSolution:
        if len(x) == 1:
            return torch.full_like(x, math.nan)
        samples = torch.eye(len(x), dtype=torch.bool)
        return torch.cat([_projected(constraint.keep_samples(one), x[one], grid) for one in samples])
