"""Every request and reply on disk, keyed by what was asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from physgen.experiments.runs.records import write_json_atomic


def key_of(content: Any) -> str:
    """Key that depends on the content alone.

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


class Store:
    """A folder of finished calls and of the images that they showed, each image once."""

    def __init__(self, folder: Path) -> None:
        self._calls, self._images = folder / "calls", folder / "frames"
        for path in (self._calls, self._images):
            path.mkdir(parents=True, exist_ok=True)

    def image(self, content: bytes) -> str:
        """Keep an image; its name."""
        name = f"{hashlib.sha256(content).hexdigest()[:32]}.jpg"
        path = self._images / name
        if not path.exists():
            partial = path.with_suffix(f".{id(content)}.partial")
            partial.write_bytes(content)
            partial.replace(path)
        return name

    def get(self, key: str) -> dict[str, Any] | None:
        """The call of a key, ``None`` where there is none or it cannot be read."""
        try:
            record = json.loads((self._calls / f"{key}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a call, all or nothing, on the disk when this returns."""
        write_json_atomic(self._calls / f"{key}.json", record)
