"""Tensors that autograd can use, though they were made under `torch.inference_mode`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map


def make_ordinary(thing: Any) -> None:
    """Copy the tensors of a model, an observable or a law that were made under `torch.inference_mode`.

    They keep their values and may be used in a computation that is differentiated; autograd refuses the others. The
    weights of a model are copied one after the other.

    >>> with torch.inference_mode():
    ...     model = nn.Linear(1, 1)
    >>> make_ordinary(model)
    >>> any(weight.is_inference() for weight in model.parameters())
    False
    """
    if isinstance(thing, nn.Module):
        _copy_weights(thing)
    elif hasattr(thing, "__dict__"):
        vars(thing).update(ordinary(vars(thing)))


def ordinary(values: Any) -> Any:
    """Tensors in tuples, lists and dictionaries, those that were made under `torch.inference_mode` copied."""
    return tree_map(_ordinary, values)


def _ordinary(value: Any) -> Any:
    if isinstance(value, nn.Module):
        _copy_weights(value)
    return _copied(value) if isinstance(value, Tensor) and value.is_inference() else value


def _copy_weights(model: nn.Module) -> None:
    copies: dict[int, Tensor] = {}  # of weights that two layers share, one
    for module in model.modules():
        stores: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for weights in stores:
            for name, weight in weights.items():
                if weight is not None and weight.is_inference():
                    if id(weight) not in copies:
                        copies[id(weight)] = _copied(weight)
                    weights[name] = copies[id(weight)]


def _copied(value: Tensor) -> Tensor:
    with torch.inference_mode(False):
        copy = value.detach().clone()
        return nn.Parameter(copy, value.requires_grad) if isinstance(value, nn.Parameter) else copy
