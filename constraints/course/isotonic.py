"""The nearest series that never falls."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def nearest_rising(series: Float[Tensor, "*n T"]) -> Float[Tensor, "*n T"]:
    """Isotonic regression along the last axis, differentiable wherever its pools stay the same.

    argmin_y sum_t (y_t - x_t)^2,  y_0 <= y_1 <= ...;  y_t = max_{a <= t} min_{b >= t} mean(x_a ... x_b)

    Within a pool every value is the pool's mean; so is the derivative.

    Source: min-max formula, Brunk (1955), Ann. Math. Statist. 26:607; Robertson, Wright and Dykstra (1988), Order
        Restricted Statistical Inference, theorem 1.4.4.

    >>> nearest_rising(torch.tensor([1.0, 3.0, 2.0, 4.0])).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    frames = series.shape[-1]
    first = series[..., :1]
    sums = torch.cat([torch.zeros_like(first), (series - first).cumsum(-1)], -1)
    start, stop = torch.arange(frames, device=series.device)[:, None], torch.arange(frames, device=series.device)
    length = (stop + 1 - start).clamp(min=1)
    means = (sums[..., None, 1:] - sums[..., :-1, None]) / length
    means = torch.where(stop >= start, means, torch.inf)
    least = means.flip(-1).cummin(-1).values.flip(-1)
    least = torch.where(stop >= start, least, -torch.inf)
    return first + least.amax(-2)
