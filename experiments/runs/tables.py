"""Tidy tables on disk: parquet, written and read by duckdb, and CSV."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.runs.packages import required


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows, all or nothing; columns are those of the first row."""
    duckdb = _duckdb()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "rows.json"
        lines.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        with duckdb.connect() as db:
            source = "read_json(?, format='newline_delimited', sample_size=-1)"
            db.execute(f"COPY (FROM {source}) TO {quoted(partial)} (FORMAT parquet, COMPRESSION zstd)", [str(lines)])
    partial.replace(path)


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows, all or nothing, numbers with all their digits; columns are those of the first row."""
    partial = path.with_suffix(".part")
    with partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    partial.replace(path)


def query(sql: str, **tables: Path) -> list[dict[str, Any]]:
    """Rows of a query over parquet files, each a table by its keyword.

    Raises: InvalidArgument for a file that is not there or no parquet.
    """
    duckdb = _duckdb()
    with duckdb.connect() as db:
        for name, path in tables.items():
            try:
                db.execute(f"CREATE VIEW {name} AS FROM read_parquet({quoted(path)})")
            except duckdb.Error as error:
                raise InvalidArgument("results", str(path), "a parquet file of `physgen results`") from error
        found = db.execute(sql)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def quoted(path: Path) -> str:
    """A path as text of SQL.

    >>> print(quoted(Path("o'brien/a.parquet")))
    'o''brien/a.parquet'
    """
    return "'" + str(path).replace("'", "''") + "'"


def _duckdb() -> Any:
    return required("duckdb", "results", "duckdb", install="physgen[sweep]")
