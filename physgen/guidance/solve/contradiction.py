"""Which equalities cannot hold together, and by how much."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import PhaseOrder, ReactionDiffusion
from physgen.errors import Contradiction
from physgen.guidance.problem import Problem
from physgen.guidance.solve.gauss_newton import UNBOUNDED, Nearest, nearest
from physgen.tensors import finite_samples

#: residual below which equalities that are not met exactly do not contradict each other
APART = 1e-5
#: constraints whose second derivatives cost as much as sampling
DEAR = (PhaseOrder, ReactionDiffusion)


def contradiction(
    problem: Problem, x: Float[Tensor, "B *shape"], bounds: tuple[float, float] = UNBOUNDED
) -> Contradiction:
    """The error that names the fewest constraints that no sample near ``x`` satisfies together.

    It says what each of them is missed by, as its largest residual where all of them are missed least.

    >>> from physgen.constraints import Equality
    >>> laws = {"one": Equality(lambda x: x - 1.0), "two": Equality(lambda x: x - 2.0)}
    >>> contradiction(Problem(laws), torch.zeros(1, 1, dtype=torch.float64)).allowed
    'equalities that can hold together: at best they miss by one 0.5, two 0.5'
    """
    names = list(problem.constraints)
    subsets = [part for size in range(1, len(names)) for part in itertools.combinations(names, size)]
    for subset in sorted(subsets, key=lambda part: sum(isinstance(problem.constraints[name], DEAR) for name in part)):
        part = problem.only(subset)
        found = nearest(part, x, bounds=bounds)
        if hopeless(found):
            return _named(subset, part, found)
    return _named(names, problem, nearest(problem, x, bounds=bounds))


def require_consistent(problem: Problem, x: Float[Tensor, "B *shape"]) -> None:
    """Refuse constraints that contradict each other in every sample, before anything is spent on sampling.

    Two linearised steps from the fields of ``x``; only where the equations contradict each other there is a point
    searched for. Constants that are fitted may yet come to agree, and the derivatives of some laws cost too much for a
    first look (`DEAR`): such constraints pass.

    Raises:
        Contradiction: see `contradiction`.

    >>> from physgen.constraints import MassConservation
    >>> from physgen.grid import Grid
    >>> laws = {"little": MassConservation(initial_mass=4.0), "much": MassConservation(initial_mass=8.0)}
    >>> require_consistent(Problem(laws, grid=Grid(spacing=(1.0, 1.0), dt=1.0)), torch.rand(1, 1, 2, 4, 4))
    Traceback (most recent call last):
    physgen.errors.Contradiction: constraints='little, much': allowed: equalities that can hold together: ...
    """
    names = [
        name
        for name, constraint in problem.constraints.items()
        if constraint.kind == "equality" and name not in problem.held and not isinstance(constraint, DEAR)
    ]
    if len(names) < 2:
        return
    with torch.no_grad():
        fields = problem.fields(x).double()
    finite = finite_samples(fields)
    fields, laws = fields[finite], replace(problem.only(names), decode=None).keep_samples(finite)
    if not len(fields) or not hopeless(nearest(laws, fields, steps=2, products=50)):
        return
    if hopeless(nearest(laws, fields)):
        raise contradiction(laws, fields)


def hopeless(found: Nearest) -> bool:
    """Whether equalities contradict each other in every sample."""
    return bool(found.inconsistent.all()) and float(found.violation.min()) > APART


def _named(names: Sequence[str], problem: Problem, found: Nearest) -> Contradiction:
    missed = {name: float(part.max()) for name, part in problem.violated(found.x).items()}
    least = ", ".join(f"{name} {amount:.3g}" for name, amount in missed.items())
    return Contradiction(
        "constraints", ", ".join(names), f"equalities that can hold together: at best they miss by {least}"
    )
