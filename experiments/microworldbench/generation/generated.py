"""What has come of `physgen benchmark generate`: a table by rule, what failed, ``metrics.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console

from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.microworldbench.generation.command import score_command
from physgen.experiments.microworldbench.generation.plan import Item, Layout
from physgen.experiments.microworldbench.options import BenchmarkConfig
from physgen.experiments.pages.numbers import number
from physgen.experiments.runs.records import origin, peak_memory_mb, write_json_atomic

COLUMNS = ["constraint", "rule", "videos", "satisfied", "median", "largest", "unguided", "largest"]


@dataclass(frozen=True)
class Failure:
    """A video that could not be made, and why."""

    index: int
    seed: int
    error: str

    def __str__(self) -> str:
        return f"task {self.index}, seed {self.seed}: {self.error}"


def write_summary(
    config: BenchmarkConfig,
    layout: Layout,
    items: Sequence[Item],
    name: str,
    failures: Sequence[Failure],
    tried: int,
    seconds: float,
) -> int:
    """Print the table, what failed and how to score; write the metrics of these items; 1 where something failed."""
    records = [json.loads(layout.record(item).read_text("utf-8")) for item in items if layout.finished(item)]
    rules = by_rule(records)
    console = Console(highlight=False, soft_wrap=True)
    cells: list[list[Cell]] = [
        [number(x) if isinstance(x, float) else str(x or "–") for x in row.values()] for row in rules
    ]
    if rules:
        Table("Residuals, rms", COLUMNS, cells).show(console)
    made = tried - len(failures)
    console.print(
        f"{made} videos made in {number(seconds, 's')}, {len(items) - tried} were there, {len(failures)} failed"
    )
    for failure in failures:
        console.print(str(failure), markup=False)
    if records:
        folders = dict.fromkeys(layout.videos(item.seed) for item in items if layout.finished(item))
        console.print(score_command(config, folders), markup=False)
    write_json_atomic(
        layout.out / name,
        {
            **origin(config.world),
            "videos": len(records),
            "asked": len(items),
            "guided": sum(record["guided"] for record in records),
            "made_now": made,
            "wall_time_s": seconds,
            "peak_memory_mb": peak_memory_mb(),
            "sampling_time_s": sum(record["wall_time_s"] for record in records),
            "nfe": sum(record["nfe"] for record in records),
            "by_rule": rules,
            "failures": [asdict(failure) for failure in failures],
        },
    )
    return int(bool(failures))


def by_rule(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every constraint and the rule that chose it: videos, how many satisfy it, residuals guided and unguided."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        rule_of = record["decision"]["rule_of"] if record["decision"] else {}
        for name, report in record["constraints"].items():
            found.setdefault((name, rule_of.get(name, "given")), []).append(report)
    return [
        {
            "constraint": name,
            "rule": rule,
            "videos": len(reports),
            "satisfied": sum(bool(report["satisfied"]) for report in reports),
            **_spread("residual", [report["residual_rms"] for report in reports]),
            **_spread("unguided", [report["unguided_residual_rms"] for report in reports]),
        }
        for (name, rule), reports in sorted(found.items())
    ]


def _spread(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {f"{name}_median": median(known) if known else None, f"{name}_largest": max(known, default=None)}
