"""Noise levels."""

from __future__ import annotations


def levels(steps: int, shift: float = 1.0) -> list[float]:
    """Noise levels from 1 to 0: s = u / (u + (1 - u) / shift), u even; a shift below 1 puts more at low noise.

    Source: Esser et al., arXiv:2403.03206.

    >>> levels(4), [round(level, 2) for level in levels(4, 0.5)]
    ([1.0, 0.75, 0.5, 0.25, 0.0], [1.0, 0.6, 0.33, 0.14, 0.0])
    """
    return [u / (u + (1 - u) / shift) for u in (1 - step / steps for step in range(steps + 1))]
