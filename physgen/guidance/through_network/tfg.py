"""Training-free guidance: gradients through the network and on the clean sample, smoothed, each level visited again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from physgen.arguments import finite, whole
from physgen.constraints.names import Laws
from physgen.guidance.solve.newton import Norms, limited, uncertainty
from physgen.guidance.step import Step, Update
from physgen.guidance.through_network.base import ThroughNetwork
from physgen.guidance.through_network.dps import pull_through_network


class TFG(ThroughNetwork):
    """Training-free guidance, which has DPS, LGD, FreeDoM, MPGD and UGD as special cases.

    variance guidance:  x0 <- x0 + the step of `DPS`, through the network
    mean guidance:      x0 <- x0 + mean_m step(x0 + gamma r xi_m),  `steps` times,  r the uncertainty of x0
    recurrence:         each noise level is visited `recurrence` times: from s' back to s with fresh noise

    Step lengths are those of `X0Gradient` and `DPS`: nothing to tune by grid search. A level cannot be visited twice
    inside a scheduler's step, so recurrence needs `physgen.sampling.flow.sample_flow`.

    Args:
        constraints: see `Guidance`.
        recurrence: visits of each noise level.
        draws: Monte-Carlo draws of the smoothing, each taken as xi and as -xi.
        smoothing: gamma.
        seed: of the draws.
        knobs: see `Guidance`.

    Raises:
        InvalidArgument: see `Guidance`; and fewer than one visit or draw, or a negative smoothing.

    Source: Ye et al., arXiv:2409.15761, algorithm 1.

    >>> from physgen.constraints import Equality
    >>> x_t = torch.tensor([[0.6, 0.2]], requires_grad=True)
    >>> guidance = TFG([Equality(lambda x: x.sum(1) - 1.0)])
    >>> [round(x, 4) for x in guidance.correct(0.5 * x_t, x_t=x_t, sigma=0.5)[0].tolist()]
    [0.6, 0.4]
    """

    def __init__(
        self,
        constraints: Laws,
        *,
        recurrence: int = 2,
        draws: int = 1,
        smoothing: float = 0.1,
        seed: int = 0,
        **knobs: Any,
    ) -> None:
        super().__init__(constraints, **knobs)
        self.recurrence, self.draws = whole("recurrence", recurrence), whole("draws", draws)
        self.smoothing = finite("smoothing", smoothing, "a number >= 0", lambda gamma: gamma >= 0)
        self.seed = whole("seed", seed, least=0)
        self.reset()

    def reset(self) -> None:
        super().reset()
        self._generator = torch.Generator().manual_seed(self.seed)

    def update(self, step: Step) -> Update:
        norms = Norms(step.problem, step.x0, step.fields)
        x0, r = step.x0.detach(), uncertainty(step.sigma)
        x = x0 + limited(pull_through_network(norms.step(), step), r)
        for _ in range(self.steps):
            draws = [self.smoothing * r * self._noise(x) for _ in range(self.draws)]
            moves = [Norms(step.problem, x + xi).step() for draw in draws for xi in (draw, -draw)]
            x = x0 + limited(x + torch.stack(moves).mean(0) - x0, r)
        return Update(x, norms.rms, norms.cosines)

    def _noise(self, x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=self._generator, dtype=x.dtype).to(x.device)

    def citation(self) -> str:
        return """@inproceedings{ye2024tfg,
  title = {TFG: Unified Training-Free Guidance for Diffusion Models},
  author = {Ye, Haotian and Lin, Haowei and Han, Jiaqi and Xu, Minkai and Liu, Sheng and Liang, Yitao and Ma, Jianzhu
            and Zou, James and Ermon, Stefano},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024},
  eprint = {2409.15761},
  archiveprefix = {arXiv}
}"""
