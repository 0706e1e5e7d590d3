"""From an entry with a ``_target_`` to what it describes."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from traceback import extract_tb
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.cli.search import own_folders


def build(kind: type, spec: Any, *args: Any) -> Any:
    """Call the class named by ``_target_``, which must be of a kind, with the other entries as keywords.

    Raises:
        InvalidArgument: a path that is not that of such a class: whatever else it names is not called. A module that
            fails when it is imported. Arguments that the class does not take, or that are missing, or of a wrong type.

    >>> from physgen.constraints import Constraint
    >>> build(Constraint, {"_target_": "os.system", "command": "true"})
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: _target_='os.system': allowed: import path of a Constraint
    """
    if not isinstance(spec, Mapping) or "_target_" not in spec:
        allowed = "a mapping with _target_; a YAML in constraint/ begins with the line '# @package constraint.NAME'"
        raise InvalidArgument(f"{_place(kind, str(spec))}{kind.__name__.lower()}", spec, allowed)
    target = str(spec["_target_"])
    cls = find_class(kind, target)
    given = {str(key): value for key, value in spec.items() if key != "_target_"}
    _check_arguments(kind, cls, target, args, given)
    try:
        return cls(*args, **given)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"{_place(kind, target)}arguments of {cls.__name__}", given, error) from error


def find_class(kind: type, target: str) -> type:
    """The class of a kind that an import path names; modules may lie in the user's folders.

    Raises: InvalidArgument.
    """
    sys.path += [str(folder) for folder in own_folders() if str(folder) not in sys.path]
    module, _, name = target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name, None) if module else None
    except Exception as error:  # whatever a module of the user's raises
        cls = None
        if not isinstance(error, ModuleNotFoundError) or not f"{module}.".startswith(f"{error.name}."):
            raise InvalidArgument(f"{_place(kind, target)}_target_", target, _raised(error)) from error
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise InvalidArgument(f"{_place(kind, target)}_target_", target, f"import path of a {kind.__name__}")
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise InvalidArgument(f"{_place(kind, target)}_target_", target, f"a {kind.__name__} with {missing}")
    return cls


def _check_arguments(kind: type, cls: type, target: str, args: tuple[Any, ...], given: dict[str, Any]) -> None:
    signature = inspect.signature(cls)
    free = list(signature.parameters.values())[len(args) :]
    names = [one.name for one in free if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    for key in given:
        if key not in names and all(one.kind is not one.VAR_KEYWORD for one in free):
            raise one_of(f"{_place(kind, target, key)}argument of {cls.__name__}", key, names)
    try:
        signature.bind(*args, **given)
    except TypeError as error:
        allowed = f"{cls.__name__}{signature} ({error})"
        raise InvalidArgument(f"{_place(kind, target)}arguments of {cls.__name__}", sorted(given), allowed) from error


def _raised(error: Exception) -> str:
    """Where a module that cannot be imported fails: in a file of the user's, if one is on the way."""
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
    else:
        frames = extract_tb(error.__traceback__)
        own = [frame for frame in frames if any(Path(frame.filename).is_relative_to(one) for one in own_folders())]
        where = f"{(own or frames)[-1].filename}:{(own or frames)[-1].lineno}"
    return f"a module that can be imported ({where}: {type(error).__name__}: {error})"


def _place(kind: type, target: str, argument: str | None = None) -> str:
    """``FILE:LINE:`` of the user's YAML that names a class, or of an argument in it; nothing where none does.

    Files in the folder of the kind, ``constraint/`` for a Constraint, come first.
    """
    for folder in own_folders():
        for file in sorted(folder.glob("*/*.yaml"), key=lambda path: path.parent.name != kind.__name__.lower()):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            named = [n for n, line in enumerate(lines) if line.split("#")[0].split() == ["_target_:", target]]
            if named:
                wanted = [n for n, line in enumerate(lines) if argument and line.strip().startswith(f"{argument}:")]
                return f"{file}:{(wanted or named)[0] + 1}: "
    return ""
