"""What is left of an audit: thresholds, the list of skipped clips, a page, and, last, ``metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Column
from rich.table import Table as RichTable

from physgen import __version__
from physgen.experiments.audit.folder.quantiles import ALL, CONFIDENCE, by_level
from physgen.experiments.pages.numbers import number, percent
from physgen.experiments.pages.report import Page, Table, write_report
from physgen.experiments.runs.records import git_sha, write_json_atomic
from physgen.video.captioned import Skipped

COLUMNS = ("constraint", "level", "clips", "satisfied", "rms, 50 %", "rms, 95 %", "largest, 95 %")


def write(
    out: Path,
    settings: Mapping[str, Any],
    records: Sequence[dict[str, Any]],
    skipped: Sequence[Skipped],
    seconds: float,
) -> None:
    """Write ``thresholds.json``, ``skipped.json``, ``report.html`` and ``metrics.json``, and print the table."""
    origin = {"version": __version__, "git_sha": git_sha()}
    thresholds = by_level(records)
    measured = sum(bool(record["constraints"]) for record in records)
    write_json_atomic(
        out / "thresholds.json",
        {
            **origin,
            "folder": settings["files"][0],
            "clips": measured,
            "confidence": CONFIDENCE,
            "constraint": settings["constraint"],
            "observable": settings["observable"],
            "world": settings["world"]["name"],
            "thresholds": thresholds,
        },
    )
    write_json_atomic(out / "skipped.json", [asdict(item) for item in skipped])
    rows = [row(name, level, found) for name, levels in thresholds.items() for level, found in levels.items()]
    counts = f"{measured} clips measured, {len(skipped)} skipped"
    write_report(out / "report.html", make_page(counts, rows, skipped, settings))
    write_json_atomic(
        out / "metrics.json",
        {**origin, "clips": len(records), "measured": measured, "skipped": len(skipped), "seconds": seconds},
    )
    columns = [Column(name, no_wrap=True) for name in COLUMNS]
    table = RichTable(*columns, title=f"{counts}; quantiles [95 %]", title_justify="left", box=None, pad_edge=False)
    for cells in rows:
        table.add_row(*cells)
    console = Console(soft_wrap=True, highlight=False, width=max(120, Console().width))
    console.print(table)
    console.print(str(out), markup=False)


def row(name: str, level: str, found: dict[str, Any]) -> list[str]:
    """A constraint at a level, as text."""
    rms, largest = (found[key]["quantiles"] for key in ("residual_rms", "residual_max"))
    share = percent(found["satisfied"])
    return [name, level, str(found["clips"]), share, *map(interval, (rms["0.5"], rms["0.95"], largest["0.95"]))]


def interval(found: dict[str, float]) -> str:
    """An estimate and its interval; an end that the number of clips does not bound is ``?``.

    >>> interval({"estimate": 0.5, "low": 0.25, "high": float("nan")})
    '0.5 [0.25, ?]'
    """
    low, high = ("?" if math.isnan(end) else number(end) for end in (found["low"], found["high"]))
    return f"{number(found['estimate'])} [{low}, {high}]"


def make_page(counts: str, rows: list[list[str]], skipped: Sequence[Skipped], settings: Mapping[str, Any]) -> Page:
    """The report."""
    return Page(
        title="physgen audit",
        subtitle=settings["files"][0],
        notes=[
            counts,
            "95 % intervals of quantiles; clips taken as independent",
            *(f"{s.name}: {s.reason}" for s in skipped[:100]),
        ],
        figures=[(f"{r[0]} rms, median", r[4]) for r in rows if r[1] == ALL],
        films=[],
        charts=[],
        table=Table(COLUMNS, rows),
        config=yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True),
    )
