"""What a guidance is called on the page: its file in ``conf/guidance`` and what differs from that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from physgen.experiments.cli.config import choice, groups


def guidance_name(spec: Mapping[str, Any]) -> str:
    """The closest choice of ``conf/guidance``, and every setting that is another than there.

    >>> guidance_name(choice("guidance", "projection") | {"start": 0.5})
    'projection start=0.5'
    >>> guidance_name({"_target_": "mine.Own", "weight": 2})
    'Own weight=2'
    """
    target = spec.get("_target_")
    found = [
        (name, [key for key in spec.keys() | values.keys() if spec.get(key) != values.get(key)])
        for name, values in choices().items()
        if values["_target_"] == target
    ]
    own = (str(target).rpartition(".")[2], [key for key in spec if key != "_target_"])
    name, others = min(found, key=lambda one: len(one[1]), default=own)
    return " ".join([name, *(f"{key}={spec.get(key)}" for key in sorted(others))])


@lru_cache(maxsize=1)
def choices() -> dict[str, dict[str, Any]]:
    """Every choice of ``conf/guidance``."""
    return {name: choice("guidance", name) for name in groups("sample")["guidance"]}
