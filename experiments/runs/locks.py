"""One process at a time for a run or a list of runs; a process that dies lets go."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

#: how often, and how many seconds apart, a lock is tried: `holder` has it for an instant while it looks
TRIES, PAUSE = 5, 0.02
#: locks that are held to the end of the command, and their paths
_STACK, _HELD = ExitStack(), set[Path]()


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Whether the lock of a file or folder is held inside; with ``wait`` it always is.

    The lock is the operating system's (`flock`) on ``.locks/NAME`` beside the path. It ends with its holder, so there
    are no stale ones to remove. What the file says of the holder is for people to read.

    >>> run = getfixture("tmp_path") / "run"
    >>> with locked(run) as mine, locked(run, wait=False) as another:
    ...     mine, another
    (True, False)
    """
    lock = path.parent / ".locks" / path.name
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a", encoding="utf-8") as file:
        mine = wait or _tried(file.fileno())
        if wait:
            fcntl.flock(file, fcntl.LOCK_EX)
        if mine:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        yield mine


def hold(path: Path) -> bool:
    """Hold the lock of a path until `let_go`, or until the process ends, unless another one has it; whether it is held.

    >>> run = getfixture("tmp_path") / "run"
    >>> with locked(run):
    ...     hold(run)
    False
    >>> hold(run), hold(run)
    (True, True)
    >>> let_go()
    """
    if path not in _HELD and _STACK.enter_context(locked(path, wait=False)):
        _HELD.add(path)
    return path in _HELD


def let_go() -> None:
    """Let go of every lock that is held to the end of the command."""
    _STACK.close()
    _HELD.clear()


def holder(path: Path) -> str | None:
    """Who holds the lock of a path, ``None`` when nobody does.

    >>> run = getfixture("tmp_path") / "run"
    >>> holder(run)
    >>> with locked(run):
    ...     holder(run)
    'process ... on ...'
    """
    try:
        with (path.parent / ".locks" / path.name).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read() or "another process"
    except FileNotFoundError:
        pass
    return None


def _tried(file: int) -> bool:
    for _ in range(TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE)
        else:
            return True
    return False
