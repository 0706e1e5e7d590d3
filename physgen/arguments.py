"""Arguments as they are meant, or one clear error."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.errors import InvalidArgument

T = TypeVar("T")


def finite(name: str, got: Any, allowed: str, accept: Callable[[float], bool] = math.isfinite) -> float:
    """``got`` as a finite float that ``accept`` holds of, else `InvalidArgument`.

    >>> finite("dt", 2, "a number > 0", lambda value: value > 0)
    2.0
    """
    try:
        value = float(got)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        value = math.nan
    if not (math.isfinite(value) and accept(value)):
        raise InvalidArgument(name, got, allowed)
    return value


def finite_tensor(name: str, got: Any, allowed: str) -> Float64[Tensor, "..."]:
    """``got``, numbers in lists or a tensor, as a tensor of finite values, else `InvalidArgument`.

    >>> finite_tensor("velocity", (1, 2), "one per axis").tolist()
    [1.0, 2.0]
    """
    try:
        values = torch.as_tensor(got, dtype=torch.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        values = torch.tensor(torch.nan)
    if not bool(values.isfinite().all()):
        raise InvalidArgument(name, got, allowed)
    return values


def whole(name: str, got: Any, least: int = 1) -> int:
    """``got`` as a whole number of ``least`` or more, else `InvalidArgument`; a fraction is none, nor is a truth value.

    >>> whole("steps", 1.5)
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: steps=1.5: allowed: a whole number, 1 or more
    """
    try:
        value = least - 1 if isinstance(got, bool) else operator.index(got)
    except TypeError:
        value = least - 1
    if value < least:
        raise InvalidArgument(name, got, f"a whole number, {least} or more")
    return value


def interval(name: str, got: Any) -> tuple[float, float]:
    """``got`` as lowest and highest value, which may be infinite, else `InvalidArgument`.

    >>> interval("bounds", (1, 0))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: bounds=(1, 0): allowed: (lowest, highest)
    """
    try:
        low, high = map(float, got)
    except (TypeError, ValueError, OverflowError):
        low, high = math.nan, math.nan
    if not low < high:
        raise InvalidArgument(name, got, "(lowest, highest)")
    return low, high


def instance(name: str, got: Any, kind: type[T], allowed: str) -> T:
    """``got``, once it is an instance of ``kind`` and not a class, else `InvalidArgument`.

    >>> instance("grid", dict, dict, "a mapping")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: grid=<class 'dict'>: allowed: a mapping; dict(...) makes one
    """
    if isinstance(got, kind):
        return got
    made = f"; {got.__name__}(...) makes one" if isinstance(got, type) and issubclass(got, kind) else ""
    raise InvalidArgument(name, got, allowed + made)


def floating(name: str, got: Any, allowed: str) -> Tensor:
    """``got``, once it is a tensor of floating point, else `InvalidArgument`.

    >>> floating("fields", torch.ones(2, dtype=torch.uint8), "[B, S, T, *space]")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: fields=torch.uint8 (2,): allowed: floating point [B, S, T, *space]
    """
    if not isinstance(got, Tensor):
        raise InvalidArgument(name, got, f"a torch.Tensor, floating point {allowed}")
    if not got.is_floating_point():
        raise InvalidArgument(name, got, f"floating point {allowed}")
    return got


def function(name: str, got: Any, allowed: str) -> Any:
    """``got``, once it can be called and is no class, else `InvalidArgument`.

    >>> function("source", 3, "a function of the fields")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: source=3: allowed: a function of the fields
    """
    if not callable(got) or isinstance(got, type):
        raise InvalidArgument(name, got, allowed)
    return got
