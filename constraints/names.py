"""Laws by name: the key of a law in logs, certificates, metrics and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from physgen.arguments import instance
from physgen.constraints.base import Constraint
from physgen.errors import InvalidArgument

#: laws by name, laws that have names of their own, or a single one
Laws = Mapping[str, Constraint] | Iterable[Constraint] | Constraint


def name_laws(laws: Laws) -> dict[str, Constraint]:
    """Laws by the names that they are given, or by their own.

    Raises:
        InvalidArgument: no law, something else than a law (a class, for one), or two of the same name.

    >>> from physgen.constraints import MassConservation
    >>> list(name_laws([MassConservation()])), list(name_laws({"dye": MassConservation()}))
    (['mass'], ['dye'])
    >>> name_laws([MassConservation(), MassConservation()])
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: constraints='two of the name mass': allowed: names that differ: ...
    """
    pairs = _pairs(laws)
    if not pairs:
        raise InvalidArgument("constraints", laws, "one or more constraints")
    for name, law in pairs:
        allowed = f"a Constraint as {name}" if isinstance(laws, Mapping) else "a Constraint, MassConservation() for one"
        instance("constraints", law, Constraint, allowed)
    named = dict(pairs)
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        remedy = f'names that differ: {{"{twice}": ..., "{twice} of the nucleus": ...}} in place of a list'
        raise InvalidArgument("constraints", f"two of the name {twice}", remedy)
    return named


def _pairs(laws: Any) -> list[tuple[str, Any]]:
    if isinstance(laws, Mapping):
        return [(str(name), law) for name, law in laws.items()]
    if isinstance(laws, Iterable) and not isinstance(laws, str):
        return [(str(getattr(law, "name", law)), law) for law in laws]
    return [(str(getattr(laws, "name", "it")), laws)]
