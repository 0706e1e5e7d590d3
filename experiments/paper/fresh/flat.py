"""Numbers of JSON files by their place, so that two files are compared number by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from physgen.experiments.measure.intervals import Interval

Value = float | Interval
BOUNDS = ("estimate", "low", "high")


def flat(tree: Any, match: Sequence[str], place: str = "") -> dict[str, Value]:
    """Numbers and intervals by place; records of a list are told apart by some keys, and by their order where equal.

    A text of zeros and ones is as many numbers.

    >>> flat({"a": {"b": 1}, "right": "01"}, ())
    {'a.b': 1.0, 'right.0': 0.0, 'right.1': 1.0}
    >>> flat([{"arm": "DPS", "rmse": 0.5}, {"arm": "DPS", "rmse": 0.7}], ["arm"])
    {'DPS.rmse': 0.5, 'DPS 2.rmse': 0.7}
    """
    if isinstance(tree, Mapping):
        if all(isinstance(tree.get(key), int | float) for key in BOUNDS):
            return {place: Interval(*(float(tree[key]) for key in BOUNDS))}
        parts = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list):
        parts = _named(tree, match)
    elif isinstance(tree, str) and set(tree) <= set("01"):
        parts = [(str(index), int(digit)) for index, digit in enumerate(tree)]
    elif isinstance(tree, bool | int | float):
        return {place: float(tree)}
    else:
        return {}
    return {
        where: number
        for key, value in parts
        for where, number in flat(value, match, f"{place}.{key}" if place else key).items()
    }


def _named(records: Sequence[Any], match: Sequence[str]) -> list[tuple[str, Any]]:
    seen: dict[str, int] = {}
    found = []
    for one in records:
        if not isinstance(one, Mapping):
            continue
        name = ", ".join(str(one[key]) for key in match if one.get(key) not in (None, ""))
        seen[name] = seen.get(name, 0) + 1
        rest = {key: value for key, value in one.items() if key not in match}
        found.append((name if seen[name] == 1 else f"{name} {seen[name]}", rest))
    return found
