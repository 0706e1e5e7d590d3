"""Errors that name the argument, the value got and the values allowed; failures that no argument is to blame for."""

from __future__ import annotations

#: characters of a value that a message shows
LONGEST = 200


class PhysgenError(Exception):
    """What physgen raises on purpose."""


class InvalidArgument(PhysgenError, ValueError):
    """An argument outside its allowed values.

    Message, one line: `name=got: allowed: allowed`, of an array its dtype and shape in place of its values.

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
        return f"{self.name}={_shown(self.got)}: allowed: {self.allowed}"


class Contradiction(InvalidArgument):
    """Equalities that cannot hold together, in no sample of a batch."""


class NoSolution(PhysgenError, ArithmeticError):
    """Nothing near a sample satisfies a constraint: the sample is beyond help, the call is right.

    Message: `subject: problem; needed: what would have a solution`.

    >>> raise NoSolution("fields", "no trajectory nearby", "fields near which the law does not blow up")
    Traceback (most recent call last):
    physgen.errors.NoSolution: fields: no trajectory nearby; needed: fields near which the law does not blow up
    """

    def __init__(self, subject: str, problem: str, needed: str) -> None:
        super().__init__(subject, problem, needed)
        self.subject = subject
        self.problem = problem
        self.needed = needed

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}; needed: {self.needed}"


class ModelFailure(PhysgenError, ArithmeticError):
    """A model that predicts NaN or infinity for every sample: no argument of the caller's is wrong."""


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


def _shown(got: object) -> str:
    shape, dtype = getattr(got, "shape", None), getattr(got, "dtype", None)
    if isinstance(shape, tuple) and shape and dtype is not None:
        return f"{dtype} {tuple(shape)}"
    text = " ".join(repr(got).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
