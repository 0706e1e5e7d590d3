"""A device that is not the CPU, for machines that have none: tensors that say so, whose numbers the CPU computes.

Within `elsewhere` a tensor goes there with ``.to(DEVICE)`` and back with ``.cpu()``. What fails on a GPU fails here:
an operator that is given tensors of both places (but numbers, and indices), ``.numpy()`` of a tensor that is elsewhere,
a generator of the CPU for noise elsewhere. Fake tensors of torch see the same, but have no numbers, and laws decide by
numbers: whether a step is accepted, whether a search has ended.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

#: torch has no other name for a device whose gradients it computes without that device's runtime
DEVICE = torch.device("meta")
#: operators whose second argument, indices, may be of the CPU, and that which copies from anywhere
INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}
COPYING = {torch.ops.aten.copy_, torch.ops.aten._to_copy}


class Far(Tensor):
    """A tensor elsewhere; ``near`` has its numbers."""

    near: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, near: Tensor) -> "Far":
        """Of the shape and strides of ``near``, without memory of its own."""
        near = near.resolve_conj().resolve_neg()
        far = Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, device=DEVICE
        )
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _computed(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_indices(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_indices(index), value)

    def __format__(self, spec: str) -> str:
        return format(self.cpu(), spec)

    def new_tensor(self, data: Any, **options: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, **{"dtype": self.dtype, "device": DEVICE, **options})


@contextmanager
def elsewhere() -> Iterator[None]:
    """Tensors can be made at `DEVICE` and moved there."""
    with ExitStack() as stack:
        stack.enter_context(_Dispatched())
        for name, here in (("tensor", _made), ("as_tensor", _made), ("autocast", _cast)):
            stack.enter_context(patch(f"torch.{name}", here(getattr(torch, name))))
        yield


def _indices(index: Any) -> Any:
    """An index whose lists are tensors."""
    each = index if isinstance(index, tuple) else (index,)
    return tuple(torch.tensor(x) if isinstance(x, list | range) else x for x in each)


def _made(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``torch.tensor``, which makes tensors of `DEVICE` without numbers."""

    def made(data: Any, **options: Any) -> Tensor:
        device = options.pop("device", None)
        found = make(data, **options)
        return found if device is None else found.to(device)

    return made


def _cast(autocast: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.autocast``, which does not know `DEVICE`."""
    return lambda kind, **options: autocast("cpu" if kind == DEVICE.type else kind, **options)


class _Dispatched(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    far = any(isinstance(x, Far) for x in tensors)
    asked = kwargs.get("device")
    if far and func.overloadpacket not in COPYING:
        together = tree_leaves((args[0], args[2:])) if func.overloadpacket in INDEXING else tensors
        indices = tree_leaves(args[1]) if func.overloadpacket in INDEXING else []
        mixed = [x for x in together if isinstance(x, Tensor) and not isinstance(x, Far) and x.ndim]
        if mixed or (any(isinstance(x, Far) for x in indices) and not isinstance(args[0], Far)):
            raise RuntimeError(f"{func}: tensors of two devices")
    if asked is not None:
        far = torch.device(asked) == DEVICE
        kwargs = {**kwargs, "device": "cpu"}
        if far and kwargs.get("generator") is not None:
            raise RuntimeError(f"{func}: a generator of another device")
    args, kwargs = tree_map_only(Far, lambda x: x.near, (args, kwargs))
    found = func(*args, **kwargs)
    return tree_map_only(Tensor, Far, found) if far else found
