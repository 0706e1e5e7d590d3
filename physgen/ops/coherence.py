"""How well patterns that are carried at given speeds explain rows, in one pass on a CPU."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from physgen.ops.launch import in_threads


def explained_power(
    modes: Complex[Tensor, "B K R S T"],
    waves: Float[Tensor, "K"],
    speed: Float[Tensor, "B R C"],
    background: bool,
    least: float,
) -> Float[Tensor, "B R C"]:
    """Power that a pattern carried at a speed explains, computed in float64, in as many threads as torch has.

    sum over waves k and species of |<m, F>|^2 / |m|^2,  m = exp(-i k v t), without its mean if there is a background

    Patterns are made by multiplication, from frame to frame, in place of a sine and a cosine of each.

    Args:
        modes: F, Fourier modes of each row and species at every frame, on a CPU.
        waves: wave numbers, radians per pixel.
        speed: v, pixels per frame.
        background: whether patterns are without their mean over time.
        least: power |m|^2 that such a pattern has at least to count.

    >>> time = torch.arange(8.0, dtype=torch.float64)
    >>> modes = torch.polar(torch.ones_like(time), -0.5 * time).view(1, 1, 1, 1, 8)
    >>> speed = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    >>> power = explained_power(modes, torch.tensor([0.5]), speed, False, 0.0)
    >>> [round(x, 2) for x in power.flatten().tolist()]
    [8.0, 1.69]
    """
    from physgen.kernels.coherence import explained

    power = torch.empty(speed.shape, dtype=torch.float64)
    for found, at, of in zip(power, speed.double(), modes, strict=True):
        arrays = [x.contiguous().numpy() for x in (of, waves, at)]
        in_threads(partial(explained, *arrays, background, least, found.numpy()), len(found))
    return power.to(speed.dtype)
