"""Scores out of the text of a reply."""

from __future__ import annotations

import json
from typing import Any

TAIL = 2**16
DEEPEST = 20


def parse_upstream(text: str) -> Any:
    """The JSON from the first ``{`` to the last ``}``, whatever it holds; ``None`` where that is none.

    >>> parse_upstream('Well: {"scores": [1]} done'), parse_upstream('{"a": 1} or {"a": 2}')
    ({'scores': [1]}, None)
    """
    try:
        return plain(json.loads(text[text.index("{") : text.rindex("}") + 1]))
    except (ValueError, RecursionError):
        return None


def parse_corrected(text: str, count: int) -> dict[str, Any] | None:
    """The last JSON object with one score for each criterion, in the last 64 KiB; ``None`` where there is none.

    >>> parse_corrected('{"scores": [0]} no, wait: {"scores": [1]}', 1)
    {'scores': [1]}
    >>> parse_corrected('{"scores": [0, 1]}', 1) is None
    True
    """
    text, decoder = text[-TAIL:], json.JSONDecoder()
    place = text.rfind("{")
    while place >= 0:
        try:
            found, _ = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("scores"), list) and len(found["scores"]) == count:
            return plain(found)
        place = text.rfind("{", 0, place)
    return None


def plain(data: Any, depth: int = 0) -> Any:
    """The same data as UTF-8 can hold it, without what lies deeper than 20 levels.

    >>> plain([chr(0xD800), 1])
    ['?', 1]
    """
    match data:
        case str():
            return data.encode("utf-8", "replace").decode()
        case dict() | list() if depth == DEEPEST:
            return None
        case dict():
            return {plain(key): plain(value, depth + 1) for key, value in data.items()}
        case list():
            return [plain(value, depth + 1) for value in data]
    return data
