"""As many objects as the text says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from physgen.arguments import finite, whole
from physgen.constraints.base import Constraint, check_fields
from physgen.constraints.objects.euler_number import euler_number, shown_part, smooth
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.measure.degenerate import degenerate
from physgen.tensors import single

#: an object is this part of the largest one of its frame, or more
SMALLEST = 0.1
#: how far a pixel is in an object to be of it in the hard count: a tenth of the contrast above the threshold
SURE = 0.88


class Count(Constraint):
    """Every frame shows as many bright objects as the text says.

    residual[b, s, t] = (n - clip(n, low, high)) / max(high, 1)

    n is the soft count: objects less holes of all level sets (`euler_number`) of a picture in which an object is 1 and
    the background 0, with soft edges (`shown_part`), after `smooth`. Everything is differentiated. n is no whole number
    where edges are soft, where an object is dim, or while two are merging.

    What is counted is what stands apart: objects that touch are one, an object with a hole is none (the soft count) or
    one (the hard one), and objects darker than half of the brightest contrast are not seen; give a threshold for these.
    The gradient makes dim objects brighter or darker and bridges thinner; it makes none where nothing is seen. The
    hard count, of connected pixels a tenth of the contrast above the threshold, is what `satisfied` goes by: take it
    to select videos.

    Args:
        count: how many, or (least, most).
        threshold: what is above it is an object, in the unit of the fields; half of the contrast when None.
        smoothing: how often the frames are smoothed: a standard deviation of sqrt(smoothing / 2) pixels.

    Raises:
        InvalidArgument: a count that is no whole number of 0 or more, or no two such in order; a threshold that is not
            finite.

    Source: Gray (1971), IEEE Trans. Comput. C-20:551.

    >>> y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    >>> spots = sum(torch.exp(-((y - 16) ** 2 + (x - place) ** 2) / 12) for place in (8, 24)).expand(1, 1, 3, 32, 32)
    >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    >>> [round(n, 2) for n in Count(2).soft_count(spots, grid).flatten().tolist()]
    [2.0, 2.0, 2.0]
    >>> [bool(Count(count).satisfied(spots, grid, 0.0)) for count in (2, 3, (1, 5))]
    [True, False, True]
    """

    name = "count"
    needs_amounts = True
    true_within = 0.1
    needs_constant_dt = False

    def __init__(self, count: int | Sequence[int], threshold: float | int | None = None, smoothing: int = 0) -> None:
        pair = list(count) if isinstance(count, Sequence) else [count, count]
        if isinstance(count, str) or len(pair) != 2:
            raise InvalidArgument("count", count, "a whole number, or (least, most)")
        self.low, self.high = (whole("count", number, least=0) for number in pair)
        if self.low > self.high:
            raise InvalidArgument("count", count, "a whole number, or (least, most)")
        self.threshold = None if threshold is None else finite("threshold", threshold, "None or a finite number")
        self.smoothing = whole("smoothing", smoothing, least=0)

    def residual(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B S T"]:
        """Objects too many (positive) or too few, over the highest count that is allowed.

        Raises:
            InvalidArgument: fields that are not ``[B, S, T, H, W]`` on this grid, NaN or Inf, no grid.
        """
        found = self.soft_count(fields, grid)
        return (found - found.clamp(self.low, self.high)) / max(self.high, 1)

    def soft_count(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B S T"]:
        """n, differentiable."""
        frames, wraps = self._checked(fields, grid)
        return euler_number(shown_part(frames, self.threshold), wraps).view(fields.shape[:3])

    @torch.no_grad()
    def hard_count(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Int[Tensor, "B S T"]:
        """Connected objects (by edges), a tenth of the contrast above the threshold, of 1/10 of the largest or more."""
        frames, wraps = self._checked(fields, grid)
        parts = (shown_part(frames, self.threshold) > SURE).flatten(0, 1).cpu().numpy()
        return torch.tensor([_objects(part, wraps) for part in parts], device=fields.device).view(fields.shape[:3])

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples have the right hard count in all frames but this part of them."""
        tolerance = finite("tolerance", tolerance, "a number >= 0", lambda value: value >= 0)
        found = self.hard_count(fields.detach(), grid)
        wrong = (found < self.low) | (found > self.high)
        return wrong.double().mean(2).amax(1) <= tolerance

    @torch.no_grad()
    def describe(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> dict[str, Any]:
        """``objects``: median over time of the hard count ``[B][S]``; ``abstains``: why nothing can be counted."""
        empty = [f"the fields are {why}" if why in ("empty", "uniform") else None for why in degenerate(fields)]
        return {"objects": self.hard_count(fields, grid).median(2).values.tolist(), "abstains": empty}

    def _checked(self, fields: Tensor, grid: Grid | None) -> tuple[Float[Tensor, "N T H W"], bool]:
        grid = check_fields(fields, grid, frames=1)
        if len(grid.spacing) != 2:
            raise InvalidArgument("fields", fields, "[B, S, T, H, W]")
        wraps = grid.boundary == "periodic"
        return smooth(single(fields).flatten(0, 1), self.smoothing, wraps), wraps


def _objects(part: Any, wraps: bool) -> int:
    from scipy.ndimage import label

    labels, count = label(part)
    if wraps:
        labels = _joined(labels, count)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return int((sizes > SMALLEST * sizes.max()).sum()) if count else 0


def _joined(labels: Any, count: int) -> Any:
    """Labels of which those that meet across opposite edges are one; 0 stays 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, last = np.concatenate([labels[0], labels[:, 0]]), np.concatenate([labels[-1], labels[:, -1]])
    meet = (first > 0) & (last > 0)
    ones = np.ones(int(meet.sum()))
    graph = coo_array((ones, (first[meet], last[meet])), shape=(count + 1, count + 1))
    return connected_components(graph, directed=False)[1][labels]
