"""Activations that are made again on the way back, by the attention that made them the first time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint


def remade(function: Any, *arguments: Any, **options: Any) -> Any:
    """``function(*arguments, **options)``, whose activations are not kept.

    Source: Chen et al. (2016), Training deep nets with sublinear memory cost, arXiv:1604.06174.

    >>> import torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> remade(torch.square, x).sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """
    return checkpoint(
        function, *arguments, use_reentrant=False, preserve_rng_state=False, context_fn=_same_attention, **options
    )


class _Attention(AbstractContextManager[None]):
    """A choice of attention backends that can be entered any number of times, as ways back are."""

    def __init__(self, backends: list[SDPBackend]) -> None:
        self._backends = backends
        self._entered: list[AbstractContextManager[Any]] = []

    def __enter__(self) -> None:
        self._entered.append(sdpa_kernel(self._backends))
        self._entered[-1].__enter__()

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().__exit__(*error)


def _same_attention() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Contexts of the first run, as it is, and of the second, whose caller may have left a choice of backends."""
    allowed = {
        SDPBackend.FLASH_ATTENTION: cuda.flash_sdp_enabled(),
        SDPBackend.EFFICIENT_ATTENTION: cuda.mem_efficient_sdp_enabled(),
        SDPBackend.MATH: cuda.math_sdp_enabled(),
        SDPBackend.CUDNN_ATTENTION: cuda.cudnn_sdp_enabled(),
    }
    return nullcontext(), _Attention([backend for backend, on in allowed.items() if on])
