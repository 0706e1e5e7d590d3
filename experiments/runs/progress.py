"""Records of a run, kept after each of them, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """What a run has kept so far, nothing where there is no file.

    Raises:
        InvalidArgument: a file that is not a list of records.
    """
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        records = None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InvalidArgument("out", str(path.parent), f"a folder whose {path.name} is whole: remove it to begin again")
    return records


def write_records(path: Path, records: list[Record]) -> None:
    """Replace the file by these records, all or nothing; NaN and infinities of diverged samplers stay what they are."""
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(records, indent=1), encoding="utf-8")
    partial.replace(path)
