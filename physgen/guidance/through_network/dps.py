"""Diffusion posterior sampling: the gradient of the loss with respect to the noisy sample."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.guidance.solve.newton import Norms, limited, uncertainty
from physgen.guidance.step import Step, Update
from physgen.guidance.through_network.base import ThroughNetwork
from physgen.tensors import of_samples


def pull_through_network(move: Float[Tensor, "B *shape"], step: Step) -> Float[Tensor, "B *shape"]:
    """(d x0_hat / d x_t)^T move, as long as it takes to have the effect of `move` to first order.

    Where it would point backwards, or the network has no derivative (sigma = 1), it is the move itself.
    """
    through = step.network_vjp(move.nan_to_num())
    along = (through * move).flatten(1).sum(1)
    gain = move.flatten(1).square().sum(1) / along
    return torch.where(of_samples(along > 0, move), of_samples(gain, move) * through, move)


class DPS(ThroughNetwork):
    """Gradients of the residual norms with respect to x_t, through the network.

    x0* = x0_hat - zeta (d x0_hat / d x_t)^T g,  g = d rho / d x0_hat

    zeta makes rho reach its floor to first order: `(rho - floor) / <g, (d x0_hat / d x_t)^T g>`, which is positive
    since `d x0_hat / d x_t` is proportional to the covariance of x0 given x_t. The published zeta is tuned by hand.
    Several constraints are first joined to one direction (`newton.Norms`). The move is limited as that of
    `X0Gradient`; at sigma = 1 the network has no derivative and the step is that of `X0Gradient`.

    Source: Chung et al., arXiv:2209.14687; for flows: Kim et al., arXiv:2503.08136.

    >>> from physgen.constraints import Equality
    >>> x_t = torch.tensor([[0.6, 0.2]], requires_grad=True)
    >>> guidance = DPS([Equality(lambda x: x.sum(1) - 1.0)])
    >>> [round(x, 4) for x in guidance.correct(0.5 * x_t, x_t=x_t, sigma=0.5)[0].tolist()]
    [0.6, 0.4]
    """

    def update(self, step: Step) -> Update:
        norms = Norms(step.problem, step.x0, step.fields)
        move = pull_through_network(norms.step(), step)
        return Update(step.x0 + limited(move, uncertainty(step.sigma)), norms.rms, norms.cosines)

    def citation(self) -> str:
        return """@inproceedings{chung2023dps,
  title = {Diffusion Posterior Sampling for General Noisy Inverse Problems},
  author = {Chung, Hyungjin and Kim, Jeongsol and Mccann, Michael T. and Klasky, Marc L. and Ye, Jong Chul},
  booktitle = {International Conference on Learning Representations},
  year = {2023},
  eprint = {2209.14687},
  archiveprefix = {arXiv}
}

@inproceedings{kim2025flowdps,
  title = {FlowDPS: Flow-Driven Posterior Sampling for Inverse Problems},
  author = {Kim, Jeongsol and Kim, Bryan Sangwoo and Ye, Jong Chul},
  booktitle = {International Conference on Computer Vision},
  year = {2025},
  eprint = {2503.08136},
  archiveprefix = {arXiv}
}"""
