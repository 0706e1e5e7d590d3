"""What a law of flow wants of the embedded world's videos: guidance from early on, and all colours projected."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import NoSolution
from physgen.grid import Grid

#: schedule of guidance: a flow is read from frames that agree, so these must agree early
START, EVERY = 0.2, 1

Video = Float[Tensor, "1 3 T H W"]


@torch.no_grad()
def project_colours(video: Video, transport: Constraint, grid: Grid) -> tuple[Video, bool]:
    """The nearest steady flow of the three colours, in [0, 1], and whether there is one: else the video itself.

    A field that is read from the colours and put back would leave what it does not show where it was.
    """
    try:
        return transport.project(video.double(), grid).clamp(0, 1).float(), True
    except NoSolution:
        return video, False
