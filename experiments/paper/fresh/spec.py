"""``fresh.yaml``: which part of each table is made again, by which command, or why none is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of


@dataclass(frozen=True)
class Part:
    """Something that can be made again.

    Attributes:
        name: by which tables refer to it.
        of: how much of the tables this is, in words.
        command: that makes it; ``{out}`` stands for a folder, ``{committed}`` for the committed file.
        numbers: patterns of what is compared, as ``*.sw2``.
        sweep: name of the committed sweep that its runs belong to; else:
        made: the JSON file of the command, and
        committed: the one in ``results`` that it is compared with.
        match: keys that tell the records of a list apart.
        absolute: with ``relative`` what ``|again - committed| <= absolute + relative |committed|`` allows.
        relative: see ``absolute``.
        share: of the committed samples that intervals are over; see `compared`.
    """

    name: str
    of: str
    command: str
    numbers: tuple[str, ...]
    sweep: str = ""
    made: str = ""
    committed: str = ""
    match: tuple[str, ...] = ()
    absolute: float | int = 1e-6
    relative: float | int = 0.02
    share: float | int = 1.0

    @property
    def results(self) -> str:
        """Name of the committed results, as ``worlds.yaml`` has it."""
        return self.sweep or self.committed.removesuffix(".json")


@dataclass(frozen=True)
class Fresh:
    """Parts by name, the parts of each table, and the reason where a table has none."""

    parts: Mapping[str, Part]
    tables: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, str]


def read_fresh(path: Path, tables: Collection[str]) -> Fresh:
    """The parts of exactly these tables.

    Raises: InvalidArgument for a table without an entry, an entry of no table, a part that no table uses or that there
        is not, and whatever is no such file; FileNotFoundError.
    """
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        parts = {name: _part(name, entry) for name, entry in data["parts"].items()}
        entries: dict[str, Any] = dict(data["tables"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument("fresh", str(path), f"parts and tables ({error})") from error
    if missing := [name for name in tables if name not in entries]:
        raise InvalidArgument(
            "fresh", f"{path} without {', '.join(missing)}", "an entry for every table of figures.yaml"
        )
    found = {name: tuple(entry) for name, entry in entries.items() if isinstance(entry, list)}
    for name in entries:
        if name not in tables:
            raise one_of("table", name, tables)
    used = {part for names in found.values() for part in names}
    for name in sorted(used ^ set(parts)):
        raise one_of("part", name, parts) if name in used else InvalidArgument("part", name, "one that a table uses")
    return Fresh(parts, found, {name: str(entry) for name, entry in entries.items() if name not in found})


def _part(name: str, entry: Mapping[str, Any]) -> Part:
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    return Part(name, **{**entry, **lists})
