"""Reading what a server of chat completions says."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from physgen.experiments.microworldbench.judges.reply import plain


class Retry(Exception):
    """Worth another attempt, after so many seconds where the server says so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def is_address(url: str) -> bool:
    """Whether this is the address of a server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def message(body: bytes) -> dict[str, Any]:
    """Text and token counts of a chat completion."""
    try:
        reply = json.loads(body)
        words = reply["choices"][0]["message"]
        text = words.get("content") or words.get("refusal")
        usage = reply.get("usage") or {}
        counts = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")}
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise Retry(f"no chat completion: {error!r}"[:200]) from error
    if not isinstance(text, str):
        raise Retry("a chat completion without text")
    return {"raw": plain(text)} | {name: n if type(n) is int and n > 0 else 0 for name, n in counts.items()}


def seconds(header: str | None) -> float | None:
    """A ``Retry-After`` in seconds, where it is one."""
    try:
        wait = float(header or "")
    except ValueError:
        return None
    return wait if wait >= 0 else None
