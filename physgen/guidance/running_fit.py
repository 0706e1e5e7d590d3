"""Fitted constants of constraints, averaged over a run."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import NoSolution
from physgen.guidance.problem import Problem, finite_samples

#: weight of what earlier corrections found
MEMORY = 0.5


class RunningFit:
    """theta_k = argmin ||r(x0_hat; theta)||,  theta <- MEMORY theta + (1 - MEMORY) theta_k.

    Early estimates of the clean sample are poor and so are the constants fitted to them; within one correction they are
    held fixed, so that inner iterations do not chase them. A fit that is not finite, or finds
    nothing, counts for nothing.

    Source: exponential moving average.

    >>> RunningFit().settled(Problem({}), torch.zeros(1, 1)).constraints
    {}
    """

    def __init__(self) -> None:
        self._averages: dict[str, dict[str, list[float]]] = {}

    def settled(self, problem: Problem, x: Tensor) -> Problem:
        """The problem with the constants of constraints that can be `fixed` at their average."""
        fitted = [
            name
            for name, constraint in problem.constraints.items()
            if constraint.parameters == "fitted" and type(constraint).fixed is not Constraint.fixed
        ]
        if not fitted:
            return problem
        with torch.no_grad():
            fields = problem.fields(x)
        if not bool(finite_samples(fields).all()):
            return problem
        constraints = dict(problem.constraints)
        for name in fitted:
            with suppress(NoSolution):
                found = constraints[name].estimate(fields, problem.grid)
                self._averages[name] = _averaged(self._averages.get(name, {}), found)
            if name in self._averages:
                constraints[name] = constraints[name].fixed(self._averages[name])
        return replace(problem, constraints=constraints)


def _averaged(old: dict[str, list[float]], found: dict[str, Any]) -> dict[str, list[float]]:
    averages = {}
    for name, values in found.items():
        before = old.get(name, values)
        if len(before) != len(values):
            before = values
        averages[name] = [
            MEMORY * a + (1 - MEMORY) * b if math.isfinite(b) else a for a, b in zip(before, values, strict=True)
        ]
    return averages
