"""The mean of the clean sample given the noisy one and the constraints, by products with the network's Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.names import Laws
from physgen.guidance.solve.linearisation import Linearisation
from physgen.guidance.solve.newton import limited, uncertainty
from physgen.guidance.solve.shortest_move import shortest_move
from physgen.guidance.step import Step, Update
from physgen.guidance.through_network.base import BLIND, ThroughNetwork
from physgen.tensors import of_samples

Map = Callable[[Tensor], Tensor]
#: part of the shortfall at which conjugate gradients have nothing left but rounding, in units of eps
ROUNDING = 10


def conditional_move(
    shortfall: Float[Tensor, "B *shape"], row_space: Map, covariance: Map, products: int
) -> Float[Tensor, "B *shape"]:
    """C J^T (J C J^T)^-1 (b - J x0_hat): from the mean of a Gaussian to its mean given J x_0 = b.

    Conjugate gradients on P C P z = J^+ (b - J x0_hat), P = J^+ J, of which the move is C z. Each step is as long as
    the constraints say, so there is no weight to tune, and one is already a correction.

    Args:
        shortfall: J^+ (b - J x0_hat), the shortest move.
        row_space: v -> J^+ J v.
        covariance: v -> C v.
        products: most products with C.

    Source: Hestenes and Stiefel (1952), J. Res. Natl. Bur. Stand. 49:409.

    >>> C, P = torch.tensor([[4.0, 2.0], [2.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> conditional_move(torch.tensor([[1.0, 0.0]]), lambda v: v @ P, lambda v: v @ C, 1).tolist()
    [[1.0, 0.5]]
    """

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return of_samples((a * b).flatten(1).sum(1), a)

    move, rest, direction = torch.zeros_like(shortfall), shortfall, shortfall
    square = inner(rest, rest)
    done = (ROUNDING * torch.finfo(shortfall.dtype).eps) ** 2 * square
    for _ in range(products):
        image = covariance(direction)
        seen = row_space(image)
        curvature = inner(direction, seen)
        useful = (curvature > 0) & (square > done)
        length = torch.where(useful, square / torch.where(useful, curvature, 1.0), 0.0)
        move = move + length * image
        rest = rest - length * seen
        following = inner(rest, rest)
        direction = rest + torch.where(useful, following / torch.where(useful, square, 1.0), 0.0) * direction
        square = following
    return move


class ConditionalMean(ThroughNetwork):
    """PiGDM with the covariance that the network itself states: no variance of the data is assumed.

    x0* = x0_hat + C J^T (J C J^T)^-1 (-h),  C = Cov[x_0 | x_t] = sigma^2 / (1 - sigma) d x0_hat / d x_t

    with J of h at x0_hat, by `steps` conjugate gradients (`conditional_move`), each a backward pass of the network.
    Exact for linear constraints and any Gaussian prior once `steps` is the number of constraints; two do well. Where
    x_t says nothing (sigma = 1) x0* is the projection. Behind a decoder, whose samples have unit variance, a move is at
    most the uncertainty of x0 given x_t, as that of `X0Gradient`. The finished video is projected (`terminal`, on by
    default). An inequality counts where it is violated.

    Args:
        constraints: see `Guidance`.
        steps: backward passes through the network at every correction.
        renoise: see `Guidance`.
        terminal: see `Guidance`.
        knobs: see `Guidance`.

    Source: covariance: Boys et al., arXiv:2310.06721; conjugate gradients: Rozet et al., arXiv:2405.13712.

    >>> from physgen.constraints import Equality
    >>> C = torch.tensor([[4.0, 2.0], [2.0, 3.0]])  # of a Gaussian prior
    >>> x_t = torch.tensor([[0.0, 0.0]], requires_grad=True)
    >>> x0_hat = 2 * x_t @ torch.linalg.inv(C + torch.eye(2)) @ C  # at sigma = 1/2
    >>> guidance = ConditionalMean([Equality(lambda x: x[:, 0] - 1.0)])
    >>> [round(value, 3) for value in guidance.correct(x0_hat, x_t=x_t, sigma=0.5)[0].tolist()]
    [1.0, 0.167]
    """

    derivatives = 2

    def __init__(
        self,
        constraints: Laws,
        *,
        steps: int = 2,
        renoise: float = 0.1,
        terminal: bool = True,
        **knobs: Any,
    ) -> None:
        super().__init__(constraints, steps=steps, renoise=renoise, terminal=terminal, **knobs)

    @property
    def products(self) -> int:
        return self.steps

    def update(self, step: Step) -> Update:
        at = Linearisation(step.problem, step.x0, step.fields)
        move = -shortest_move(step.problem, at, at.active * at.residual)
        if 1 - step.sigma >= BLIND:
            scale = step.sigma**2 / (1 - step.sigma)
            move = conditional_move(
                move,
                lambda v: shortest_move(step.problem, at, at.active * at.jvp(v)),
                lambda v: scale * step.network_vjp(v.nan_to_num()),
                self.steps,
            )
        if step.problem.decode is not None:
            move = limited(move, uncertainty(step.sigma))
        return Update(step.x0 + move, at.rms)

    def citation(self) -> str:
        return """@misc{boys2023tmpd,
  title = {Tweedie Moment Projected Diffusions for Inverse Problems},
  author = {Boys, Benjamin and Girolami, Mark and Pidstrigach, Jakiw and Reich, Sebastian and Mosca, Alan
            and Akyildiz, O. Deniz},
  year = {2023},
  eprint = {2310.06721},
  archiveprefix = {arXiv}
}

@inproceedings{rozet2024mmps,
  title = {Learning Diffusion Priors from Observations by Expectation Maximization},
  author = {Rozet, Fran{\\c{c}}ois and Andry, G{\\'e}r{\\^o}me and Lanusse, Fran{\\c{c}}ois and Louppe, Gilles},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024},
  eprint = {2405.13712},
  archiveprefix = {arXiv}
}"""
