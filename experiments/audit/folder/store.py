"""What an audit has kept of its clips, one line each, and whether a line still holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from physgen.video.captioned import Clip


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """The last record of every video; a line that a kill cut short is closed and left out, no file has no records."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        with path.open("ab") as stream:
            stream.write(b"\n")
    records = {}
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
            records[record["source"]["video"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return records


def source_of(clip: Clip) -> dict[str, Any]:
    """What a clip's record depends on: its metadata, and size and time of the file (``None`` where there is none)."""
    try:
        stat = clip.path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
    except (OSError, ValueError):
        stamp = None
    return {key: value for key, value in asdict(clip).items() if key != "path"} | {"stamp": stamp}
