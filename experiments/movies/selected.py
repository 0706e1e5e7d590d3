"""A part of a file that options choose, and errors that name these options."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument
from physgen.video import Video, read_video
from physgen.video.recording import Selection


def read_selected(path: str | Path, group: str, **selection: Any) -> Video:
    """`physgen.video.read_video`, whose selection is options of a group: ``GROUP.channel``, ``GROUP.axis``, ...

    Raises: as `read_video`, with the names of the options.

    >>> read_selected("a.tif", "cut", axis="time")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: cut.axis='time': allowed: the letter of the axis that is time: t, z, …
    """
    try:
        return read_video(path, **selection)
    except InvalidArgument as error:
        place, colon, name = error.name.rpartition(": ")
        if name not in {field.name for field in fields(Selection)}:
            raise
        raise InvalidArgument(f"{place}{colon}{group}.{name}", error.got, error.allowed) from error
