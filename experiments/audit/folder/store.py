"""The folder of an audit: its options, one line a clip, and whether it may be gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from physgen import __version__
from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import check_out
from physgen.video.captioned import Clip


def open_audit(out: Path, settings: Mapping[str, Any]) -> Path:
    """Create the folder, or find the one of an audit with the same options and version.

    Raises: InvalidArgument for a folder that holds anything else.
    """
    text = yaml.safe_dump({"version": __version__, **settings}, sort_keys=False, allow_unicode=True)
    file = out / "config.yaml"
    if not (out / "clips.jsonl").exists():
        check_out(out).mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        (out / "clips.jsonl").touch()
    elif not file.is_file() or file.read_text(encoding="utf-8") != text:
        raise InvalidArgument("out", str(out), "a new or empty folder, or that of an audit with the same options")
    return out


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """The last record of every video; a line that a kill cut short is closed and left out."""
    content = path.read_bytes()
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
