"""`physgen results`: write the tidy table of an experiment and print what its arms differ by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from physgen.experiments.measure.paired import Difference, compare
from physgen.experiments.measure.tables import Cell, Table, publish
from physgen.experiments.runs.collect import Collected, collect
from physgen.experiments.runs.tables import write_parquet


@dataclass
class ResultsConfig:
    """Options of `physgen results`, see ``conf/results.yaml``."""

    sweep: str
    runs: str
    axis: str
    baseline: str
    groups: list[str]
    metrics: list[str]
    out: str | None


def run(config: ResultsConfig) -> None:
    """Write ``EXPERIMENT.parquet`` (numbers), ``.features.parquet``, ``.steps.parquet`` and ``EXPERIMENT.md``."""
    runs, name = Path(config.runs), config.sweep
    out = Path(config.out or runs / "results")
    found = write_tables(runs, name, out)
    console = Console(soft_wrap=True, highlight=False)
    for problem in found.problems:
        console.print(f"left out: {problem}", markup=False)
    wanted = config.metrics or sorted({row["metric"] for row in found.rows if "violation" in row["metric"]})
    tables = [
        table(compare(found.rows, one, axis=config.axis, baseline=config.baseline, groups=config.groups), config)
        for one in [*wanted, "wall_time_s"]
    ]
    publish(out / f"{name}.md", tables)
    console.print(str(out), markup=False)


def write_tables(runs: Path, name: str, out: Path) -> Collected:
    """Write everything that is measured in a sweep as parquet.

    Raises: InvalidArgument, see `collect`.
    """
    found = collect(runs, name)
    write_parquet(out / f"{name}.parquet", found.rows)
    vectors = [{"run": run, "vector": vector} for run, vector in found.features.items()]
    for kind, rows in {"features": vectors, "steps": steps(runs, found)}.items():
        if rows:
            write_parquet(out / f"{name}.{kind}.parquet", rows)
    return found


def steps(runs: Path, found: Collected) -> list[dict[str, Any]]:
    """Residuals before the correction at each corrected step: ``{run, step, sigma, constraint, residual}``."""
    rows = []
    for run in dict.fromkeys(row["run"] for row in found.rows):
        for line in (runs / run / "log.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            for name, residual in record["residual"].items():
                about = {"run": run, "step": record["step"], "sigma": record["sigma"]}
                rows.append({**about, "constraint": name, "residual": residual})
    return rows


def table(found: Sequence[Difference], config: ResultsConfig) -> Table:
    """A row an arm and group; seeds that are not in both are named."""
    rows: list[list[Cell]] = []
    for one in found:
        figures: list[Cell] = [one.mean, one.median, one.baseline, one.difference, one.p_holm]
        missing = ", ".join(map(str, one.unpaired)) or "none"
        rows.append([*one.group.values(), one.arm, str(one.n), *figures, missing])
    heads = [*config.groups, config.axis, "n", "mean", "median", config.baseline]
    title = f"{config.sweep}: {found[0].metric}, 95 % bootstrap intervals over seeds"
    return Table(title, [*heads, f"less {config.baseline}", "p (Holm)", "seeds left out"], rows)
