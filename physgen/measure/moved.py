"""Whether what was taken off as standing still is that: things must go by several lengths of their texture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

#: lengths of the texture that things go by in a movie, below which their mean is not what stands still; the difference
#: of two speeds, as a part of one, from which they disagree; and part of the change that frames as they are must then
#: explain
LENGTHS, DISAGREE, MOST = 4.0, 0.1, 0.7
#: part of the change explained, below which nothing is
USELESS = 0.03


def texture_length(seen: Values) -> float:
    """Length of what is seen along the last axes of ``[T, ...]``, in their steps: that in which it changes by itself.

    l = sqrt(<(k - <k>)^2> / <(dk/dx)^2>)

    >>> wave = np.sin(2 * np.pi * np.arange(200.0) / 20)[None]
    >>> round(texture_length(wave) * 2 * np.pi)
    20
    """
    slopes = [np.gradient(seen, axis=axis) for axis in range(1, seen.ndim)]
    steep = float(np.mean([(slope**2).mean() for slope in slopes]))
    spread = seen - seen.mean(tuple(range(1, seen.ndim)), keepdims=True)
    return float(np.sqrt((spread**2).mean() / max(steep, 1e-300)))


def cannot_tell(goes: float, needed: float) -> str:
    """The reason, of px that things go by in all frames and px that are needed."""
    return (
        f"what moves cannot be told from what stands still: it goes by {goes:.1f} px in all frames, "
        f"and {needed:.1f} px are needed"
    )
