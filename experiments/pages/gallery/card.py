"""An entry as the page shows it: film, links, and how it differs from those beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from physgen.experiments.draw.measured import verdict
from physgen.experiments.pages.gallery.entry import Entry
from physgen.experiments.pages.gallery.sprite import Sprite

#: files of a run folder that a card leads to
FILES = ("config.yaml", "metrics.json", "log.jsonl", "report.html")


@dataclass(frozen=True)
class Card:
    """``id`` is unique on the page; ``others`` are settings that those of the same noise have otherwise."""

    id: str
    entry: Entry
    sprite: Sprite | None
    links: Mapping[str, str]
    others: str
    note: str

    @property
    def certificate(self) -> list[str]:
        """A line for each certified law."""
        return [f"{name} {verdict(entry)}" for name, entry in self.entry.certificate.items()]

    @property
    def facets(self) -> dict[str, str]:
        """What the page filters by."""
        one = self.entry
        return {
            "law": one.law,
            "guidance": one.guidance,
            "family": one.family,
            "certificate": one.status,
            "seed": str(one.seed),
        }


def grouped(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries of the same noise together, those without guidance first."""
    order = sorted(entries, key=lambda one: (one.same_noise, one.guidance != "none", one.guidance, one.name))
    return [list(arms) for _, arms in groupby(order, key=lambda one: one.same_noise)]


def others(entry: Entry, arms: Sequence[Entry]) -> str:
    """Settings of an entry that are not the same in every arm, but the guidance and where the run is written."""
    common = set.intersection(*(set(arm.settings) for arm in arms))
    differ = {key for key in common if len({arm.settings[key] for arm in arms}) > 1}
    named = sorted(key for key in differ if not key.startswith("guidance.") and key not in ("source", "out", "compare"))
    return " ".join(f"{key}={entry.settings[key]}" for key in named)


def links(entry: Entry, page: Path) -> dict[str, str]:
    """Addresses, relative to the page's folder, of the files that are there."""
    names = (*FILES, f"{entry.stem}.mp4", f"{entry.stem}.tif")
    found = [entry.folder / name for name in names if (entry.folder / name).is_file()]
    start = page.resolve().parent
    return {file.name: quote(Path(os.path.relpath(file, start)).as_posix()) for file in found}


def conflicts(entries: Sequence[Entry]) -> dict[str, str]:
    """Runs of one name whose metrics differ, and what they differ in."""
    found = {}
    order = sorted(entries, key=lambda one: one.name)
    for name, same in groupby(order, key=lambda one: one.name):
        first, *rest = (one.metrics for one in same)
        differ = sorted(
            {key for other in rest for key in first.keys() | other.keys() if first.get(key) != other.get(key)}
        )
        if differ:
            found[name] = f"{len(rest) + 1} runs have this name and differ in {', '.join(differ)}"
    return found
