"""The particles of one run: what their lineages were weighted with, and where they began."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.guidance.rewards.resampling import copies, normalised, resampled

POTENTIALS = ("difference", "max")


@dataclass(frozen=True)
class Offspring:
    """What a resampling made of the batch.

    Attributes:
        ancestors: of each sample from here on, its row in the batch before; group after group.
        fresh: which of them get new noise: those whose ancestor has an offspring before them.
        weights: that the samples before had, of sum 1 in a group.
    """

    ancestors: Int64[Tensor, "B"]
    fresh: Bool[Tensor, "B"]
    weights: Float64[Tensor, "G n"]


class Population:
    """Groups of neighbours in a batch, and the logarithm of all that was applied to the lineage of each.

    log G = r - applied ("difference") or the most r of the lineage so far ("max");  applied <- applied + log G

    with r the reward over the temperature. At the end w ~ exp(r - applied).

    Args:
        batch: samples.
        n: of a group.

    Raises:
        InvalidArgument: a batch that is no multiple of n.

    Source: Singhal et al., arXiv:2501.06848.

    >>> pair = Population(2, 2)
    >>> r, u = torch.tensor([0.0, 3.0], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    >>> pair.resample(r, "difference", 2, u).ancestors.tolist(), pair.applied.tolist(), pair.founders.tolist()
    ([1, 1], [3.0, 3.0], [1, 1])
    """

    def __init__(self, batch: int, n: int) -> None:
        if batch % n or not batch:
            allowed = (
                f"a multiple of n={n}, groups of neighbours: num_videos_per_prompt={n}, or where a pipeline ignores "
                f"that (CogVideoX) the prompt {n} times"
            )
            raise InvalidArgument("batch", batch, allowed)
        self.groups, self.founders = batch // n, torch.arange(batch)
        self.applied = torch.zeros(batch, dtype=torch.float64)
        self.most = torch.full((batch,), -torch.inf, dtype=torch.float64)

    @property
    def alive(self) -> int:
        """Samples of a group."""
        return len(self.founders) // self.groups

    def resample(
        self, reward: Float64[Tensor, "B"], potential: str, left: int, uniform: Float64[Tensor, "G"]
    ) -> Offspring:
        """Who lives on, `left` of each group, by a number of each group that is uniform in [0, 1)."""
        self.most = torch.maximum(self.most, reward)
        log_g = self.most if potential == "max" else reward - self.applied
        weights = normalised(log_g.view(self.groups, -1))
        chosen = resampled(weights, uniform, left)
        self.applied = torch.where(log_g.isfinite(), self.applied + log_g, self.applied)
        ancestors = self._replaced_by(chosen)
        return Offspring(ancestors, copies(chosen).flatten(), weights)

    def keep(self, reward: Float64[Tensor, "B"], left: int) -> Offspring:
        """The `left` of each group that have most reward, in the order that they had; nobody has a copy.

        >>> Population(3, 3).keep(torch.tensor([0.0, 2.0, 1.0], dtype=torch.float64), 2).ancestors.tolist()
        [1, 2]
        """
        order = reward.view(self.groups, -1).argsort(dim=1, descending=True, stable=True)
        chosen = order[:, :left].sort(1).values
        weights = torch.zeros(self.groups, self.alive, dtype=torch.float64).scatter_(1, chosen, 1.0 / left)
        ancestors = self._replaced_by(chosen)
        return Offspring(ancestors, torch.zeros(len(ancestors), dtype=torch.bool), weights)

    def _replaced_by(self, chosen: Int64[Tensor, "G left"]) -> Int64[Tensor, "B"]:
        """The batch is now the samples that were chosen, by their place in their group; their rows in it before."""
        ancestors = (chosen + self._first).flatten()
        self.applied, self.most, self.founders = (x[ancestors] for x in (self.applied, self.most, self.founders))
        return ancestors

    def weights(self, reward: Float64[Tensor, "B"]) -> Float64[Tensor, "G n"]:
        """Of the finished samples, of sum 1 in a group."""
        return normalised((reward - self.applied).view(self.groups, -1))

    def best(self, reward: Float64[Tensor, "B"]) -> Int64[Tensor, "G"]:
        """The row of each group that has most reward."""
        return reward.view(self.groups, -1).argmax(1) + self._first.flatten()

    @property
    def _first(self) -> Int64[Tensor, "G 1"]:
        return self.alive * torch.arange(self.groups)[:, None]
