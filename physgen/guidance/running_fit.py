"""Fitted constants of constraints, averaged over a run."""

from __future__ import annotations

from contextlib import suppress

import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.constraints.fit import Fit
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

    >>> RunningFit().hold(Problem({}), torch.zeros(1, 1)).constraints
    {}
    """

    def __init__(self) -> None:
        self._averages: dict[str, dict[str, Float64[Tensor, "B *shape"]]] = {}

    def hold(self, problem: Problem, fields: Tensor) -> Problem:
        """The problem with constants that are held at their average, once those of the fields are in it.

        A law of which a sample has had no finite fit yet is fitted as before.
        """
        names = problem.held
        if not names or not bool(finite_samples(fields).all()):
            return problem
        for name in names:
            with suppress(NoSolution):
                found = problem.constraints[name].fit(fields, problem.grid).values
                old = self._averages.get(name, {})
                new = {constant: torch.tensor(values, dtype=torch.float64) for constant, values in found.items()}
                self._averages[name] = {c: _averaged(old.get(c, values), values) for c, values in new.items()}
        known = {name: self._averages[name] for name in names if name in self._averages}
        fits = {
            name: Fit({constant: values.tolist() for constant, values in averages.items()})
            for name, averages in known.items()
            if all(bool(values.isfinite().all()) for values in averages.values())
        }
        return problem.holding(fits)

    def follow(self, ancestors: list[int]) -> None:
        """The averages of the samples that are now the batch, by their rows in it before."""
        self._averages = {
            law: {constant: values[ancestors] for constant, values in averages.items()}
            for law, averages in self._averages.items()
        }


def _averaged(old: Float64[Tensor, "_ *shape"], new: Float64[Tensor, "B *shape"]) -> Float64[Tensor, "B *shape"]:
    """Value by value; what is not finite counts for nothing."""
    if old.shape != new.shape:
        return new
    mixed = MEMORY * old + (1 - MEMORY) * new
    return torch.where(mixed.isfinite(), mixed, torch.where(new.isfinite(), new, old))
