"""Whether a movie shows one cell at all, before anything is said of its phases."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.measure.cells import count_objects
from physgen.measure.degenerate import degenerate

#: share of the frames that must show several objects: daughters are two only at the end
MOST_FRAMES = 0.75


@torch.no_grad()
def abstention(chromatin: Float[Tensor, "B T H W"]) -> list[str | None]:
    """Why the phases of a sample mean nothing: ``nothing`` or ``several cells`` is shown; None for one cell.

    - ``nothing``: the brightness spreads no more than noise does, see `physgen.measure.degenerate`;
    - ``several cells``: two or more objects in three quarters of the frames.

    >>> abstention(torch.rand(1, 5, 64, 64, generator=torch.Generator().manual_seed(0)))
    ['nothing']
    """
    return [_why(sample) for sample in chromatin]


def _why(chromatin: Float[Tensor, "T H W"]) -> str | None:
    if degenerate(chromatin[None, None])[0] in ("empty", "uniform"):
        return "nothing"
    counts = torch.tensor(count_objects(chromatin.double().cpu().numpy()))
    return "several cells" if (counts > 1).double().mean() >= MOST_FRAMES else None
