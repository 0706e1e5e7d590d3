"""Bytes that tensor operations read and write, counted and not timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Traffic(TorchDispatchMode):
    """Counts what every operation that touches memory reads and writes, as if no cache held anything.

    Views and allocations are free; a broadcast input counts once. ``bytes`` and ``kernels`` are the totals.

    Source: counting traffic for a roofline, Williams, Waterman and Patterson (2009), CACM 52:65.

    >>> x = torch.ones(8)
    >>> with Traffic() as traffic:
    ...     _ = (x + x).view(2, 4)
    >>> traffic.bytes, traffic.kernels
    (96, 1)
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.kernels = 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        read = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        written = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        storages = {x.untyped_storage().data_ptr() for x in read}
        aliases = bool(written) and all(x.untyped_storage().data_ptr() in storages for x in written)
        if "empty" in function.name() or (aliases and not function._schema.is_mutable):
            return result
        self.bytes += sum(map(touched, read)) + sum(map(touched, written))
        self.kernels += 1
        return result


def touched(x: Tensor) -> int:
    """Bytes of the elements of ``x`` that are not copies of each other by broadcasting."""
    sizes = (size for size, stride in zip(x.shape, x.stride(), strict=True) if stride)
    return int(torch.tensor([1, *sizes]).prod()) * x.element_size()


def bytes_per_element(work: Callable[[], object], elements: int) -> float:
    """Traffic of one call, per element of the fields."""
    with Traffic() as traffic:
        work()
    return traffic.bytes / elements
