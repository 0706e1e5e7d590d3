"""Where a run's numbers go besides its own files: one small protocol, and what speaks it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from physgen.experiments.cli.target import build
from physgen.experiments.runs.packages import required

log = logging.getLogger(__name__)


@runtime_checkable
class Tracker(Protocol):
    """Takes numbers by name while a run goes on."""

    def log(self, record: Mapping[str, Any], step: int | None = None) -> None:
        """Keep the numbers of a record, nested names joined by ``/``; of the whole run without a step."""

    def finish(self) -> None:
        """Write what is not written yet."""


class TensorBoard:
    """Event files in ``folder/RUN``, by `torch.utils.tensorboard`."""

    def __init__(self, run: str, settings: Mapping[str, Any], *, folder: str) -> None:
        tensorboard = required("torch.utils.tensorboard", "tracker", "tensorboard")
        self._writer = tensorboard.SummaryWriter(f"{folder}/{run}")
        self._writer.add_text("settings", str(dict(settings)))

    def log(self, record: Mapping[str, Any], step: int | None = None) -> None:
        for name, value in numbers(record).items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self._writer.close()


class Logger:
    """A service with ``init``, ``log`` and ``finish``: Weights & Biases, and trackio, which has its calls."""

    def __init__(self, run: str, settings: Mapping[str, Any], *, package: str, project: str, **options: Any) -> None:
        self._service = required(package, "tracker", package)
        self._service.init(project=project, name=run, config=dict(settings), **options)

    def log(self, record: Mapping[str, Any], step: int | None = None) -> None:
        self._service.log(numbers(record), step=step)

    def finish(self) -> None:
        self._service.finish()


def numbers(record: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a nested record, by their path.

    >>> numbers({"residual": {"mass": 0.5}, "prompt": "dye", "satisfied": True})
    {'residual/mass': 0.5, 'satisfied': 1.0}
    """
    found: dict[str, float] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            found[f"{prefix}{key}"] = float(value)
    return found


@contextmanager
def tracked(spec: Mapping[str, Any], run: str, settings: Mapping[str, Any]) -> Iterator[Tracker | None]:
    """The tracker that a configuration names, finished at the end; None for none. One that cannot finish is named."""
    if not spec["_target_"]:
        yield None
        return
    kind = TensorBoard if str(spec["_target_"]).endswith(".TensorBoard") else Logger
    tracker = build(kind, dict(spec), run, settings)
    try:
        yield tracker
    finally:
        try:
            tracker.finish()
        except Exception as error:
            log.warning("the tracker could not finish: %s: %s", type(error).__name__, error)
