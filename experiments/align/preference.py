"""A loss that prefers one sample of a pair to the other."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def preference_loss(
    preferred: Float[Tensor, "B"],
    other: Float[Tensor, "B"],
    reference_preferred: Float[Tensor, "B"],
    reference_other: Float[Tensor, "B"],
    beta: float,
) -> Float[Tensor, "B"]:
    """Direct preference optimisation for flow matching.

    L = -log sigmoid(-beta/2 [(e(x+) - e_ref(x+)) - (e(x-) - e_ref(x-))])
    e(x) = mean |v(x_s, s, text) - (eps - x)|^2,   x_s = (1 - s) x + s eps

    with the same noise eps and level s for the sample x+ that is preferred and the other one x-, and for the model v
    that is trained and the one v_ref that it began as. At the start every bracket is 0 and the loss is log 2.

    The loss of Diffusion-DPO has errors of the predicted noise. Since eps = x_s + (1 - s) v, those are (1 - s)^2 e(x):
    the same loss but for the weight of the levels, which is constant here.

    Args:
        preferred: errors e(x+) ``[B]`` of the model, dimensionless.
        other: errors e(x-) of the model.
        reference_preferred: errors e_ref(x+) of the model that it began as.
        reference_other: errors e_ref(x-) of it.
        beta: how far the model may move from that; larger holds it back more.

    Source: Wallace et al. (2023), Diffusion Model Alignment Using Direct Preference Optimization, arXiv:2311.12908; for
        flow matching: Liu et al. (2025), Improving Video Generation with Human Feedback, arXiv:2501.13918.

    >>> import torch
    >>> start = torch.ones(1)
    >>> preference_loss(start, start, start, start, 2000.0)
    tensor([0.6931])
    >>> bool(preference_loss(start - 0.001, start, start, start, 2000.0) < 0.6931)
    True
    """
    gained = (preferred - reference_preferred) - (other - reference_other)
    return -F.logsigmoid(-0.5 * beta * gained)
