"""Folders of captioned clips, laid out as MicroSim-10K is: ``metadata.json`` and the videos that it names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument

METADATA = ("metadata.json", "metadata.jsonl", "metadata.csv")
VIDEO_KEYS = ("video", "file_name", "path", "video_path")
PROMPT_KEYS = ("prompt", "caption", "text")


@dataclass(frozen=True)
class Clip:
    """A video that is not opened yet; ``video`` is its path as the metadata has it, ``level`` is given or ``None``."""

    id: str
    video: str
    path: Path
    prompt: str | None
    level: str | None


@dataclass(frozen=True)
class Skipped:
    """What was left out, and why."""

    name: str
    reason: str


def read_metadata(folder: str | Path) -> tuple[list[Clip], list[Skipped]]:
    """Clips that a folder's metadata lists, in order, and the records that name none.

    The first of ``metadata.json`` (a list), ``metadata.jsonl`` and ``metadata.csv`` is read. A record has ``video``
    (``file_name``, ``path``, ``video_path``), relative to the folder; ``prompt`` (``caption``, ``text``); and
    optionally ``id`` and ``level``. Whether the videos are there is found out by reading them.

    Raises:
        InvalidArgument: a folder without metadata, or metadata that is no list of records.

    Source: the trainer of MicroVerse (arXiv:2603.00585): ``[{"id": …, "video": "videos/1.mp4", "prompt": …}]``.

    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "metadata.json").write_text('[{"video": "videos/7.mp4", "prompt": "a cell"}, {"prompt": "lost"}]')
    >>> clips, skipped = read_metadata(folder)
    >>> clips[0].id, skipped[0].name
    ('7', 'record 2')
    """
    folder = Path(folder)
    source = next((folder / name for name in METADATA if (folder / name).is_file()), None)
    if source is None:
        raise InvalidArgument("files", str(folder), f"videos, or a folder with {', '.join(METADATA)}")
    clips: dict[str, Clip] = {}
    skipped = []
    for number, record in enumerate(_records(source), 1):
        video = _first(record, VIDEO_KEYS)
        if video is None:
            skipped.append(Skipped(f"record {number}", f"no {' or '.join(VIDEO_KEYS)} in {str(record)[:80]}"))
        elif video in clips:
            skipped.append(Skipped(f"record {number}", f"{video} a second time"))
        else:
            name = _first(record, ("id",)) or Path(video).stem
            clips[video] = Clip(name, video, folder / video, _first(record, PROMPT_KEYS), _first(record, ("level",)))
    return list(clips.values()), skipped


def _records(source: Path) -> Iterator[Any]:
    try:
        text = source.read_bytes().decode("utf-8-sig")
        if source.suffix == ".csv":
            yield from csv.DictReader(io.StringIO(text, newline=""), strict=True)
            return
        lines = [line for line in text.split("\n") if line.strip()] if source.suffix == ".jsonl" else None
        records = json.loads(text) if lines is None else [_json_line(line) for line in lines]
    except (ValueError, RecursionError, csv.Error) as error:
        raise InvalidArgument("metadata", str(source), f"a list of records ({error})") from error
    if not isinstance(records, list):
        raise InvalidArgument("metadata", str(source), "a list of records, [{id, video, prompt}, …]")
    yield from records


def _json_line(line: str) -> Any:
    """A broken line is a broken record, not a broken file."""
    try:
        return json.loads(line)
    except ValueError:
        return line


def _first(record: Any, keys: tuple[str, ...]) -> str | None:
    """First of the entries that is there, as text; ``None`` for a record that has none of them."""
    values = [record.get(key) for key in keys] if isinstance(record, dict) else []
    found = (str(value).strip() for value in values if isinstance(value, str | int) and not isinstance(value, bool))
    return next((text for text in found if text), None)
