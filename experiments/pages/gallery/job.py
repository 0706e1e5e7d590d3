"""`physgen report`: read runs, write the page, name what could not be shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from physgen.errors import InvalidArgument
from physgen.experiments.pages.gallery.card import Card, conflicts, grouped, links, others
from physgen.experiments.pages.gallery.entry import Entry
from physgen.experiments.pages.gallery.find import find
from physgen.experiments.pages.gallery.read import read_run
from physgen.experiments.pages.gallery.sprite import Sprite, read_sprite
from physgen.experiments.pages.render import render

#: near the top of every page of this job, which may be replaced by another
MARK = b'<meta name="generator" content="physgen report">'
#: ids of the page's own elements, which no card may have
OWN = ("controls", "play", "count", "filters", "films", "table", "nothing", "problems", "films-title", "table-title")


@dataclass
class ReportConfig:
    """Options of `physgen report`, see ``conf/report.yaml``."""

    runs: list[str]
    out: str


def run(config: ReportConfig) -> int:
    """Write the page: 0, or 1 when a run is left out or two contradict each other."""
    if not config.runs:
        raise InvalidArgument("runs", config.runs, "runs, folders of runs or manifests: physgen report RUNS ...")
    out = writable(Path(config.out))
    found = find(config.runs)
    entries: list[Entry] = []
    for folder, about in found.runs.items():
        try:
            entries += read_run(folder)
        except InvalidArgument as error:
            found.problems.append(str(error) + (f" [{about}]" if about else ""))
    if not entries:
        raise InvalidArgument("runs", " ".join(config.runs), f"a finished run ({'; '.join(found.problems[:3])})")
    out.parent.mkdir(parents=True, exist_ok=True)
    pairs = cards(entries, out, found.problems)
    render(out, "gallery", pairs=pairs, problems=found.problems, **summary(pairs))
    console = Console(soft_wrap=True, highlight=False)
    for problem in found.problems:
        console.print(problem, markup=False)
    console.print(str(out), markup=False)
    return 1 if found.problems else 0


def writable(out: Path) -> Path:
    """Refuse to write over anything but a page of this job.

    Raises: InvalidArgument.
    """
    if out.suffix != ".html":
        raise InvalidArgument("out", str(out), "a file that ends in .html")
    if out.exists() and (not out.is_file() or MARK not in out.read_bytes()[:1024]):
        raise InvalidArgument("out", str(out), "a new file, or an earlier page of `physgen report`")
    return out


def cards(entries: Sequence[Entry], out: Path, problems: list[str]) -> list[list[Card]]:
    """A card an entry, those of the same noise together; adds what is wrong to the problems."""
    differing = conflicts(entries)
    problems += [f"{name}: {reason}" for name, reason in differing.items()]
    used = Counter(OWN)
    pairs: list[list[Card]] = []
    for arms in grouped(entries):
        pairs.append([])
        for one in arms:
            sprite, note = film(one)
            problems += [note] if note else []
            used[one.name] += 1
            id_ = quote(one.name, safe="") + (f"/{used[one.name]}" if used[one.name] > 1 else "")
            note = "; ".join(filter(None, [note, differing.get(one.name, "")]))
            pairs[-1].append(Card(id_, one, sprite, links(one, out), others(one, arms), note))
    return pairs


def film(entry: Entry) -> tuple[Sprite | None, str]:
    """The film of an entry, or why there is none."""
    try:
        return read_sprite(entry.folder / f"{entry.stem}.tif"), ""
    except (InvalidArgument, OSError) as error:
        return None, f"{entry.name}: {error}"


def summary(pairs: Sequence[Sequence[Card]]) -> dict[str, object]:
    """Values of every facet with how many cards have them, and the laws that are measured anywhere."""
    everything = [card for arms in pairs for card in arms]
    counts = {facet: Counter(card.facets[facet] for card in everything) for facet in everything[0].facets}
    return {
        "facets": {facet: sorted(values.items(), key=rank) for facet, values in counts.items()},
        "laws": sorted({law for card in everything for law in card.entry.violation}),
        "total": len(everything),
    }


def rank(counted: tuple[str, int]) -> tuple[bool, str]:
    """Order of a facet's values: none first, numbers by size."""
    value = counted[0]
    return value != "none", value.zfill(20) if value.isdigit() else value
