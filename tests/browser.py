"""A page in a real browser: what a script of ours finds there, and what the console complains of."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

needs_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
HEADLESS = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
COMPLAINTS = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}


class Browser:
    """Speaks the DevTools protocol over two pipes: messages in JSON, each ended by a zero byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers, self.rest, self.count = commands, answers, b"", 0
        self.complaints: list[str] = []

    def ask(self, method: str, session: str | None = None, **params: object) -> Any:
        """The result of a command; events that come before it are looked through for complaints."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        os.write(self.commands, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (answer := self.next()).get("id") != self.count:
            if answer["method"] in COMPLAINTS:
                self.complaints.append(json.dumps(answer["params"]))
        assert "error" not in answer, answer
        return answer["result"]

    def next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            assert select.select([self.answers], [], [], 180)[0], "the browser does not answer"
            read = os.read(self.answers, 1 << 16)
            assert read, "the browser has gone"
            self.rest += read
        message, self.rest = self.rest.split(b"\0", 1)
        found = json.loads(message)
        assert isinstance(found, dict)
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block."""
    (browser_reads, we_write), (we_read, browser_writes) = os.pipe(), os.pipe()
    theirs, ours = (browser_reads, browser_writes), (we_write, we_read)

    def number_them_3_and_4() -> None:
        for fd, copy in zip([os.dup(fd) for fd in theirs], (3, 4), strict=True):
            os.dup2(fd, copy)

    command = [*HEADLESS, f"--user-data-dir={profile}"]
    done = subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=(3, 4), preexec_fn=number_them_3_and_4)
    for fd in theirs:
        os.close(fd)
    try:
        yield Browser(*ours)
    finally:
        done.terminate()  # lets go of the profile
        with suppress(subprocess.TimeoutExpired):
            done.wait(60)
        done.kill()
        done.wait()
        for fd in ours:
            os.close(fd)


def browsed(page: Path, script: str) -> tuple[Any, list[str]]:
    """What ``script``, the body of an async function, returns in ``page``, opened from its file; and the complaints."""
    with browser(page.with_name("profile")) as speaker:
        target = speaker.ask("Target.createTarget", url="about:blank")["targetId"]
        session = speaker.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log"):
            speaker.ask(f"{domain}.enable", session)
        speaker.ask("Page.navigate", session, url=page.as_uri())
        wait = "while (document.readyState !== 'complete') await new Promise(done => setTimeout(done, 10));"
        late = "new Promise((_, fail) => setTimeout(() => fail('no answer within two minutes'), 120_000))"
        code = f"Promise.race([(async () => {{ {wait} {script} }})(), {late}])"
        answer = speaker.ask("Runtime.evaluate", session, expression=code, awaitPromise=True, returnByValue=True)
        speaker.ask("Runtime.evaluate", session, expression="0")  # what is complained of until now has come
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value"), speaker.complaints
