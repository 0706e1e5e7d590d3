"""Errors that name the argument, the value got and the values allowed."""

from __future__ import annotations


class InvalidArgument(ValueError):
    """An argument outside its allowed values.

    Message: `name=got: allowed: allowed`.

    >>> raise InvalidArgument("boundary", "wall", "no-flux, periodic")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: boundary='wall': allowed: no-flux, periodic
    """

    def __init__(self, name: str, got: object, allowed: object) -> None:
        super().__init__(name, got, allowed)
        self.name = name
        self.got = got
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.name}={self.got!r}: allowed: {self.allowed}"


class NoSolution(InvalidArgument):
    """Nothing near an argument satisfies a constraint: a sample that is beyond help, not a mistake in the call."""


class Contradiction(InvalidArgument):
    """Equalities that cannot hold together, in no sample of a batch."""


def invalid_argument(error: BaseException | None) -> InvalidArgument | None:
    """The `InvalidArgument` that a library wrapped in an error of its own, if it did.

    >>> try:
    ...     try:
    ...         raise InvalidArgument("dt", 0, "> 0")
    ...     except InvalidArgument as inner:
    ...         raise RuntimeError from inner
    ... except RuntimeError as outer:
    ...     print(invalid_argument(outer))
    dt=0: allowed: > 0
    """
    while error is not None and not isinstance(error, InvalidArgument):
        error = error.__cause__ or error.__context__
    return error
