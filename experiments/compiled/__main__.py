"""`make kernels`: every kernel for every system, type and target; fails on a spill."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from physgen.experiments.compiled.aot import TARGETS, Report, report
from physgen.experiments.compiled.registry import kernels
from physgen.experiments.compiled.spec import KernelSpec


def table(reports: list[Report]) -> Table:
    """One row per report."""
    made = Table(title="kernels compiled ahead of time; not timed on a GPU")
    for field in fields(Report):
        made.add_column(field.name.replace("_", " "), justify="right" if field.type in ("int", "float") else "left")
    for row in reports:
        made.add_row(*(f"{x:.1f}" if isinstance(x, float) else str(x) for x in asdict(row).values()))
    return made


def run(specs: Callable[[int], Iterable[KernelSpec]], out: Path) -> int:
    """Compile for every target, print the table, write the JSON; 1 if anything spills, else 0.

    ``specs`` gives the kernels for warps of so many threads.
    """
    work = [(spec, target) for target, (_, _, lanes) in TARGETS.items() for spec in specs(lanes)]
    reports = [report(spec, target) for spec, target in track(work, "compiling", transient=True)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([asdict(row) for row in reports], indent=1) + "\n")
    Console(width=None if sys.stdout.isatty() else 180).print(table(reports))
    spilling = [row for row in reports if row.spill_bytes]
    for row in spilling:
        name = f"{row.kernel} {row.system} {row.boundary} {row.dtype} for {row.target}"
        print(f"{name} spills {row.spill_bytes} bytes a thread", file=sys.stderr)
    return 1 if spilling else 0


def main() -> int:
    """Every kernel."""
    parser = argparse.ArgumentParser(prog="python -m physgen.experiments.compiled", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/kernels.json"), help="JSON file to write")
    return run(kernels, parser.parse_args().out)


if __name__ == "__main__":
    sys.exit(main())
