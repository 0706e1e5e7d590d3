"""Cubic convolution of frames at places between their pixels, on a CPU. Imports numba: to be imported when needed."""

from __future__ import annotations

import math
from typing import no_type_check

import numba
import numpy as np

from physgen.kernels.compiled import njit

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}


@numba.njit(inline="always", **OPTIONS)
@no_type_check
def weights(f, half):
    """Of the pixels at -1, 0, 1 and 2 for a place f from the one at 0, and their derivatives; half is 1/2."""
    two = f * f
    three = two * f
    return (
        half * (two + two - three - f),
        half * (three + three + three - 5 * two) + half + half,
        half * (4 * two - three - three - three + f),
        half * (three - two),
        half * (4 * f - 3 * two) - half,
        half * (9 * two - 10 * f),
        half * (8 * f - 9 * two) + half,
        half * (two + two + two - f - f),
    )


@numba.njit(inline="always", **OPTIONS)
@no_type_check
def near(first, size, wraps):
    """Four indices along an axis."""
    if first >= 1 and first + 2 < size:
        return first - 1, first, first + 1, first + 2
    if wraps:
        return (first - 1) % size, first % size, (first + 1) % size, (first + 2) % size
    last = size - 1
    return (
        min(max(first - 1, 0), last),
        min(max(first, 0), last),
        min(max(first + 1, 0), last),
        min(max(first + 2, 0), last),
    )


@njit(**OPTIONS)
@no_type_check
def cubic(frames, places, wraps, values, slopes, start, stop):
    """Fill values ``[N, S, H, W]`` and slopes ``[N, 2, S, H, W]`` of frames at places ``[N, 2, H, W]``."""
    species, height, width = frames.shape[1:]
    constant = np.full(1, 0.5, frames.dtype)
    half = constant[0]
    for n in range(start, stop):
        for i in range(height):
            for j in range(width):
                y, x = places[n, 0, i, j], places[n, 1, i, j]
                below, left = math.floor(y), math.floor(x)
                y0, y1, y2, y3, v0, v1, v2, v3 = weights(y - below, half)
                x0, x1, x2, x3, u0, u1, u2, u3 = weights(x - left, half)
                rows = near(int(below), height, wraps)
                c0, c1, c2, c3 = near(int(left), width, wraps)
                for s in range(species):
                    frame = frames[n, s]
                    a, b, c, d = frame[rows[0]], frame[rows[1]], frame[rows[2]], frame[rows[3]]
                    line_a = x0 * a[c0] + x1 * a[c1] + x2 * a[c2] + x3 * a[c3]
                    line_b = x0 * b[c0] + x1 * b[c1] + x2 * b[c2] + x3 * b[c3]
                    line_c = x0 * c[c0] + x1 * c[c1] + x2 * c[c2] + x3 * c[c3]
                    line_d = x0 * d[c0] + x1 * d[c1] + x2 * d[c2] + x3 * d[c3]
                    slope_a = u0 * a[c0] + u1 * a[c1] + u2 * a[c2] + u3 * a[c3]
                    slope_b = u0 * b[c0] + u1 * b[c1] + u2 * b[c2] + u3 * b[c3]
                    slope_c = u0 * c[c0] + u1 * c[c1] + u2 * c[c2] + u3 * c[c3]
                    slope_d = u0 * d[c0] + u1 * d[c1] + u2 * d[c2] + u3 * d[c3]
                    values[n, s, i, j] = y0 * line_a + y1 * line_b + y2 * line_c + y3 * line_d
                    slopes[n, 0, s, i, j] = v0 * line_a + v1 * line_b + v2 * line_c + v3 * line_d
                    slopes[n, 1, s, i, j] = y0 * slope_a + y1 * slope_b + y2 * slope_c + y3 * slope_d


@njit(**OPTIONS)
@no_type_check
def cubic_back(of_values, of_slopes, places, wraps, frames, start, stop):
    """Add to frames what gradients of values and slopes make of them: the transpose of `cubic`."""
    species, height, width = frames.shape[1:]
    constant = np.full(1, 0.5, frames.dtype)
    half = constant[0]
    for n in range(start, stop):
        for i in range(height):
            for j in range(width):
                y, x = places[n, 0, i, j], places[n, 1, i, j]
                below, left = math.floor(y), math.floor(x)
                along_y, along_x = weights(y - below, half), weights(x - left, half)
                rows, columns = near(int(below), height, wraps), near(int(left), width, wraps)
                for s in range(species):
                    value, slope_y, slope_x = of_values[n, s, i, j], of_slopes[n, 0, s, i, j], of_slopes[n, 1, s, i, j]
                    for k in range(4):
                        line = frames[n, s, rows[k]]
                        across, slope = along_y[k] * value + along_y[k + 4] * slope_y, along_y[k] * slope_x
                        for m in range(4):
                            line[columns[m]] += along_x[m] * across + along_x[m + 4] * slope
