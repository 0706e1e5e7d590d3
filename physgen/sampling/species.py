"""Whether constraints can be told from the fields of an observable, before anything is sampled."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.observables import Observable

#: frames and cells of made-up fields, and the numbers of species that an observable may have
FRAMES, CELLS, SPECIES = 5, 8, (1, 2, 3)


def require_species(constraints: Iterable[Constraint], observable: Observable, grid: Grid | None) -> None:
    """Refuse constraints that need a grid, walls or a number of species that are not there.

    Tried on made-up fields. What is refused for another reason may be due to their size, and is left to the first
    correction.

    Raises:
        InvalidArgument: as the constraint has it.

    >>> from physgen.constraints import ReactionDiffusion
    >>> from physgen.observables import Intensity
    >>> law = ReactionDiffusion("gray_scott", {"u": 1.0, "v": 1.0}, {"F": 0.04, "k": 0.06})
    >>> require_species([law], Intensity(), Grid(spacing=(1.0, 1.0), dt=1.0))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: fields='1 species': allowed: one of each species, u, v
    """
    for constraint in constraints:
        refusal = _refusal(constraint, len(observable.species), grid)
        if refusal is None:
            continue
        if refusal.name in ("grid", "boundary") or any(_refusal(constraint, n, grid) is None for n in SPECIES):
            raise refusal


def _refusal(constraint: Constraint, species: int, grid: Grid | None) -> InvalidArgument | None:
    fields = torch.full((1, species, FRAMES, CELLS, CELLS), 0.5)
    try:
        with torch.no_grad():
            constraint.residual(fields, grid)
    except InvalidArgument as error:
        return error
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):  # a function of the real size
        return None
    return None
