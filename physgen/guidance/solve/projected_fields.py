"""Fields projected onto constraints, sample by sample, with the problem that each of them solves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import Contradiction
from physgen.guidance.problem import Problem
from physgen.guidance.solve.feasible import feasible
from physgen.guidance.solve.gauss_newton import UNBOUNDED
from physgen.tensors import finite_samples, rms


@dataclass(frozen=True)
class ProjectedFields:
    """Projected `fields` ``[B, ...]`` and the problem of each sample alone, fitted constants held at what they were.

    Fields are NaN where there are none; `contradiction` says why no sample has any, where equalities cannot hold
    together.
    """

    fields: Float[Tensor, "B *shape"]
    problems: tuple[Problem, ...]
    contradiction: Contradiction | None = None

    def residuals(
        self, fields: Float[Tensor, "B *shape"], measure: Callable[[Problem, Tensor], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Values of every constraint, flat, over the samples that are finite."""
        pairs = zip(self.problems, fields.split(1), strict=True)
        found = [measure(problem, sample) for problem, sample in pairs if finite_samples(sample)]
        names = self.problems[0].constraints
        return {name: torch.cat([x[name].flatten() for x in found] or [fields.new_empty(0)]) for name in names}

    def violations(self, fields: Float[Tensor, "B *shape"]) -> dict[str, float]:
        """RMS residual of every constraint, with the constants of the projection (NaN for no finite sample)."""
        return {name: rms(part) for name, part in self.residuals(fields, Problem.violated).items()}


def project_samples(
    problem: Problem, fields: Float[Tensor, "B *shape"], bounds: tuple[float, float] = UNBOUNDED
) -> ProjectedFields:
    """Fields that satisfy the constraints, near those given, see `feasible`, with the constants that they obey.

    Constants that are held are fitted to each sample once. A sample that is not finite stays, one that nothing suits is
    NaN.

    >>> from physgen.constraints import Equality
    >>> found = project_samples(Problem({"sum": Equality(lambda x: x.sum(1) - 2.0)}), torch.tensor([[0.0], [math.nan]]))
    >>> found.fields.tolist()
    [[2.0], [nan]]
    """
    samples = torch.eye(len(fields), dtype=torch.bool)
    problems, refused = [problem.keep_samples(one) for one in samples], []
    finite = finite_samples(fields).cpu()
    parts = samples[finite] if problem.held else finite[None] if bool(finite.any()) else ()
    with torch.inference_mode(False), torch.autocast(fields.device.type, enabled=False):
        projected = fields.clone()
        for part in parts:
            usable = fields[part]
            held = problem.keep_samples(part).hold(usable)
            if problem.held:
                problems[int(part.nonzero())] = held
            try:
                projected[part] = feasible(held, usable, bounds=bounds)
            except Contradiction as error:
                refused.append(error)
                projected[part] = math.nan
    return ProjectedFields(projected, tuple(problems), refused[0] if refused and len(refused) == len(parts) else None)
