"""Frames that are moved by parts of a pixel, as those of a camera that trembles."""

from __future__ import annotations

import torch
from jaxtyping import Float
from scipy.ndimage import shift, spline_filter
from torch import Tensor


def displaced(video: Float[Tensor, "C T H W"], moves: Float[Tensor, "T 2"]) -> Float[Tensor, "C T H W"]:
    """Every frame moved by its ``(dy, dx)`` in pixels; cubic splines, edges mirrored.

    >>> video = torch.arange(8.0).expand(1, 1, 4, 8)
    >>> displaced(video, torch.tensor([[0.0, 1.0]]))[0, 0, 0, 2:6].round(decimals=3).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    moved = torch.empty_like(video)
    for channel, frames in enumerate(video.numpy()):
        for time, frame in enumerate(frames):
            knots = spline_filter(frame, mode="mirror")
            found = shift(knots, moves[time].tolist(), mode="mirror", prefilter=False)
            moved[channel, time] = torch.from_numpy(found)
    return moved
