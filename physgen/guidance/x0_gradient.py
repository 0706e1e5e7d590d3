"""Gradient steps on the clean sample, as long as the residual itself says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance.base import Decode, Guidance


def newton_steps(
    guidance: Guidance, x0: Tensor, *, sigma: float, decode: Decode | None, grid: Grid | None
) -> tuple[Tensor, dict[str, float]]:
    """Newton steps towards ||r|| = 0 along its gradient, each sample by itself; and the RMS residuals at `x0`.

    One decode and one backward pass per step. A sample comes back NaN where its fields, loss or step are not finite,
    which includes a violated constraint without a gradient.
    """
    limit = sigma / math.hypot(sigma, 1 - sigma)
    per_sample = (-1, *[1] * (x0.ndim - 1))
    initial: dict[str, float] = {}
    z = x0
    for _ in range(guidance.steps):
        z = z.detach().requires_grad_()
        loss, residuals = guidance.measure(guidance.fields(z, decode), grid)
        initial = initial or residuals
        if not loss.isfinite().any():
            return torch.full_like(x0, math.nan), initial
        if not loss.requires_grad:
            raise InvalidArgument("decode", decode, "differentiable maps from samples to fields")
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        loss = loss.detach().to(x0.dtype)
        length = torch.where(loss == 0, 0, 2 * loss / gradient.flatten(1).square().sum(1))
        move = z.detach() - length.view(per_sample) * gradient - x0
        size = move.flatten(1).square().mean(1).sqrt()
        z = x0 + torch.where(size > limit, limit / size, 1).view(per_sample) * move
    return z, initial


class X0Gradient(Guidance):
    """Gradient steps on the clean sample with the step length of Newton's method on ||r||.

    z <- z - 2 L / ||g||^2 g, L = 1/2 ||r(decode(z))||^2, g = dL/dz, `steps` times from z = x0_hat. There is no weight
    to tune: for a residual of rank one a single step lands on the nearest root. The whole move is limited to an RMS of
    sigma / sqrt(sigma^2 + (1 - sigma)^2), the uncertainty of x0 given x_t for samples of unit variance, so that early,
    unreliable estimates and vanishing gradients do no harm. The network is not differentiated.

    Raises:
        InvalidArgument: see `Guidance`; and in use, a `decode` that is not differentiable.

    Source: He et al., arXiv:2311.16424; Patel et al., arXiv:2412.00100; step length: Polyak, 1969.

    >>> from physgen.constraints import MassConservation
    >>> video = torch.tensor([0.5, 0.3]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)  # loses 40 % of its mass
    >>> guidance = X0Gradient([MassConservation()], steps=3)
    >>> x0 = guidance.correct(video, x_t=video, sigma=0.9, grid=Grid(spacing=(1.0, 1.0), dt=1.0))
    >>> bool((x0.sum((1, 3, 4)).diff().abs() < 1e-4).all())
    True
    """

    def __init__(
        self,
        constraints: Sequence[Constraint],
        *,
        start: float = 0.0,
        stop: float = 1.0,
        every: int = 1,
        steps: int = 1,
        terminal: bool = False,
    ) -> None:
        super().__init__(constraints, start=start, stop=stop, every=every, steps=steps, terminal=terminal)

    def update(
        self, x0: Tensor, *, x_t: Tensor, sigma: float, decode: Decode | None, grid: Grid | None
    ) -> tuple[Tensor, dict[str, float]]:
        return newton_steps(self, x0, sigma=sigma, decode=decode, grid=grid)

    def citation(self) -> str:
        return """@inproceedings{he2024mpgd,
  title = {Manifold Preserving Guided Diffusion},
  author = {He, Yutong and Murata, Naoki and Lai, Chieh-Hsin and Takida, Yuhta and Uesaka, Toshimitsu and Kim, Dongjun
            and Liao, Wei-Hsiang and Mitsufuji, Yuki and Kolter, J. Zico and Salakhutdinov, Ruslan and Ermon, Stefano},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  eprint = {2311.16424},
  archiveprefix = {arXiv}
}

@inproceedings{patel2025flowchef,
  title = {FlowChef: Steering of Rectified Flow Models for Controlled Generations},
  author = {Patel, Maitreya and Wen, Song and Metaxas, Dimitris and Yang, Yezhou},
  booktitle = {International Conference on Computer Vision},
  year = {2025},
  eprint = {2412.00100},
  archiveprefix = {arXiv}
}"""
