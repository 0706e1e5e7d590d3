"""A vision-language model behind any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.judges.base import Reply, Unanswered
from physgen.experiments.microworldbench.judges.completion import Retry, Said, is_address, read_message, seconds
from physgen.experiments.microworldbench.judges.frames import compressed
from physgen.experiments.microworldbench.judges.keep import SeeingJudge
from physgen.experiments.microworldbench.judges.question import Question, asked_again, schema
from physgen.experiments.microworldbench.judges.reply import parse_corrected, parse_upstream

LARGEST_REPLY = 2**20
LONGEST_WAIT = 60.0
QUALITIES = (30, 20, 10)
#: questions in a row without any reply after which the server is given up
PATIENCE = 10
OPTIONAL = ("response_format", "seed", "temperature")
#: what servers answer that cannot do something and do not say what
UNEXPLAINED = (400, 422, 500)


@dataclass
class Asking:
    """A question as it is asked now: its images, why the last reply could not be read, whether it is bare.

    ``bare`` is ``None`` until that was tried, and ``False`` where it did not help.
    """

    question: Question
    images: tuple[bytes, ...]
    qualities: Iterator[int] = field(default_factory=lambda: iter(QUALITIES))
    unread: str = ""
    bare: bool | None = None


@dataclass
class OpenAIJudge(SeeingJudge):
    """Asks ``$OPENAI_MODEL`` at ``$OPENAI_BASE_URL`` with ``$OPENAI_API_KEY``.

    Temperature 0, a seed and a JSON schema are sent in ``corrected``, and left out when the server refuses them;
    ``upstream`` sends model and messages only. Each question has ``1 + retries`` attempts of ``timeout`` seconds;
    waits double from ``backoff`` seconds, or are what the server asks for, up to a minute. Images that are too large
    for the server are sent again at JPEG quality 30, 20, 10. After a status 400, 422 or 500 without a reason the
    question is sent bare: model and one message of the user. Where that helps, every further question is bare. A reply
    without scores, or cut off by its length, is asked for once more with the reason. Tokens are those of all attempts
    that the server counted.

    Raises: InvalidArgument without a model, or for settings out of range.
    """

    concurrency: int = 8
    retries: int = 3
    timeout: float | int = 180.0
    backoff: float | int = 1.0
    seed: int = 0
    price_input: float | int | None = None
    price_output: float | int | None = None
    model: str = field(init=False)

    def __post_init__(self) -> None:
        for name, least in {"concurrency": 1, "retries": 0, "timeout": 1e-3, "backoff": 0}.items():
            if not getattr(self, name) >= least:
                raise InvalidArgument(f"judge.{name}", getattr(self, name), f"at least {least:g}")
        for name in ("price_input", "price_output"):
            price = getattr(self, name)
            if price is not None and not 0 <= price < float("inf"):
                raise InvalidArgument(f"judge.{name}", price, "null or a price >= 0 of a million tokens")
        self.model = os.environ.get("OPENAI_MODEL", "")
        if not self.model:
            raise InvalidArgument("OPENAI_MODEL", None, "name of the judging model, in the environment")
        url = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        if not is_address(url):
            raise InvalidArgument("OPENAI_BASE_URL", url, "an address such as https://host/v1, in the environment")
        key = os.environ.get("OPENAI_API_KEY", "")
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        limits = httpx2.Limits(max_connections=self.concurrency)
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=self.timeout, limits=limits)
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self._bare = False
        self._silent = 0
        self._closed = ""

    @property
    def identity(self) -> dict[str, Any]:
        return {"model": self.model, "seed": self.seed}

    def __call__(self, question: Question) -> Reply:
        asking = Asking(question, question.frames.images if question.frames else ())
        notes: list[str] = []
        said: Said | None = None
        prompt_tokens = completion_tokens = attempt = 0
        while attempt <= self.retries:
            if self._closed:
                raise Unanswered(self._closed)
            try:
                payload = self._payload(asking)
                status, body = self._post(payload)
                if note := self._ask_otherwise(asking, payload, status, body):
                    notes.append(note)
                    continue
                if status != 200:
                    self._give_up(status, body)
                said = read_message(body)
            except (Retry, httpx2.HTTPError) as problem:
                notes.append(f"attempt {attempt + 1}: {problem or type(problem).__name__}"[:300])
                if attempt < self.retries:
                    asked = problem.wait if isinstance(problem, Retry) else None
                    time.sleep(min(LONGEST_WAIT, self.backoff * 2**attempt if asked is None else asked))
                attempt += 1
                continue
            self._heard(asking)
            prompt_tokens += said.prompt_tokens
            completion_tokens += said.completion_tokens
            parsed, unread = understood(said, question)
            if unread:
                notes.append(f"attempt {attempt + 1}: {unread}"[:300])
            if not unread or asking.unread:
                return Reply(said.text, parsed, prompt_tokens, completion_tokens, tuple(notes), said.model)
            asking.unread = unread
            attempt += 1
        if said is not None:
            return Reply(said.text, None, prompt_tokens, completion_tokens, tuple(notes), said.model)
        self._not_heard(notes[-1])
        raise Unanswered("; ".join(notes))

    def _payload(self, asking: Asking) -> dict[str, Any]:
        question = asking.question
        bare = self._bare or asking.bare
        words = f"{question.system}\n\n{question.text}" if bare and question.system else question.text
        urls = [f"data:image/jpeg;base64,{base64.b64encode(image).decode()}" for image in asking.images]
        content: list[dict[str, Any]] = [{"type": "text", "text": words}]
        content += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        if asking.unread:
            content.append({"type": "text", "text": asked_again(asking.unread, len(question.criteria))})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if bare or question.mode == "upstream":
            return {"model": self.model, "messages": messages}
        form = {"name": "scores", "strict": True, "schema": schema(len(question.criteria))}
        optional = {
            "temperature": 0,
            "seed": self.seed + question.repeat,
            "response_format": {"type": "json_schema", "json_schema": form},
        }
        system = {"role": "system", "content": question.system}
        kept = {name: value for name, value in optional.items() if name not in self._refused}
        return {"model": self.model, "messages": [system, *messages], **kept}

    def _ask_otherwise(self, asking: Asking, payload: dict[str, Any], status: int, body: bytes) -> str:
        """Change a question that the server does not take; a note on what is changed, empty where nothing is.

        Raises: Unanswered for images that are still too large; Retry for an error inside the server.
        """
        if status == 413:
            quality = next(asking.qualities, None)
            if quality is None:
                raise Unanswered("the server refuses even the smallest images")
            asking.images = compressed(asking.question.frames.images if asking.question.frames else (), quality)
            return f"too large: JPEG quality {quality}"
        if status in (400, 422) and (dropped := self._drop(body, payload)):
            return f"HTTP {status}: without {', '.join(dropped)}"
        if status in UNEXPLAINED and asking.bare is None and len(payload["messages"]) > 1:
            asking.bare = True
            return f"HTTP {status}: bare, without schema, seed, temperature and system role"
        if status == 500:
            asking.bare = False
            raise Retry("HTTP 500")
        return ""

    def _post(self, payload: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body, neither longer than a reply can be nor later than the timeout."""
        deadline, body = time.monotonic() + self.timeout, bytearray()
        with self._client.stream("POST", "chat/completions", json=payload) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST_REPLY:
                    raise Retry(f"HTTP {response.status_code} with more than {LARGEST_REPLY} bytes")
                if time.monotonic() > deadline:
                    raise Retry(f"no whole reply in {self.timeout:g} s")
            if response.status_code in (408, 409, 425, 429) or response.status_code > 500:
                raise Retry(f"HTTP {response.status_code}", seconds(response.headers.get("retry-after")))
            return response.status_code, bytes(body)

    def _drop(self, body: bytes, payload: dict[str, Any]) -> list[str]:
        """Leave out, from now on, the optional parts of this request that the server complains about."""
        text = body.decode("utf-8", "replace")
        dropped = [name for name in OPTIONAL if name in payload and name in text]
        with self._lock:
            self._refused |= set(dropped)
        return dropped

    def _give_up(self, status: int, body: bytes) -> None:
        reason = f"HTTP {status}: {' '.join(body[:200].decode('utf-8', 'replace').split())}"
        if status in (401, 403, 404):
            self._closed = reason
        raise Unanswered(reason)

    def _heard(self, asking: Asking) -> None:
        with self._lock:
            self._silent = 0
            self._bare = self._bare or bool(asking.bare)

    def _not_heard(self, reason: str) -> None:
        with self._lock:
            self._silent += 1
            if self._silent >= PATIENCE:
                self._closed = f"{PATIENCE} questions in a row without an answer ({reason})"


def understood(said: Said, question: Question) -> tuple[Any, str]:
    """What a reply says, and why that cannot be read; `upstream` takes everything."""
    if question.mode == "upstream":
        return parse_upstream(said.text.strip()), ""
    count = len(question.criteria)
    if said.cut:
        return None, f"it was cut off by its length, after {said.text[-40:]!r}"
    parsed = parse_corrected(said.text, count)
    return parsed, "" if parsed else f"no {count} scores in {said.text[:80]!r}"
