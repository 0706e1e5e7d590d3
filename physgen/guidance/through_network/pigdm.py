"""Pseudo-inverse guidance through the network."""

from __future__ import annotations

from typing import Any

import torch

from physgen.arguments import finite
from physgen.constraints.names import Laws
from physgen.guidance.solve.linearisation import Linearisation
from physgen.guidance.solve.newton import uncertainty
from physgen.guidance.solve.shortest_move import shortest_move
from physgen.guidance.step import Step, Update
from physgen.guidance.through_network.base import BLIND, ThroughNetwork


class PiGDM(ThroughNetwork):
    """Pseudo-inverse guidance: the posterior score of the constraints, for Gaussian p(x0 | x_t), through the network.

    g = (d x0_hat / d x_t)^T J^T (r^2 J J^T + e^2)^-1 (-h),  r^2 = sigma^2 / (sigma^2 + (1 - sigma)^2)
    x0* = x0_hat + sigma^2 / (1 - sigma) g,  that is  v* = v - sigma / (1 - sigma) g

    with J of h at x0_hat, without a Jacobian (`shortest_move`). Exact for linear constraints and a prior of independent
    values of unit variance. At sigma = 0, where nothing is uncertain, x0* is x0_hat; at sigma = 1, where
    d x0_hat / d x_t vanishes, it is the projection J^T (J J^T)^-1 (-h). Where the constrained directions vary far more
    than that it overshoots and may diverge: see `ConditionalMean`. The finished video is projected (`terminal`, on by
    default). An inequality counts where it is violated.

    Args:
        constraints: see `Guidance`.
        noise: e, sd of the residuals of true data, at least 0.
        terminal: see `Guidance`.
        knobs: see `Guidance`; `steps` has no meaning here.

    Raises:
        InvalidArgument: see `Guidance`; and a noise that is negative or not finite.

    Source: Song et al. (2023), Pseudoinverse-Guided Diffusion Models, ICLR; for flows: Pokle et al., arXiv:2310.04432.

    >>> from physgen.constraints import Equality
    >>> x_t = torch.tensor([[0.6, 0.2]], requires_grad=True)
    >>> sigma = 0.5
    >>> x0_hat = (1 - sigma) * x_t / (sigma**2 + (1 - sigma) ** 2)  # prior: independent, of unit variance
    >>> PiGDM([Equality(lambda x: x.sum(1) - 1.0)]).correct(x0_hat, x_t=x_t, sigma=sigma).tolist()
    [[0.7..., 0.3...]]
    """

    derivatives = 2

    def __init__(self, constraints: Laws, *, noise: float = 0.0, terminal: bool = True, **knobs: Any) -> None:
        super().__init__(constraints, terminal=terminal, **knobs)
        self.noise = finite("noise", noise, "a finite number >= 0", lambda value: value >= 0)

    def update(self, step: Step) -> Update:
        at = Linearisation(step.problem, step.x0, step.fields)
        wanted = torch.where(at.inequality, at.residual.clamp(min=0), at.residual)
        if not step.sigma:
            return Update(step.x0, at.rms)
        r = uncertainty(step.sigma)
        move = shortest_move(step.problem, at, -wanted, (self.noise / r) ** 2)
        if 1 - step.sigma >= BLIND:
            gain = step.sigma**2 / (1 - step.sigma) / r**2
            move = gain * step.network_vjp(move)
        return Update(step.x0 + move, at.rms)

    def citation(self) -> str:
        return """@inproceedings{song2023pigdm,
  title = {Pseudoinverse-Guided Diffusion Models for Inverse Problems},
  author = {Song, Jiaming and Vahdat, Arash and Mardani, Morteza and Kautz, Jan},
  booktitle = {International Conference on Learning Representations},
  year = {2023}
}

@article{pokle2024otode,
  title = {Training-free Linear Image Inverses via Flows},
  author = {Pokle, Ashwini and Muckley, Matthew J. and Chen, Ricky T. Q. and Karrer, Brian},
  journal = {Transactions on Machine Learning Research},
  year = {2024},
  eprint = {2310.04432},
  archiveprefix = {arXiv}
}"""
