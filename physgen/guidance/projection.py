"""The nearest sample that satisfies the constraints."""

from __future__ import annotations

from typing import Any

from physgen.constraints.names import Laws
from physgen.guidance.base import Guidance
from physgen.guidance.solve.feasible import feasible
from physgen.guidance.solve.newton import newton_steps, uncertainty
from physgen.guidance.step import Step, Update
from physgen.tensors import finite_samples


class Projection(Guidance):
    """Projection onto the constraints: hard in the finished video, approached on the way.

    x0* = argmin_u ||u - x0_hat||  subject to  h(u) = 0, g(u) <= 0

    That is what the finished video gets (`terminal`, on by default), and every estimate when the constraints act on the
    sample itself: in closed form where a constraint has one, by matrix-free Gauss-Newton steps otherwise (`feasible`).
    Through a decoder the estimates get the Newton steps of `X0Gradient` instead.

    Raises:
        InvalidArgument: see `Guidance`; and in use, equalities that contradict each other.

    Source: Cheng et al., arXiv:2412.01786; Utkarsh et al., arXiv:2506.04171.

    >>> import torch
    >>> from physgen.constraints import MassConservation
    >>> from physgen.grid import Grid
    >>> video = torch.tensor([0.5, 0.3]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)  # loses 40 % of its mass
    >>> guidance = Projection([MassConservation(initial_mass=8.0)])
    >>> guidance.correct(video, x_t=video, sigma=0.9, grid=Grid(spacing=(1.0, 1.0), dt=1.0)).sum((0, 1, 3, 4))
    tensor([8., 8.])
    """

    def __init__(self, constraints: Laws, *, terminal: bool = True, **knobs: Any) -> None:
        super().__init__(constraints, terminal=terminal, **knobs)

    def update(self, step: Step) -> Update:
        if step.problem.decode is not None:
            limit = uncertainty(step.sigma)
            x0, norms = newton_steps(step.problem, step.x0, step.fields, steps=self.steps, limit=limit)
            return Update(x0, norms.rms, norms.cosines)
        x0 = step.x0.detach()
        residuals = step.problem.violations(x0)
        finite = finite_samples(x0)
        projected = x0.new_full(x0.shape, float("nan"))
        if finite.any():
            projected[finite] = feasible(step.problem.keep_samples(finite), x0[finite])
        return Update(projected, residuals)

    def citation(self) -> str:
        return """@inproceedings{cheng2025eci,
  title = {Gradient-Free Generation for Hard-Constrained Systems},
  author = {Cheng, Chaoran and Han, Boran and Maddix, Danielle C. and Ansari, Abdul Fatir and Stuart, Andrew
            and Mahoney, Michael W. and Wang, Yuyang},
  booktitle = {International Conference on Learning Representations},
  year = {2025},
  eprint = {2412.01786},
  archiveprefix = {arXiv}
}

@inproceedings{utkarsh2025pcfm,
  title = {Physics-Constrained Flow Matching: Sampling Generative Models with Hard Constraints},
  author = {Utkarsh, Utkarsh and Cai, Pengfei and Edelman, Alan and Gomez-Bombarelli, Rafael
            and Rackauckas, Christopher Vincent},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2025},
  eprint = {2506.04171},
  archiveprefix = {arXiv}
}"""
