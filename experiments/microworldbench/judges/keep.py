"""A judge that never asks the same question twice."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any

from physgen.experiments.microworldbench.judges.base import Judge, Reply
from physgen.experiments.microworldbench.judges.question import Question
from physgen.experiments.microworldbench.judges.store import Store, key_of


class SeeingJudge(Judge):
    """A judge of frames, whose ``identity`` is everything but the question that its answer depends on."""

    sees = True

    @property
    def identity(self) -> dict[str, Any]:
        """Model and settings."""
        raise NotImplementedError


class Kept(SeeingJudge):
    """Asks a judge, keeps request and reply, and answers from there the next time, in whatever thread."""

    def __init__(self, judge: SeeingJudge, store: Store) -> None:
        self._judge, self._store = judge, store
        self._locks: dict[str, threading.Lock] = {}
        self.concurrency = judge.concurrency

    @property
    def identity(self) -> dict[str, Any]:
        return self._judge.identity

    def __call__(self, question: Question) -> Reply:
        images = question.frames.images if question.frames else ()
        request = {
            "judge": self._judge.identity,
            "mode": question.mode,
            "repeat": question.repeat,
            "system": question.system,
            "text": question.text,
            "images": [self._store.image(image) for image in images],
        }
        key = key_of(request)
        with self._locks.setdefault(key, threading.Lock()):
            kept = self._store.get(key)
            if kept is not None:
                return Reply(**kept["reply"] | {"notes": tuple(kept["reply"]["notes"])})
            reply = self._judge(question)
            about = {"task": question.task.index, "dimension": question.dimension}
            self._store.put(key, about | {"request": request, "reply": asdict(reply)})
            return reply
