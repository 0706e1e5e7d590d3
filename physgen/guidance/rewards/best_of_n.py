"""The best of several samples: the cheap baseline of every guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import whole
from physgen.constraints.names import Laws, name_laws
from physgen.grid import Grid
from physgen.guidance.problem import Decode, Problem
from physgen.guidance.rewards.reward import Rewards, evaluate, name_rewards, shows_nothing, total_of

#: rejection by a verifier
SOURCE = """@misc{ma2025inference,
  title = {Inference-Time Scaling for Diffusion Models beyond Scaling Denoising Steps},
  author = {Ma, Nanye and Tong, Shangyuan and Jia, Haolin and Hu, Hexiang and Su, Yu-Chuan and Zhang, Mingda
            and Yang, Xuan and Li, Yandong and Jaakkola, Tommi and Jia, Xuhui and Xie, Saining},
  year = {2025},
  eprint = {2501.09732},
  archiveprefix = {arXiv}
}"""


class BestOfN:
    """Draw n times, keep what violates the constraints least, each sample of the batch by itself.

    x = argmin_i sum_c (||r_c(x_i)|| / median_j ||r_c(x_j)||)^2 - sum_k R_k(x_i)

    Each constraint is measured in units of what is usual among the draws, so none needs a weight; rewards R come as
    they are. A draw that shows nothing breaks no law: it comes after every draw that shows something.

    Args:
        constraints: what is measured; there may be none where there are rewards.
        n: number of draws.
        rewards: see `Particles`; one that is `OfVideo` sees the samples themselves.

    Raises:
        InvalidArgument: neither constraints nor rewards, or fewer than two draws. In use: see `evaluate`.

    Source: rejection by a verifier at inference: Ma et al., arXiv:2501.09732.

    >>> from physgen.constraints import Equality
    >>> draws = iter([torch.tensor([[3.0], [1.2]]), torch.tensor([[1.1], [9.0]])])
    >>> BestOfN([Equality(lambda x: x - 1.0)], n=2).sample(lambda: next(draws)).tolist()
    [[1.10...], [1.20...]]
    """

    def __init__(self, constraints: Laws = (), *, n: int, rewards: Rewards = ()) -> None:
        self.rewards = name_rewards(rewards) if rewards else {}
        self.constraints = name_laws(constraints) if constraints or not self.rewards else {}
        self.n = whole("n", n, least=2)

    def sample(
        self, draw: Callable[[], Tensor], *, decode: Decode | None = None, grid: Grid | None = None
    ) -> Float[Tensor, "B *shape"]:
        """The best of `n` calls of ``draw``, which returns other samples ``[B, ...]`` each time."""
        problem = Problem(self.constraints, decode, grid)
        samples = [draw() for _ in range(self.n)]
        with torch.no_grad():
            fields = [problem.fields(x) for x in samples]
            score = torch.zeros(self.n, len(samples[0]), dtype=torch.float64)
            if self.constraints:
                loss = torch.stack([_losses(problem, seen) for seen in fields]).cpu()
                usual = loss.nanmedian(0).values
                score += (loss / torch.where(usual > 0, usual, 1.0)).sum(2)
            if self.rewards:
                pairs = zip(fields, map(_as_video, samples), strict=True)
                score -= torch.stack([total_of(evaluate(self.rewards, seen, grid, video=x)) for seen, x in pairs])
            if self.constraints:
                blank = torch.stack([shows_nothing(seen) for seen in fields])
                score[blank & (score.isfinite() & ~blank).any(0)] = torch.inf
        best = score.nan_to_num(torch.inf).argmin(0)
        return torch.stack(samples)[best, torch.arange(len(best))]

    def citation(self) -> str:
        """BibTeX of the works to cite."""
        return SOURCE


def _as_video(x: Tensor) -> Tensor | None:
    return x if x.ndim == 5 and x.shape[1] == 3 else None


def _losses(problem: Problem, fields: Tensor) -> Float[Tensor, "B K"]:
    return torch.stack([found.loss for found in problem.violation(fields).values()], 1)
