"""Fitted constants of constraints, averaged over a run."""

from __future__ import annotations

from contextlib import suppress

import torch
from jaxtyping import Bool, Float64
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
    held, so that inner iterations do not chase them. A fit that is not finite, or finds nothing, counts for nothing;
    samples that are not finite are left out.

    Source: exponential moving average.

    >>> RunningFit().hold(Problem({}), torch.zeros(1, 1)).constraints
    {}
    """

    def __init__(self) -> None:
        self._averages: dict[str, dict[str, Float64[Tensor, "B *shape"]]] = {}

    def hold(self, problem: Problem, fields: Tensor) -> Problem:
        """The problem with constants that are held at their average, once those of the fields are in it.

        A law of which a finite sample has had no finite fit yet is fitted as before.
        """
        names, finite = problem.held, finite_samples(fields)
        if not names or not bool(finite.any()):
            return problem
        usable, laws = fields[finite], problem.keep_samples(finite).constraints
        finite = finite.cpu()
        for name in names:
            with suppress(NoSolution):
                found = laws[name].fit(usable, problem.grid).values
                old = self._averages.get(name, {})
                new = {constant: _spread(values, finite) for constant, values in found.items()}
                self._averages[name] = {c: _averaged(old.get(c, values), values) for c, values in new.items()}
        known = {name: self._averages[name] for name in names if name in self._averages}
        fits = {
            name: Fit({constant: _filled(values, finite).tolist() for constant, values in averages.items()})
            for name, averages in known.items()
            if all(bool(values[finite].isfinite().all()) for values in averages.values())
        }
        return problem.holding(fits)

    def follow(self, ancestors: list[int]) -> None:
        """The averages of the samples that are now the batch, by their rows in it before."""
        self._averages = {
            law: {constant: values[ancestors] for constant, values in averages.items()}
            for law, averages in self._averages.items()
        }


def _spread(found: Values, finite: Bool[Tensor, "B"]) -> Float64[Tensor, "B *shape"]:
    """What was fitted to the finite samples, and NaN for the others."""
    values = torch.tensor(found, dtype=torch.float64)
    spread = values.new_full((len(finite), *values.shape[1:]), torch.nan)
    spread[finite] = values
    return spread


def _filled(values: Float64[Tensor, "B *shape"], finite: Bool[Tensor, "B"]) -> Float64[Tensor, "B *shape"]:
    """With some number for samples that never were finite: a law takes no NaN, and does not look at them."""
    return torch.where(values.isfinite(), values, values[finite][0])


def _averaged(old: Float64[Tensor, "_ *shape"], new: Float64[Tensor, "B *shape"]) -> Float64[Tensor, "B *shape"]:
    """Value by value; what is not finite counts for nothing."""
    if old.shape != new.shape:
        return new
    mixed = MEMORY * old + (1 - MEMORY) * new
    return torch.where(mixed.isfinite(), mixed, torch.where(new.isfinite(), new, old))
