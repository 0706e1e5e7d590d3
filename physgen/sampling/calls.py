"""How networks of diffusers are called: latents first or by name, and a tuple or a record back, its output first."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def split_latents(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """The latents of a call, and its other arguments.

    >>> import torch
    >>> split_latents((), {"hidden_states": torch.ones(1), "timestep": 999})
    (tensor([1.]), (), {'timestep': 999})
    """
    if args:
        return args[0], args[1:], kwargs
    name = "sample" if "sample" in kwargs else "hidden_states"
    return kwargs[name], (), {key: value for key, value in kwargs.items() if key != name}


def with_output(result: Any, output: Tensor) -> Any:
    """What a call gave, with another output in the place of its own.

    >>> import torch
    >>> with_output((torch.zeros(1), "more"), torch.ones(1))
    (tensor([1.]), 'more')
    """
    if isinstance(result, tuple):
        return (output, *result[1:])
    result.sample = output
    return result
