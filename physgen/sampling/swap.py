"""What an object does replaced for a while: one attribute, or its class by a subclass that looks the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from physgen.errors import InvalidArgument


def renamed_subclass(base: type, **members: Any) -> type:
    """A subclass of `base` under its name: `isinstance`, copies and saving go on working."""
    names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    return type(base.__name__, (base,), {**names, **members})


@contextmanager
def swapped_class(instance: Any, cls: type) -> Iterator[None]:
    """`instance` is of class `cls` inside."""
    original = type(instance)
    object.__setattr__(instance, "__class__", cls)  # a compiled module passes others on to what it was made of
    try:
        yield
    finally:
        object.__setattr__(instance, "__class__", original)


@contextmanager
def called_through(model: Any, wrap: Callable[[Any, Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Calls of `model` are those of ``wrap(model, its call)`` inside, around its hooks.

    ``forward`` is left alone: accelerate takes off what it finds there at the end of each pipeline call.

    >>> class Doubling:
    ...     def __call__(self, x):
    ...         return 2 * x
    >>> model = Doubling()
    >>> with called_through(model, lambda _, call: lambda x: call(x) + 1):
    ...     model(1)
    3
    """
    base = type(model)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrap(self, partial(base.__call__, self))(*args, **kwargs)

    with swapped_class(model, renamed_subclass(base, __call__=call)):
        yield


@contextmanager
def replaced(instance: Any, name: str, value: Any) -> Iterator[None]:
    """`instance` has another attribute inside, and after that what it had of its own: hooks of offloading are kept.

    >>> from types import SimpleNamespace
    >>> hooked = SimpleNamespace(forward=abs)
    >>> with replaced(hooked, "forward", str):
    ...     hooked.forward(-1)
    '-1'
    >>> hooked.forward(-1)
    1
    """
    own = {key: kept for key, kept in vars(instance).items() if key == name}
    setattr(instance, name, value)
    try:
        yield
    finally:
        delattr(instance, name)
        vars(instance).update(own)


def unguided_class(component: Any) -> type:
    """The class of a scheduler or video processor, unless a `guide` that has not been left swapped it.

    Raises:
        InvalidArgument: it is inside `guide` now.
    """
    cls = type(component)
    session = getattr(cls, "guidance_session", None)
    if session is None:
        return cls
    if session.open:
        raise InvalidArgument("pipe", cls.__name__, "pipelines that are not already inside guide(...)")
    return cls.__mro__[1]
