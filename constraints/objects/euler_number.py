"""The number of objects of a picture, in a form that can be differentiated."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from physgen.tensors import soft_step

#: edge of an object, as a part of the contrast
EDGE = 0.05


def smooth(frames: Float[Tensor, "N T H W"], times: int, wraps: bool) -> Float[Tensor, "N T H W"]:
    """Frames averaged with weights (1, 2, 1)/4 along both axes, some times; a variance of half a pixel each.

    >>> smooth(torch.eye(3)[None, None], 1, wraps=True).sum().item()
    3.0
    """
    kernel = torch.tensor([0.25, 0.5, 0.25], dtype=frames.dtype, device=frames.device)
    rows = frames.flatten(0, 1)[:, None]
    for _ in range(times):
        rows = F.pad(rows, (1, 1, 1, 1), mode="circular" if wraps else "replicate")
        rows = F.conv2d(F.conv2d(rows, kernel.view(1, 1, 3, 1)), kernel.view(1, 1, 1, 3))
    return rows.view_as(frames)


def shown_part(frames: Float[Tensor, "N T H W"], threshold: float | None) -> Float[Tensor, "N T H W"]:
    """How far each pixel is in an object: sigmoid((c - threshold) / (0.05 contrast)).

    The contrast is that between the lowest and the highest value of the video; the threshold is half way where None
    is given.

    >>> [round(x, 3) for x in shown_part(torch.tensor([[[[0.0, 0.5, 1.0]]]]), None).flatten().tolist()]
    [0.0, 0.5, 1.0]
    """
    low, high = frames.amin((1, 2, 3), keepdim=True), frames.amax((1, 2, 3), keepdim=True)
    middle = (low + high) / 2 if threshold is None else threshold
    return soft_step(frames - middle, EDGE * (high - low))


def euler_number(part: Float[Tensor, "*n H W"], wraps: bool) -> Float[Tensor, "*n"]:
    """Objects less holes, averaged over all thresholds between 0 and 1.

    chi = sum_pixels u - sum_pairs min(u, u') + sum_squares min(u, u', u'', u''')  =  integral_0^1 chi({u > s}) ds

    Pairs are neighbors along an axis, squares are of 2 x 2 pixels: of a picture of zeros and ones this is the Euler
    number of its pixels, and of others the mean of their level sets. Differentiable where no two neighbors are equal.

    Source: Gray (1971), IEEE Trans. Comput. C-20:551; level sets, Hadwiger (1957), Vorlesungen über Inhalt.

    >>> picture = torch.zeros(8, 8)
    >>> picture[1:3, 1:3], picture[4:7, 4:7], picture[5, 5] = 1, 1, 0
    >>> euler_number(picture, wraps=False).item()
    1.0
    """
    if wraps:
        part = torch.cat([part, part[..., :1, :]], -2)
        part = torch.cat([part, part[..., :1]], -1)
    down = torch.minimum(part[..., 1:, :], part[..., :-1, :])
    right = torch.minimum(part[..., 1:], part[..., :-1])
    square = torch.minimum(down[..., 1:], down[..., :-1])
    if wraps:
        part, down, right = part[..., :-1, :-1], down[..., :-1], right[..., :-1, :]
    return part.sum((-2, -1)) - down.sum((-2, -1)) - right.sum((-2, -1)) + square.sum((-2, -1))
