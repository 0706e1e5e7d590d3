"""One run of a sweep: a video in its own folder, measured; done when ``metrics.json`` is there."""

from __future__ import annotations

import json
import logging
import shutil
from typing import Any

import yaml
from omegaconf import DictConfig

from physgen.drawn import Arm
from physgen.errors import InvalidArgument
from physgen.experiments.ablate.draw import draw_run
from physgen.experiments.ablate.measure import measure
from physgen.experiments.ablate.options import AblateConfig, options_of
from physgen.experiments.ablate.subject import Subject
from physgen.experiments.cli.config import one_of
from physgen.experiments.runs.failures import Failure
from physgen.experiments.runs.locks import locked
from physgen.experiments.runs.records import JsonlWriter, write_json_atomic
from physgen.experiments.runs.tracking import Tracker, tracked
from physgen.video import Video, write_mp4, write_tiff

log = logging.getLogger(__name__)


def one_run(config: DictConfig) -> float:
    """Hydra's task: make the run unless it is there; the value of its ``objective``, NaN without one.

    A run that another process is making is left to that process. A search waits for it, since it needs the value.
    """
    options = options_of(config)
    finished = options.folder / "metrics.json"
    if not finished.is_file():
        with locked(options.folder, wait=options.objective is not None) as mine:
            if mine and not finished.is_file():
                attempt(options)
    if not finished.is_file():
        return float("nan")
    return value_of(json.loads(finished.read_text(encoding="utf-8")), options.objective)


def attempt(options: AblateConfig) -> None:
    """Make the run in an empty folder; what goes wrong is kept there."""
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    try:
        write_json_atomic(options.folder / "metrics.json", make(options))
    except Exception as error:
        Failure.of(error).write(options.folder)
        log.error("%s: %s", options.folder.name, error)


def make(options: AblateConfig) -> dict[str, Any]:
    """Draw and measure one video, write everything but the metrics, and return those."""
    out, subject = options.folder, Subject.of(options)
    settings = options.settings | {"prompt": subject.prompt.caption}
    (out / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    with tracked(options.tracker, out.name, settings) as tracker:  # one that cannot be opened costs no video
        drawn = draw_run(options, subject)
        with JsonlWriter(out / "log.jsonl") as steps:
            for record in drawn.log.records:
                steps.write(record.as_json())
        dy, dx = subject.grid.spacing
        caption = subject.prompt.caption
        video = Video(drawn.video[0].transpose(0, 1), spacing=(dy, dx), dt=subject.grid.dt, prompt=caption)
        write_tiff(out / "video.tif", video)
        write_mp4(out / "video.mp4", video, options.world.fps)
        metrics = measure(options, subject, drawn)
        if tracker:
            tell(tracker, drawn, metrics)
    return metrics


def tell(tracker: Tracker, drawn: Arm, metrics: dict[str, Any]) -> None:
    """Send steps and metrics to a tracker; a service that fails now is named, and costs no run.

    One that cannot be opened fails the run before anything is drawn.
    """
    try:
        for record in drawn.log.steps:
            tracker.log(record.as_json(), step=record.step)
        tracker.log(metrics)
    except Exception as error:
        log.warning("the tracker may lack a part of this run: %s: %s", type(error).__name__, error)


def value_of(metrics: dict[str, Any], path: str | None) -> float:
    """A number in nested metrics by its dotted path; NaN without a path, or where it could not be measured.

    Raises: InvalidArgument for a path to no number.

    >>> value_of({"violation": {"mass": 0.5}}, "violation.mass")
    0.5
    >>> value_of({"violation": {"mass": 0.5}}, "violation.mss")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: objective='violation.mss': allowed: violation.mass (did you mean 'violation.mass'?)
    """
    if path is None:
        return float("nan")
    node: Any = metrics
    for place, key in enumerate(keys := path.split(".")):
        if node is None:
            break
        if not isinstance(node, dict):
            raise InvalidArgument("objective", path, f"{'.'.join(keys[:place])}, which has no parts")
        if key not in node:
            raise one_of("objective", path, (".".join([*keys[:place], name]) for name in node))
        node = node[key]
    if node is not None and not isinstance(node, int | float):
        raise InvalidArgument("objective", path, "a number of metrics.json, such as violation.mass")
    return float("nan") if node is None else float(node)
