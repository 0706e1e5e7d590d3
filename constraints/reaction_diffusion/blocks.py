"""Blocks of space, within which residuals may depend on each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

#: cells along each axis of a block
BLOCK = 4


def blocks_of(space: Sequence[int]) -> Int64[np.ndarray, "N"]:
    """The block that each cell of a space is in, flat.

    >>> blocks_of((5,)).tolist(), blocks_of((2, 8)).tolist()
    ([0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
    """
    shape = [-(-cells // BLOCK) for cells in space]
    indices = np.meshgrid(*(np.arange(cells) // BLOCK for cells in space), indexing="ij")
    return np.ravel_multi_index(indices, shape).ravel()
