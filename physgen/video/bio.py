"""Microscope makers' formats and OME-Zarr, through bioio and its plug-ins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from physgen.errors import InvalidArgument
from physgen.video.axes import record
from physgen.video.recording import Array, Facts, Recording, Selection, choose
from physgen.video.scale import read_length, read_time


@dataclass(frozen=True)
class Lazy:
    """A dask array whose parts are computed when they are asked for."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def __getitem__(self, index: Any) -> Array:
        return np.asarray(self.array[index].compute())


@contextmanager
def open_bio(path: Path, selection: Selection) -> Iterator[Recording]:
    """A CZI, ND2, LIF or OME-Zarr file as a recording.

    Raises: InvalidArgument where bioio is not installed.
    """
    try:
        from bioio import BioImage
    except ImportError as error:
        raise InvalidArgument("video", str(path), "only with `pip install 'physgen[formats]'`") from error
    image = BioImage(path)
    scenes = tuple(image.scenes)
    if len(scenes) > 1 or selection.series is not None:
        image.set_scene(choose("series", selection.series, scenes))
    notes: list[str] = []
    samples = "S" in image.dims.order
    dy, dx = (read_length(size, unit, notes) for size, unit in _pixels(image, notes))
    yield record(
        Lazy(image.dask_data),
        image.dims.order,
        Facts(
            spacing=(dy, dx) if dy and dx else None,
            dt=_interval(image, notes),
            series=image.current_scene if len(scenes) > 1 else None,
            channels=() if samples else tuple(map(str, image.channel_names or ())),
            notes=tuple(notes),
        ),
        selection,
    )


def _pixels(image: Any, notes: list[str]) -> list[tuple[float | None, str]]:
    """Height and width of a pixel, each with its unit; µm where the plug-in names none."""
    try:
        sizes = image.physical_pixel_sizes
    except Exception as error:  # plug-ins raise what their file happens to lack
        notes.append(f"pixel size not read ({type(error).__name__})")
        return [(None, "µm"), (None, "µm")]
    return [(sizes.Y, _unit(image, "Y") or "µm"), (sizes.X, _unit(image, "X") or "µm")]


def _interval(image: Any, notes: list[str]) -> float | None:
    try:
        found = image.time_interval
    except Exception as error:  # plug-ins raise what their file happens to lack
        notes.append(f"frame interval not read ({type(error).__name__})")
        return None
    if isinstance(found, timedelta):
        return found.total_seconds() or None
    return read_time(found, _unit(image, "T") or "s", notes)


def _unit(image: Any, axis: str) -> str | None:
    unit = getattr(getattr(image.dimension_properties, axis, None), "unit", None)
    return None if unit is None else str(unit)
