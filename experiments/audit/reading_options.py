"""What the options of `physgen audit` make of a video: fields to measure, on a grid."""

from __future__ import annotations

from typing import Any

from physgen.arguments import finite
from physgen.errors import InvalidArgument
from physgen.experiments.cli.schema import AuditConfig
from physgen.grid import Grid
from physgen.observables import Intensity, Observable
from physgen.video import Selection, Video

OBSERVABLES = ("auto", "dye", "intensity")


def check_options(config: AuditConfig) -> None:
    """Refuse options that no video could be measured with.

    Raises: InvalidArgument.
    """
    if config.observable not in OBSERVABLES:
        raise InvalidArgument("observable", config.observable, ", ".join(OBSERVABLES))
    finite("tolerance", config.tolerance, "a finite number >= 0", lambda value: value >= 0)
    if config.background != "auto":
        finite("background", config.background, "auto, or a finite number")
    if config.memory is not None:
        finite("memory", config.memory, "GiB, a finite number > 0", lambda value: value > 0)
    selection(config)


def selection(config: AuditConfig) -> dict[str, Any]:
    """The options that say which part of a file is read, as `physgen.video.Selection` takes them.

    Raises: InvalidArgument.
    """
    wanted = {name: getattr(config, name) for name in ("channel", "series", "axis", "plane", "crop", "every", "scale")}
    Selection(**wanted)
    return wanted


def choose_observable(video: Video, config: AuditConfig, prompt: str | None, dye: bool) -> tuple[Observable, float]:
    """The world's colour map, or brightness, and the file's counts in a unit of it."""
    if dye:
        return config.world.observable(prompt or ""), 1.0
    return Intensity(background=background_counts(video, config) / video.scale), video.scale


def background_counts(video: Video, config: AuditConfig) -> float:
    """Brightness of empty space that is taken off, in the file's counts; negative where a file's is below 0.

    Raises: InvalidArgument for ``auto`` where none can be estimated, and for one that leaves nothing of any pixel.
    """
    counts = video.background if config.background == "auto" else float(config.background)
    if counts is None:
        raise InvalidArgument("background", "auto", "a number, in counts: none can be estimated from this file")
    if counts >= video.scale:
        raise InvalidArgument("background", config.background, f"below {video.scale:g}, the counts that are white")
    return counts


def physical_scale(video: Video, config: AuditConfig, prompt: str | None) -> tuple[Grid, dict[str, str], list[str]]:
    """Grid of the frames as they are read: from the options, else from the file, else in pixels and frames.

    Options state pixels and frames of the file. Those that are read are ``1 / scale`` and ``every`` times as far apart.
    A file without a scale is measured in its own pixels and frames, which is noted.

    Raises: InvalidArgument.
    """
    part = Selection(**selection(config))
    spacing, dt, notes = video.spacing, video.dt, []
    if config.spacing is not None:
        pair = config.spacing if isinstance(config.spacing, list | tuple) else [config.spacing] * 2
        if len(pair) != 2 or any(isinstance(length, bool) for length in pair):
            raise InvalidArgument("spacing", config.spacing, "a length or [dy, dx], µm")
        dy, dx = (finite("spacing", one, "a finite number > 0, µm", lambda length: length > 0) for one in pair)
        spacing = (part.block * dy, part.block * dx)
    if config.dt is not None:
        dt = part.every * finite("dt", config.dt, "a finite number > 0, s", lambda interval: interval > 0)
    if dt is None and video.times is not None:
        dt = (video.times[-1] - video.times[0]) / (len(video.times) - 1)
        notes.append(f"the mean frame interval, {dt:.4g} s, is shown; rates are by the file's own times")
    boundary = config.boundary or (config.world.grid(prompt).boundary if prompt else "no-flux")
    units = {"length": "µm" if spacing is not None else "px", "time": "s" if dt is not None else "frame"}
    if spacing is None:
        spacing = (float(part.block), float(part.block))
        notes.append("no pixel size in the file: lengths in px (give spacing=µm)")
    if dt is None:
        dt = float(part.every)
        notes.append("no frame interval in the file: times in frames (give dt=s)")
    return Grid(spacing=spacing, dt=dt, boundary=boundary), units, notes
