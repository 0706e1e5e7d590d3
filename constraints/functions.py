"""Constraints on plain tensors, written as a function."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from physgen.arguments import floating, function
from physgen.constraints.base import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid

Function = Callable[[Tensor], Tensor]


class Equality(Constraint):
    """fn(x) = 0.

    residual = fn(x)

    Args:
        fn: from samples ``[B, ...]`` to values ``[B, ...]``, differentiable; each sample by itself, and best of order
            one: tolerances are about 1e-6.
        name: what reports call it.

    Raises:
        InvalidArgument: in use, a function that does not give floating-point values of every sample.

    Source: the contract of this package.

    >>> import torch
    >>> Equality(lambda x: x.sum(1) - 1.0).loss(torch.tensor([[0.5, 0.5], [2.0, 1.0]]), None).tolist()
    [0.0, 2.0]
    """

    name = "equality"
    needs_constant_dt = False

    def __init__(self, fn: Function, name: str | None = None) -> None:
        self.fn = function("fn", fn, "a function of samples [B, ...]")
        if name is not None:
            self.name = name

    def residual(self, fields: Float[Tensor, "B ..."], grid: Grid | None = None) -> Float[Tensor, "B ..."]:
        """``fn(fields)``, at least one value of each sample; ``grid`` plays no part."""
        allowed = f"[{len(fields)}, ...], values of samples {list(fields.shape)}"
        values = floating("fn", self.fn(fields), allowed)
        if values.ndim < 1 or len(values) != len(fields):
            raise InvalidArgument("fn", values, f"floating point {allowed}")
        return values.reshape(len(fields), -1)


class Inequality(Equality):
    """fn(x) <= 0.

    residual = fn(x), of which the positive part is the violation

    Args:
        fn: as of `Equality`.
        name: what reports call it.

    Raises:
        InvalidArgument: as `Equality`.

    Source: the contract of this package.

    >>> import torch
    >>> Inequality(lambda x: x - 1.0).loss(torch.tensor([[0.5, 0.5], [3.0, 1.0]]), None).tolist()
    [0.0, 2.0]
    """

    name, kind = "inequality", "inequality"
