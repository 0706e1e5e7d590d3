"""Soft assignment of objects between two frames, with ends that stay loose."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

#: entropy, in units of the cost of two loose ends, and iterations
ENTROPY, ITERATIONS = 0.03, 100
#: weight that stands for none
NONE = 1e-6


def assign_softly(
    cost: Float[Tensor, "P N M"],
    before: Float[Tensor, "P N"],
    after: Float[Tensor, "P M"],
    loose_before: Float[Tensor, "P N"],
    loose_after: Float[Tensor, "P M"],
) -> tuple[Float[Tensor, "P N"], Float[Tensor, "P M"]]:
    """How much of every object before has no object after, and of every object after none before.

    argmin_P sum P C + 0.03 sum P (log P - 1),  sum_j P_ij + v_i = before_i,  sum_i P_ij + a_j = after_j

    with the costs of loose ends v and a. Both frames have one more place, the bin, which takes all that is loose.

    Source: Sinkhorn (1967), Amer. Math. Monthly 74:402; Cuturi (2013), NeurIPS 26; the bin: Sarlin et al. (2020), CVPR,
        SuperGlue.

    >>> one = torch.ones(1, 1)
    >>> [round(x.item(), 2) for x in assign_softly(torch.zeros(1, 1, 1), one, one, one / 2, one / 2)]
    [0.0, 0.0]
    >>> [round(x.item(), 2) for x in assign_softly(torch.full((1, 1, 1), 9.0), one, one, one / 2, one / 2)]
    [1.0, 1.0]
    """
    before, after = before + NONE, after + NONE
    corner = torch.zeros_like(before[:, :1, None])
    costs = torch.cat([torch.cat([cost, loose_before[..., None]], 2), torch.cat([loose_after[:, None], corner], 2)], 1)
    rows = torch.cat([before, after.sum(1, keepdim=True)], 1).log()
    columns = torch.cat([after, before.sum(1, keepdim=True)], 1).log()
    kernel = -costs / ENTROPY
    left, right = torch.zeros_like(rows), torch.zeros_like(columns)
    for _ in range(ITERATIONS):
        left = rows - torch.logsumexp(kernel + right[:, None], 2)
        right = columns - torch.logsumexp(kernel + left[..., None], 1)
    plan = (kernel + left[..., None] + right[:, None]).exp()
    return plan[:, :-1, -1], plan[:, -1, :-1]
