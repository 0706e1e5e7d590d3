"""Functions that numba compiles, and keeps compiled where it may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from physgen.kernels.cache import cache_directory


def njit(**options: Any) -> Callable[[Any], Any]:
    """``numba.njit`` whose results are kept beside the source, else in the user's cache, else in `cache_directory`.

    numba itself has the first two, and raises where it can write to neither: a read-only package without a home.

    >>> from physgen.kernels import forward_backward
    >>> njit(nogil=True)(forward_backward.exponential.py_func)(-1.0) == forward_backward.exponential(-1.0)
    True
    """

    def compiled(function: Any) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available"
            config: Any = numba.config
            before, config.CACHE_DIR = config.CACHE_DIR, str(cache_directory())
            try:
                return numba.njit(cache=True, **options)(function)
            finally:
                config.CACHE_DIR = before

    return compiled
