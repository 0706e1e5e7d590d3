"""Reading what a server of chat completions says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from physgen.experiments.microworldbench.judges.reply import plain

#: where the text of a message may be
TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


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


def joined(content: Any) -> Any:
    """The text of a message's content, also of one in parts.

    >>> joined([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    'ab'
    """
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") in ("text", "output_text"))
    return content


@dataclass(frozen=True)
class Said:
    """The text of a reply, whether its length cut it off, its tokens, and the model that the server names."""

    text: str
    cut: bool
    prompt_tokens: int
    completion_tokens: int
    model: str = ""


def read_message(body: bytes) -> Said:
    """Read a chat completion; without content the text is what the model said to itself, or its refusal.

    Raises: Retry for what is no chat completion.
    """
    try:
        reply = json.loads(body)
        choice = reply["choices"][0]
        texts = [joined(choice["message"].get(name)) for name in TEXTS]
        cut = choice.get("finish_reason") == "length"
        usage = reply.get("usage") or {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        names = [reply.get(name) for name in ("model", "system_fingerprint")]
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise Retry(f"no chat completion: {error!r}"[:200]) from error
    text = next((text for text in texts if text and str(text).strip()), "" if cut else None)
    if not isinstance(text, str):
        raise Retry("a chat completion without text")
    prompt_tokens, completion_tokens = (n if type(n) is int and n > 0 else 0 for n in counts)
    model = " ".join(name[:100] for name in names if isinstance(name, str) and name)
    return Said(plain(text), cut, prompt_tokens, completion_tokens, model)


def seconds(header: str | None) -> float | None:
    """A ``Retry-After`` in seconds, where it is one."""
    try:
        wait = float(header or "")
    except ValueError:
        return None
    return wait if wait >= 0 else None
