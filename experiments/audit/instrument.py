"""What the options of `physgen audit` make of a video: fields to measure, on a grid."""

from __future__ import annotations

from physgen.errors import InvalidArgument
from physgen.experiments.cli.schema import AuditConfig
from physgen.grid import Grid, finite
from physgen.observables import Intensity, Observable
from physgen.video.files import Video

OBSERVABLES = ("auto", "dye", "intensity")


def check_options(config: AuditConfig) -> None:
    """Refuse options that no video could be measured with.

    Raises: InvalidArgument.
    """
    if config.observable not in OBSERVABLES:
        raise InvalidArgument("observable", config.observable, ", ".join(OBSERVABLES))
    finite("tolerance", config.tolerance, "a finite number >= 0", lambda value: value >= 0)


def choose_observable(video: Video, config: AuditConfig, prompt: str | None, dye: bool) -> tuple[Observable, float]:
    """The world's colour map, or brightness, and the file's counts in a unit of it."""
    if dye:
        return config.world.observable(prompt or ""), 1.0
    return Intensity(background=config.background / video.scale), video.scale


def physical_scale(video: Video, config: AuditConfig, prompt: str | None) -> tuple[Grid, dict[str, str], list[str]]:
    """Grid from the options, else from the file, else in pixels and frames, which is noted."""
    spacing = config.spacing if config.spacing is not None else video.spacing
    dt = config.dt if config.dt is not None else video.dt
    boundary = config.boundary or (config.world.grid(prompt).boundary if prompt else "no-flux")
    units = {"length": "µm" if spacing is not None else "px", "time": "s" if dt is not None else "frame"}
    notes = []
    if spacing is None:
        notes.append("no pixel size in the file: lengths in px (give spacing=µm)")
    if dt is None:
        notes.append("no frame interval in the file: times in frames (give dt=s)")
    pair = (1.0, 1.0) if spacing is None else (spacing, spacing) if isinstance(spacing, int | float) else tuple(spacing)
    if len(pair) != 2:
        raise InvalidArgument("spacing", config.spacing, "a length or [dy, dx], µm")
    return Grid(spacing=pair, dt=1.0 if dt is None else dt, boundary=boundary), units, notes
