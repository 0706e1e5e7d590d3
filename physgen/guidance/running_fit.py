"""Fitted constants of constraints, averaged over a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress

from torch import Tensor

from physgen.constraints.fit import Fit, Values
from physgen.errors import NoSolution
from physgen.guidance.problem import Problem
from physgen.tensors import finite_samples

#: weight of what earlier corrections found
MEMORY = 0.5


class RunningFit:
    """theta_k = argmin ||r(x0_hat; theta)||,  theta <- MEMORY theta + (1 - MEMORY) theta_k.

    Early estimates of the clean sample are poor and so are the constants fitted to them; within one correction they are
    held, so that inner iterations do not chase them. A fit that is not finite, or finds nothing, counts for nothing.

    Source: exponential moving average.

    >>> import torch
    >>> RunningFit().hold(Problem({}), torch.zeros(1, 1)).constraints
    {}
    """

    def __init__(self) -> None:
        self._averages: dict[str, Mapping[str, Values]] = {}

    def hold(self, problem: Problem, fields: Tensor) -> Problem:
        """The problem with constants that are held at their average, once those of the fields are in it."""
        names = problem.held
        if not names or not bool(finite_samples(fields).all()):
            return problem
        for name in names:
            with suppress(NoSolution):
                found = problem.constraints[name].fit(fields, problem.grid).values
                self._averages[name] = _averaged(self._averages.get(name, {}), found)
        return problem.holding({name: Fit(self._averages[name]) for name in names if name in self._averages})

    def follow(self, ancestors: list[int]) -> None:
        """The averages of the samples that are now the batch, by their rows in it before."""
        self._averages = {
            law: {name: [values[row] for row in ancestors] for name, values in found.items()}
            for law, found in self._averages.items()
        }


def _averaged(old: Mapping[str, Values], found: Mapping[str, Values]) -> dict[str, Values]:
    averages = {}
    for name, values in found.items():
        before = old.get(name, values)
        if len(before) != len(values):
            before = values
        averages[name] = [
            MEMORY * a + (1 - MEMORY) * b if math.isfinite(b) else a for a, b in zip(before, values, strict=True)
        ]
    return averages
