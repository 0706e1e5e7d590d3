"""The best of several samples, of which most are dropped early: best of n for less than the cost of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.guidance.base import Guidance
from physgen.guidance.rewards.best_of_n import SOURCE
from physgen.guidance.rewards.particles import Particles
from physgen.guidance.rewards.population import Offspring, Population
from physgen.guidance.rewards.reward import Rewards

#: fewer and fewer that are left
HALVING = """@misc{jamieson2015nonstochastic,
  title = {Non-stochastic Best Arm Identification and Hyperparameter Optimization},
  author = {Jamieson, Kevin and Talwalkar, Ameet},
  year = {2015},
  eprint = {1502.07943},
  archiveprefix = {arXiv}
}"""


class PrunedBestOfN(Particles):
    """Begin n samples, keep those whose early estimate x0_hat has most reward, finish the last ones, take the best.

    at each level:  keep the `left` samples of a group that have the largest sum of rewards r(x0_hat)
    at the end:     argmax r(x)

    A sample is never copied and draws no new noise, so that each is what it would be alone; where the scheduler draws
    noise, if it is given a list of generators, one for each. The one that comes out costs `cost` samples; no
    derivative is taken.

    Args:
        n: samples that begin.
        rewards: see `Particles`.
        levels: fractions of the schedule, counted in steps, after which samples are dropped.
        left: samples of a group that are left after each level.
        select: whether the best of each group comes out, instead of all that are left.
        inside: a guidance that acts on each sample, whose terminal projection acts on what comes out.

    Raises:
        InvalidArgument: see `Particles`; ``left`` is its ``prune``, ``levels`` its ``resample``.

    Source: rejection by a verifier, Ma et al., arXiv:2501.09732; with fewer and fewer left: successive halving,
        Jamieson and Talwalkar, arXiv:1502.07943.

    >>> from physgen.sampling import sample_flow
    >>> gaussian = lambda x, s: (2 * s - 1) * x / (s**2 + (1 - s) ** 2)  # samples of a standard normal prior
    >>> noise = torch.tensor([[-2.0], [0.5], [1.5], [0.0]])
    >>> best = PrunedBestOfN(4, lambda x: -((x[:, 0] - 1.4) ** 2))
    >>> sample_flow(gaussian, noise, torch.linspace(1, 0, 41), guidance=best).round(decimals=1).tolist()
    [[1.5]]
    >>> best.cost(40), best.log.evaluations / 40
    (1.575, 1.575)
    """

    reference: ClassVar[str] = "\n\n".join([SOURCE, HALVING])

    def __init__(
        self,
        n: int,
        rewards: Rewards,
        *,
        levels: Sequence[float] = (0.1, 0.3),
        left: Sequence[int] = (2, 1),
        select: bool = True,
        inside: Guidance | None = None,
    ) -> None:
        super().__init__(n, rewards, resample=levels, prune=left, renoise=0.0, select=select, inside=inside)

    def choose(
        self, population: Population, reward: Float64[Tensor, "B"], left: int, generator: torch.Generator | None
    ) -> Offspring:
        return population.keep(reward, left)

    def cost(self, total: int) -> float:
        """Evaluations of the network for one that comes out, over the `total` of a sample alone.

        >>> PrunedBestOfN(2, lambda x: x[:, 0], levels=(0.5,), left=(1,)).cost(10)
        1.6
        """
        rounds, alive, evaluations = self.rounds(total), self.particles, 0
        for step in range(total):
            evaluations += alive
            alive = rounds.get(step, alive)
        return evaluations / total
