"""Work in processes of their own, whose death loses nothing but the item that killed them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any]


def in_parallel(
    make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], processes: int
) -> Iterator[tuple[Item, Result | None]]:
    """Each item with its result as soon as that is known, ``None`` for an item that kills its process.

    Every process calls ``make`` once and its result on one item after the other. When one dies, all items that were
    under way are tried again, alone. Processes end with the one that started them, even if that is killed.

    >>> from functools import partial
    >>> sorted(in_parallel(partial(partial, divmod, 7), [2, 3], processes=1))
    [(2, (3, 1)), (3, (2, 1))]
    """
    waiting = deque(items)
    while waiting:
        suspects = yield from _until_a_death(make, waiting, processes)
        for item in suspects:
            alone = deque([item])
            if (yield from _until_a_death(make, alone, 1)):
                yield item, None


def _until_a_death(
    make: Callable[[], Callable[[Item], Result]], waiting: deque[Item], processes: int
) -> Generator[tuple[Item, Result], None, list[Item]]:
    """Take items until none is left or a process dies; returns those that were under way then."""
    running: dict[Future[Result], Item] = {}
    with ProcessPoolExecutor(
        min(processes, len(waiting)), multiprocessing.get_context("spawn"), initializer=_begin, initargs=(make,)
    ) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < 2 * processes:
                    future = pool.submit(_call, waiting[0])
                    running[future] = waiting.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            return list(running.values())
    return []


def _begin(make: Callable[[], Callable[[Any], Any]]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = make()


def _call(item: Any) -> Any:
    return _work(item)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
