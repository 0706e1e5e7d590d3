"""Cells of a file: how many, their divisions and lineage, labels and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from physgen.experiments.audit.moving.report import Movie, Moving, Rows, Scale, show
from physgen.experiments.pages.charts import Chart, Series
from physgen.measure import Lineage, measure_cells

#: frames of the overlay
SHOWN = 6


def report_cells(movie: Movie, scale: Scale, times: list[float] | None) -> Moving:
    """Cells followed with their divisions."""
    found = measure_cells(movie)
    stamps = times or [scale.dt * t for t in range(len(movie))]
    measured = found.reason is None
    divisions, every = found.divisions, scale.part.every
    numbers = {
        "count": found.count if measured else None,
        "n_cells": len(found.cells),
        "n_divisions": len(divisions) if measured else None,
        "divisions": [{"frame": every * t, "mother": mother, "daughters": born} for t, mother, born in divisions],
        "measured": measured,
        "reason": found.reason,
    }
    if not measured:
        return Moving("cells", numbers, f"not measured: {found.reason}")
    count = found.count
    words = (
        f"{count[0]} cells in the first frame, {count[-1]} in the last, {max(count)} at most; "
        f"{len(divisions)} division{'s' * (len(divisions) != 1)} seen"
    )
    chart = Chart(
        "Cells", f"time ({scale.time})", "cells", [Series("counted", stamps, count, dots=True)], from_zero=True
    )
    return Moving(
        "cells",
        numbers,
        words,
        tables={
            "objects": object_rows(found, scale, stamps),
            "lineage": lineage_rows(found, scale, stamps),
            "count": [
                {"FRAME": every * t, f"time_{scale.time}": stamp, "cells": cells}
                for t, (stamp, cells) in enumerate(zip(stamps, count, strict=True))
            ],
        },
        layers={"labels": found.labels},
        charts={"count": chart},
        pictures={
            "overlay": lambda axes: _overlay(axes, movie, found, scale),
            "lineage": lambda axes: _tree(axes, found, scale, stamps),
        },
    )


def object_rows(found: Lineage, scale: Scale, times: list[float]) -> Rows:
    """Rows of all objects, columns as TrackMate calls them; the track is the cell."""
    dy, dx = scale.spacing
    places = scale.places(np.column_stack([found.y, found.x])) * scale.pixel
    return [
        {
            "LABEL": f"ID{k}",
            "ID": k,
            "TRACK_ID": int(found.cell[k]),
            "POSITION_X": float(places[k, 1]),
            "POSITION_Y": float(places[k, 0]),
            "POSITION_Z": 0.0,
            "POSITION_T": float(times[found.frame[k]]),
            "FRAME": int(scale.part.every * found.frame[k]),
            "RADIUS": float(np.sqrt(found.area[k] * dx * dy / np.pi)),
            "AREA": float(found.area[k] * dx * dy),
            "MEAN_INTENSITY_CH1": float(found.brightness[k]),
        }
        for k in range(len(found.frame))
    ]


def lineage_rows(found: Lineage, scale: Scale, times: list[float]) -> Rows:
    """Rows of the cells: first and last frame, mother, 0 for none, and the fate."""
    mothers = set(found.mother.values())
    rows = []
    for cell in found.cells:
        frames = found.frame[found.cell == cell]
        rows.append(
            {
                "TRACK_ID": cell,
                "FIRST_FRAME": int(scale.part.every * frames.min()),
                "LAST_FRAME": int(scale.part.every * frames.max()),
                "TRACK_START": float(times[frames.min()]),
                "TRACK_STOP": float(times[frames.max()]),
                "MOTHER": found.mother.get(cell, 0),
                "DIVIDES": cell in mothers,
            }
        )
    return rows


def _overlay(axes: Any, movie: Movie, found: Lineage, scale: Scale) -> None:
    """A few frames side by side, outlines and numbers on them."""
    from skimage.segmentation import find_boundaries

    taken = np.unique(np.linspace(0, len(movie) - 1, SHOWN).round().astype(int))
    height, width = movie.shape[1:]
    columns = min(3, len(taken))
    rows = -(-len(taken) // columns)
    sheet, lines = np.zeros((rows * height, columns * width)), np.zeros((rows * height, columns * width), dtype=bool)
    for k, t in enumerate(taken):
        y, x = k // columns * height, k % columns * width
        sheet[y : y + height, x : x + width] = movie[t]
        lines[y : y + height, x : x + width] = find_boundaries(found.labels[t], mode="inner")
        axes.text(x + 2, y + 2, f"frame {scale.part.every * t}", color="white", fontsize=7, verticalalignment="top")
        for i in np.flatnonzero(found.frame == t):
            axes.text(
                x + found.x[i], y + found.y[i], str(found.cell[i]), color="#f0e442", fontsize=7, fontweight="bold",
                horizontalalignment="center", verticalalignment="center",
            )  # fmt: skip
    show(axes, sheet)
    axes.imshow(np.ma.masked_where(~lines, lines), cmap="autumn", interpolation="nearest")
    axes.set_axis_off()


def _tree(axes: Any, found: Lineage, scale: Scale, times: list[float]) -> None:
    """Each cell a line in time, daughters joined to their mother."""
    place: dict[int, float] = {}

    def put(cell: int) -> None:
        born = [daughter for daughter, mother in found.mother.items() if mother == cell]
        for daughter in born[: len(born) // 2]:
            put(daughter)
        place[cell] = len(place)
        for daughter in born[len(born) // 2 :]:
            put(daughter)

    for cell in found.cells:
        if cell not in found.mother:
            put(cell)
    for cell, y in place.items():
        frames = found.frame[found.cell == cell]
        start, stop = times[frames.min()], times[frames.max()]
        axes.plot([start, stop], [y, y], color="#0072b2", linewidth=1.5)
        axes.text(stop, y, f" {cell}", fontsize=6, verticalalignment="center")
        if cell in found.mother:
            mother = found.mother[cell]
            end = times[found.frame[found.cell == mother].max()]
            axes.plot([end, start], [place[mother], y], color="#d55e00", linewidth=1.0)
    axes.set(
        xlabel=f"time ({scale.time})", yticks=[], title=f"{len(found.divisions)} divisions among {len(place)} cells"
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
