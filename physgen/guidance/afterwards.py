"""Nothing on the way, only the projection of the finished video: the free baseline of every guidance."""

from __future__ import annotations

from typing import Any

from physgen.constraints.names import Laws
from physgen.guidance.base import Guidance
from physgen.guidance.step import Step, Update


class Afterwards(Guidance):
    """The unguided sample, projected onto the constraints at its end.

    x0* = x0_hat;  x = argmin_u ||u - x_T||  subject to  h(u) = 0, g(u) <= 0

    The estimate of the last step is measured and left as it is.

    Raises:
        InvalidArgument: see `Guidance`.

    Source: the contract of this package.

    >>> import torch
    >>> from physgen.constraints import Equality
    >>> guidance, x = Afterwards([Equality(lambda x: x.sum(1) - 1.0)]), torch.ones(1, 2)
    >>> guidance.correct(x, x_t=x, sigma=0.5).tolist(), guidance.project(x).tolist()
    ([[1.0, 1.0]], [[0.5, 0.5]])
    """

    derivatives = 0

    def __init__(self, constraints: Laws, *, start: float = 0.99, terminal: bool = True, **knobs: Any):
        super().__init__(constraints, start=start, terminal=terminal, **knobs)

    def update(self, step: Step) -> Update:
        return Update(step.x0, step.problem.violations(step.fields))
