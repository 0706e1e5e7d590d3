"""`physgen results`: write the tidy table of an experiment and print what its arms differ by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from physgen.errors import InvalidArgument
from physgen.experiments.measure.paired import Difference, compare, degenerate_runs, without_degenerate
from physgen.experiments.results.options import ResultsConfig
from physgen.experiments.results.tables import printed, record, written
from physgen.experiments.runs.collect import Collected, collect
from physgen.experiments.runs.tables import write_csv, write_parquet

#: runs that are left out and named on the terminal
SHOWN = 5
#: what a table without the degenerate samples is called
WITHOUT = "without degenerate samples"


def run(config: ResultsConfig) -> None:
    """Write the tables, see docs/guides/ablate.md, and print what the arms differ by."""
    runs, name = Path(config.runs), config.sweep
    out = Path(config.out or runs / "results")
    found = write_tables(runs, name, out)
    write_csv(out / f"{name}.csv", found.rows)
    wanted = config.metrics or sorted({row["metric"] for row in found.rows if "violation" in row["metric"]})
    compared = [(one, "") for metric in wanted if (one := differences(found.rows, metric, config))]
    if any(degenerate_runs(found.rows).values()):
        rows = without_degenerate(found.rows)
        left = {row["metric"] for row in rows if str(row.get(config.axis)) == config.baseline}
        compared += [
            (one, WITHOUT) for metric in wanted if metric in left and (one := differences(rows, metric, config))
        ]
    compared += [(one, "") for one in [differences(found.rows, "wall_time_s", config)] if one]
    if not compared:
        raise InvalidArgument("axis", config.axis, f"a key with more values than {config.baseline} in this sweep")
    left_out = "".join(f"- {problem}\n" for problem in found.problems)
    (out / f"{name}.md").write_text(
        "\n".join(written(one, config, samples).markdown() for one, samples in compared)
        + (f"\n**left out**\n\n{left_out}" if left_out else ""),
        encoding="utf-8",
    )
    differing = [record(one, config, samples) for each, samples in compared for one in each]
    write_csv(out / f"{name}.differences.csv", differing)
    console = Console(highlight=False)
    for problem in found.problems[:SHOWN]:
        console.print(f"left out: {problem}", markup=False)
    if (more := len(found.problems) - SHOWN) > 0:
        console.print(f"left out: {more} more, listed in {name}.md", markup=False)
    for one, samples in compared:
        for table in printed(one, config, samples):
            table.show(console)
    console.print(f"{out}: {', '.join(sorted(path.name for path in out.glob(f'{name}.*')))}", markup=False)


def differences(rows: Sequence[Mapping[str, Any]], metric: str, config: ResultsConfig) -> list[Difference]:
    """What the arms of the sweep differ by in one metric."""
    return compare(rows, metric, axis=config.axis, baseline=config.baseline, groups=config.groups)


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
    """Residuals before the correction at each corrected step: ``{run, step, sigma, constraint, residual}``.

    Lines of a resampling, which corrects nothing, have none.
    """
    rows = []
    for run in dict.fromkeys(row["run"] for row in found.rows):
        for line in (runs / run / "log.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            for name, residual in record.get("residual", {}).items():
                about = {"run": run, "step": record["step"], "sigma": record["sigma"]}
                rows.append({**about, "constraint": name, "residual": residual})
    return rows
