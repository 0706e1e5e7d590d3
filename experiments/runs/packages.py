"""Packages that physgen does not need, and some of its options do."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from physgen.errors import InvalidArgument


def required(module: str, argument: str, package: str, *, install: str | None = None) -> ModuleType:
    """Import a module for an option; ``install`` is what pip installs, the package itself where it is not given.

    Raises: InvalidArgument when it is not installed.

    >>> required("json", "tracker", "json").__name__
    'json'
    >>> required("json.nowhere", "results", "nowhere", install="physgen[sweep]")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: results='nowhere': allowed: an installed package: pip install physgen[sweep]
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InvalidArgument(argument, package, f"an installed package: pip install {install or package}") from error
