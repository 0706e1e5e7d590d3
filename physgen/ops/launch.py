"""What the operators share: threads, and the gradient of a loss that was computed with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def in_threads(work: Callable[[int, int], object], jobs: int) -> None:
    """Run ``work(first, last)`` over ``jobs`` in as many threads as torch has; ``work`` must release the GIL.

    Threads end with the call, so that a process may fork afterwards.

    >>> done = []
    >>> in_threads(lambda first, last: done.extend(range(first, last)), 5)
    >>> sorted(done)
    [0, 1, 2, 3, 4]
    """
    count = min(torch.get_num_threads(), jobs)
    if count < 2:
        work(0, jobs)
        return
    edges = [jobs * i // count for i in range(count + 1)]
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


def scaled(gradient: Tensor, factor: Tensor) -> Tensor:
    """``gradient [B, ...]`` times ``factor [B]``; on a CPU without a copy where every factor is 1."""
    eager = type(factor) is Tensor and not torch.compiler.is_compiling()
    if eager and factor.device.type == "cpu" and bool((factor == 1).all()):
        return gradient
    return gradient * factor.to(gradient.dtype).view(-1, *[1] * (gradient.ndim - 1))
