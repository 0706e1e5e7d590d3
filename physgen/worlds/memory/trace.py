"""Bytes that tensors of a computation would hold, found on the meta device: no weights, no memory, no GPU."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Held:
    """Bytes of the tensors that a computation made: the most at any time, and those left at its end."""

    peak: int
    kept: int

    def extended(self, times: float) -> Held:
        """Of `times` such computations one after the other, each of which keeps what it keeps."""
        return Held(round(self.peak + (times - 1) * self.kept), round(times * self.kept))


def traced(work: Callable[[], object]) -> Held:
    """Run `work` and follow the storage of every tensor that it makes.

    What was there before, such as weights, is not counted, nor scratch memory inside operators. Attention counts as
    fused: output and log-sum-exp, no matrix of scores.

    >>> traced(lambda: torch.zeros(1 << 20, dtype=torch.uint8, device="meta")).peak >> 20
    1
    """
    storages = _Storages()
    with _fused_attention(), storages:
        result = work()
    kept = storages.held
    del result
    return Held(storages.peak, kept)


class _Storages(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self.sizes: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            self._follow(tensor, made=False)
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            self._follow(tensor, made=True)
        return result

    def _follow(self, tensor: Any, made: bool) -> None:
        if not isinstance(tensor, Tensor) or tensor.untyped_storage()._cdata in self.sizes:
            return
        storage = tensor.untyped_storage()
        self.sizes[storage._cdata] = storage.nbytes() if made else 0
        self.held += self.sizes[storage._cdata]
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._forget, storage._cdata)

    def _forget(self, key: int) -> None:
        self.held -= self.sizes.pop(key)


def _fused(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)[0]


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Without this the meta device would count the scores, which no attention on a GPU keeps."""
    attention = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = _fused
    try:
        yield
    finally:
        F.scaled_dot_product_attention = attention
