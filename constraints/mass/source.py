"""What is made in place: a function of the fields."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from physgen.arguments import floating, function
from physgen.errors import InvalidArgument

#: from fields ``[B, S, T, *space]`` to what is made per second, in their unit, broadcasting to them
Source = Callable[[Tensor], Tensor]


def read_source(source: Source) -> Source:
    """The source, once it is a function."""
    return function("source", source, "a function of the fields [B, S, T, *space]")


def production(source: Source, fields: Float[Tensor, "B S T *space"]) -> Float[Tensor, "B S T *space"]:
    """The source at ``fields``, ``unit``/s in each cell and frame, on their device.

    Raises:
        InvalidArgument: a source that does not broadcast to the fields, or is not finite.

    >>> import torch
    >>> production(lambda c: 1 - c[:, :1], torch.full((1, 2, 1, 1), 0.25)).flatten().tolist()
    [0.75, 0.75]
    """
    made = floating("source", source(fields), f"that broadcasts to {tuple(fields.shape)}")
    broadcasts = made.ndim <= fields.ndim and all(
        size in (1, whole) for size, whole in zip(made.shape[::-1], fields.shape[::-1], strict=False)
    )
    if not broadcasts or not bool(made.detach().isfinite().all()):
        allowed = f"finite values that broadcast to {tuple(fields.shape)}"
        raise InvalidArgument("source", f"{made.dtype} {tuple(made.shape)}", allowed)
    return made.to(fields.device).expand_as(fields)
