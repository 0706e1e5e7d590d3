"""A real HTTP server that judges well, slowly, badly or with bad intent."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """A reply; ``pieces`` overrides the body and is written piece by piece, as an iterator may wait in between."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterator[bytes] | None = None
    hang_up: bool = False


@dataclass
class JudgeServer:
    """Asks ``behaviour(request, n)`` for the n-th reply to a text, n from 1."""

    behaviour: Callable[[dict[str, Any], int], Answer]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    replied: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def text_of(request: dict[str, Any]) -> str:
    """The words of a request."""
    return str(request["messages"][-1]["content"][0]["text"])


def reason_of(request: dict[str, Any]) -> str:
    """Why it is asked again, in its last words."""
    texts = [part["text"] for part in request["messages"][-1]["content"] if part["type"] == "text"]
    return str(texts[1]) if len(texts) > 1 else ""


def is_bare(request: dict[str, Any]) -> bool:
    """Whether it is a model and one message of the user, and nothing else."""
    return request.keys() == {"model", "messages"} and [m["role"] for m in request["messages"]] == ["user"]


def images_of(request: dict[str, Any]) -> list[str]:
    """Its images, as data URIs."""
    parts = request["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def criteria_of(request: dict[str, Any]) -> int:
    """Number of criteria listed."""
    return len(re.findall(r"^\d+\. \[", text_of(request), re.MULTILINE))


def completion(content: Any, finish: str = "stop", words: dict[str, Any] | None = None, **more: Any) -> Answer:
    """A chat completion; ``words`` are further parts of its message."""
    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    message = {"role": "assistant", "content": content, **(words or {})}
    body = {"choices": [{"message": message, "finish_reason": finish}], "usage": usage} | more
    return Answer(body=json.dumps(body).encode())


def good(request: dict[str, Any], n: int = 1) -> Answer:
    """Every criterion met."""
    return completion(json.dumps({"reasoning": "seen", "scores": [1] * criteria_of(request)}))


@contextmanager
def serving(behaviour: Callable[[dict[str, Any], int], Answer]) -> Iterator[JudgeServer]:
    """Run a server on a free port of this machine."""
    state = JudgeServer(behaviour)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = text_of(request)
            with state.lock:
                state.requests.append(request)
                state.headers.append(dict(self.headers))
                state.asked[text] += 1
                n = state.asked[text]
            answer = state.behaviour(request, n)
            if answer.hang_up:
                self.close_connection = True
                return
            try:
                self.respond(answer)
            except OSError:
                self.close_connection = True
                return
            with state.lock:
                state.replied[text] += 1

        def respond(self, answer: Answer) -> None:
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))} | answer.headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in answer.pieces or [answer.body]:
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, *args: Any) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that was killed is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
