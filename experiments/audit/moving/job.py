"""`measure=` of an audit: what is asked for, measured, and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from physgen.errors import InvalidArgument
from physgen.experiments.audit.fields import Fields
from physgen.experiments.audit.moving.cells import report_cells
from physgen.experiments.audit.moving.faults import report_faults
from physgen.experiments.audit.moving.flow import report_flow
from physgen.experiments.audit.moving.regions import report_regions
from physgen.experiments.audit.moving.report import Movie, Moving, Rows, Scale
from physgen.experiments.audit.moving.tracks import report_tracks
from physgen.experiments.runs.tables import write_csv, write_parquet

Report = Callable[[Movie, Scale, list[float] | None], Moving]
KINDS: dict[str, Report] = {
    "tracks": report_tracks,
    "flow": report_flow,
    "cells": report_cells,
    "regions": report_regions,
    "faults": report_faults,
}


def check_measure(measure: Any) -> list[str]:
    """Kinds of measurement that are asked for.

    Raises: InvalidArgument.

    >>> check_measure("flow"), check_measure(None)
    (['flow'], [])
    >>> check_measure("x")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: measure='x': allowed: null, tracks, flow, cells, regions, faults, or a list of them
    """
    kinds = [] if measure is None else [measure] if isinstance(measure, str) else measure
    if not isinstance(kinds, Sequence) or any(kind not in KINDS for kind in kinds) or len(set(kinds)) < len(kinds):
        raise InvalidArgument("measure", measure, f"null, {', '.join(KINDS)}, or a list of them")
    return list(kinds)


def measure_moving(read: Fields, kinds: Sequence[str], times: Sequence[float] | None) -> list[Moving]:
    """Measure what moves in the brightness of a file, all species together, in its counts."""
    if not kinds:
        return []
    movie = read.counts * read.values[0].sum(0).numpy()
    spacing = (float(read.grid.spacing[0]), float(read.grid.spacing[1]))
    scale = Scale(spacing, float(read.grid.dt), read.units, read.part)
    return [KINDS[kind](movie, scale, list(times) if times is not None else None) for kind in kinds]


def write_moving(folder: Path, found: Sequence[Moving]) -> None:
    """Tables as CSV and, where duckdb is installed, parquet; layers as TIFF; charts and pictures as PNG."""
    for item in found:
        place = folder / item.kind
        place.mkdir(parents=True, exist_ok=True)
        for name, rows in item.tables.items():
            if rows:
                _write_table(place, name, rows)
        for name, labels in item.layers.items():
            axes = "TYX" if labels.ndim == 3 else "YX"
            tifffile.imwrite(place / f"{name}.tif", labels.astype(np.uint32), metadata={"axes": axes})
        for name, chart in item.charts.items():
            _draw(place / f"{name}.png", chart.draw, (6.5, 4.0), chart.title)
        for name, draw in item.pictures.items():
            _draw(place / f"{name}.png", draw, (8.0, 6.0))


def _write_table(place: Path, name: str, rows: Rows) -> None:
    write_csv(place / f"{name}.csv", rows)
    if name.startswith("napari"):
        return
    try:
        write_parquet(place / f"{name}.parquet", rows)
    except InvalidArgument:  # duckdb is an extra
        return


def _draw(path: Path, draw: Callable[[Any], None], size: tuple[float, float], title: str = "") -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=130, layout="constrained")
    axes = figure.subplots()
    if title:
        axes.set_title(title)
    draw(axes)
    figure.savefig(path)
