"""Linear least squares under bounds, in any units."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


def bounded_least_squares(
    columns: Float64[np.ndarray, "N P"],
    target: Float64[np.ndarray, "N"],
    low: Float64[np.ndarray, "P"],
    high: Float64[np.ndarray, "P"],
) -> Float64[np.ndarray, "P"]:
    """Argmin |X p - y|^2 over low <= p <= high.

    Solved for columns and target of length 1, since scipy stops at a gradient that is small absolutely.

    Source: Stark and Parker (1995), Computational Statistics 10:129.

    >>> columns, target = 1e-9 * np.array([[1.0, 1.0], [0.0, 1.0]]), 1e-9 * np.array([3.0, 2.0])
    >>> bounded_least_squares(columns, target, np.zeros(2), np.array([9.0, 1.0])).round(9).tolist()
    [2.0, 1.0]
    """
    from scipy.optimize import lsq_linear

    lengths, length = np.linalg.norm(columns, axis=0), float(np.linalg.norm(target)) or 1.0
    lengths = np.where(lengths > 0, lengths, 1.0)
    unit = length / lengths
    return lsq_linear(columns / lengths, target / length, (low / unit, high / unit), method="bvls").x * unit
