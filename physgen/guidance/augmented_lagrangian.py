"""Augmented Lagrangian: equalities and inequalities by multipliers that live as long as the run."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from physgen.arguments import finite
from physgen.constraints.names import Laws
from physgen.guidance.base import Guidance
from physgen.guidance.solve.linearisation import Linearisation
from physgen.guidance.solve.newton import limited, uncertainty
from physgen.guidance.step import Step, Update
from physgen.tensors import of_samples


class AugmentedLagrangian(Guidance):
    """Descent on a Lagrangian with a penalty, multipliers renewed at every correction.

    min_x 1/2 ||x - x0_hat||^2 + l^T h + p/2 ||h||^2,  inequalities: h replaced by max(h, -l / p);  l <- l + p h

    `steps` gradient steps, each as long as the minimum of the quadratic model along it asks for (one product with J^T,
    one with J). p = `penalty` ||h||^2 / ||J^T h||^2 of each sample, so that `penalty` has no unit and the default does
    for every constraint. Multipliers are kept from correction to correction and forgotten by `reset`.

    Args:
        constraints: see `Guidance`.
        penalty: weight of the constraints against nearness to x0_hat.
        knobs: see `Guidance`.

    Raises:
        InvalidArgument: see `Guidance`; and a penalty that is not positive.

    Source: Hestenes (1969), J. Optim. Theory Appl. 4:303; in flow matching: arXiv:2607.04513.

    >>> from physgen.constraints import Equality
    >>> guidance = AugmentedLagrangian([Equality(lambda x: x.sum(1) - 1.0)], steps=2)
    >>> x = torch.zeros(1, 2)
    >>> for _ in range(4):
    ...     x0 = guidance.correct(x, x_t=x, sigma=0.9)
    >>> [round(value, 3) for value in x0[0].tolist()]
    [0.5, 0.5]
    """

    derivatives = 2

    def __init__(self, constraints: Laws, *, penalty: float = 10.0, **knobs: Any) -> None:
        super().__init__(constraints, **knobs)
        self.penalty = finite("penalty", penalty, "a number > 0", lambda value: value > 0)
        self._multipliers: Tensor | None = None

    def reset(self) -> None:
        super().reset()
        self._multipliers = None

    def follow(self, ancestors: Int64[Tensor, "B"]) -> None:
        super().follow(ancestors)
        if self._multipliers is not None:
            self._multipliers = self._multipliers[ancestors.to(self._multipliers.device)]

    def update(self, step: Step) -> Update:
        at = Linearisation(step.problem, step.x0, step.fields)
        x0, residuals = step.x0.detach(), at.rms
        l = self._multipliers
        if l is None or l.shape != at.residual.shape:
            l = torch.zeros_like(at.residual)
        pull = at.vjp(at.residual).flatten(1).square().sum(1)
        p = torch.where(pull > 0, self.penalty * at.residual.square().sum(1) / pull, 0.0)[:, None]
        x = x0
        for index in range(self.steps):
            if index:
                at = Linearisation(step.problem, x)
            active = ~at.inequality | (p * at.residual + l > 0)
            slope = x - x0 + at.vjp(active * (l + p * at.residual))
            size = slope.flatten(1).square().sum(1)
            curvature = size + (p * (active * at.jvp(slope)).square()).sum(1)
            x = x - of_samples(torch.where(size > 0, size / curvature, 0.0), x) * slope
        with torch.no_grad():
            h = torch.cat(list(step.problem.residuals(step.problem.fields(x)).values()), 1)
        l = torch.where(at.inequality, (l + p * h).clamp(min=0), l + p * h)
        self._multipliers = torch.where(l.isfinite().all(1, keepdim=True), l, 0.0)
        return Update(x0 + limited(x - x0, uncertainty(step.sigma)), residuals)

    def citation(self) -> str:
        return """@article{hestenes1969multiplier,
  title = {Multiplier and Gradient Methods},
  author = {Hestenes, Magnus R.},
  journal = {Journal of Optimization Theory and Applications},
  volume = {4},
  pages = {303--320},
  year = {1969}
}"""
