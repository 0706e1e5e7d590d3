"""The nearest sample that satisfies the constraints."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from physgen.constraints import Constraint
from physgen.grid import Grid
from physgen.guidance.base import Decode, Guidance
from physgen.guidance.x0_gradient import newton_steps


class Projection(Guidance):
    """Projection onto the constraints: hard in the finished video, approached on the way.

    x0* = P_n(... P_1(x0_hat)), with P_i(u) the point of constraint i nearest to u. That is what the finished video gets
    (`terminal`), and every estimate when the constraints act on the sample itself. Through a decoder the estimates get
    the Newton steps of `X0Gradient` instead. Several projections one after the other satisfy all constraints only where
    they do not undo each other.

    Raises:
        InvalidArgument: see `Guidance`; and a constraint without a closed-form projection.

    Source: Cheng et al., arXiv:2412.01786; Utkarsh et al., arXiv:2506.04171.

    >>> import torch
    >>> from physgen.constraints import MassConservation
    >>> video = torch.tensor([0.5, 0.3]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)  # loses 40 % of its mass
    >>> guidance = Projection([MassConservation(initial_mass=8.0)])
    >>> guidance.correct(video, x_t=video, sigma=0.9, grid=Grid(spacing=(1.0, 1.0), dt=1.0)).sum((0, 1, 3, 4))
    tensor([8., 8.])
    """

    def __init__(
        self,
        constraints: Sequence[Constraint],
        *,
        start: float = 0.0,
        stop: float = 1.0,
        every: int = 1,
        steps: int = 1,
        terminal: bool = True,
    ) -> None:
        super().__init__(constraints, start=start, stop=stop, every=every, steps=steps, terminal=terminal)
        self.require_projections()

    def update(
        self, x0: Tensor, *, x_t: Tensor, sigma: float, decode: Decode | None, grid: Grid | None
    ) -> tuple[Tensor, dict[str, float]]:
        if decode is not None:
            return newton_steps(self, x0, sigma=sigma, decode=decode, grid=grid)
        return self.project(x0, grid), self.measure(x0, grid)[1]

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
