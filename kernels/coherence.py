"""Power that carried patterns explain, on a CPU. Imports numba: to be imported when it is needed."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

from physgen.kernels.compiled import njit

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}


@njit(**OPTIONS)
@no_type_check
def explained(modes, waves, speed, background, least, power, start, stop):
    """Fill power ``[R, C]`` of rows start to stop: sum over waves and species of |<m, F>|^2 / |m|^2.

    modes ``[K, R, S, T]``, waves ``[K]``, speed ``[R, C]``;  m = exp(-i k v t), without its mean where there is a
    background, and where that leaves less than ``least`` of its power, nothing
    """
    count, _, species, frames = modes.shape
    pattern = np.empty(frames, np.complex128)
    for r in range(start, stop):
        for c in range(speed.shape[1]):
            total = 0.0
            for k in range(count):
                angle = waves[k] * speed[r, c]
                turn = complex(math.cos(angle), -math.sin(angle))
                one, mean = 1 + 0j, 0j
                for t in range(frames):
                    pattern[t] = one
                    mean += one
                    one *= turn
                size = float(frames)
                if background:
                    mean /= frames
                    size = 0.0
                    for t in range(frames):
                        pattern[t] -= mean
                        size += pattern[t].real ** 2 + pattern[t].imag ** 2
                    if size <= least:
                        continue
                for s in range(species):
                    real = imaginary = 0.0
                    for t in range(frames):
                        m, f = pattern[t], modes[k, r, s, t]
                        real += m.real * f.real + m.imag * f.imag
                        imaginary += m.real * f.imag - m.imag * f.real
                    total += (real * real + imaginary * imaginary) / size
            power[r, c] = total
