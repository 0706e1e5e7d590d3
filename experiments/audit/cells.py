"""One verdict a cell: every cell of a movie is cropped, and the order of its phases read by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, PhaseOrder
from physgen.constraints.mitosis.constraint import LEAPED
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.measure import Cell, find_cells
from physgen.places import Places, file_frame, file_point
from physgen.video import Video

#: share of its frames that a cell may touch the edge of the movie in
AT_EDGE = 0.25
#: orders of cells of which nothing is said
UNREAD = ("edge", "no division", "nothing", "several cells")


@dataclass(frozen=True)
class CellReading:
    """One cell, the order of its phases, and that in words."""

    number: int
    law: str
    cell: Cell
    order: str
    reading: dict[str, Any]
    words: str

    def as_json(self, places: Places) -> dict[str, Any]:
        """All but the pixels, as ``metrics.json`` has it: ``start`` and ``centres`` are those of the file."""
        cell = {name: value for name, value in asdict(self.cell).items() if name != "crop"}
        cell["start"] = places.frame(self.cell.start)
        cell["centres"] = places.points(np.array(self.cell.centres)).tolist()
        return {
            "cell": self.number,
            "law": self.law,
            "frames": len(self.cell.crop),
            **cell,
            **self.reading,
            "order": self.order,
        }

    def film(self, grid: Grid, units: Mapping[str, str]) -> Video:
        """The crop, its brightest pixel white; without a scale where units are pixels and frames."""
        crop = torch.from_numpy(self.cell.crop / max(self.cell.crop.max(), 1e-12)).float()
        return Video(
            crop[:, None].expand(-1, 3, -1, -1),
            spacing=(grid.spacing[0], grid.spacing[1]) if units["length"] == "µm" else None,
            dt=grid.dt if units["time"] == "s" else None,
        )


def check_cells(cells: str | None, laws: Mapping[str, Constraint]) -> None:
    """Refuse to read cells where no law reads them.

    Raises: InvalidArgument.

    >>> check_cells("auto", {})
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: cells='auto': allowed: null, unless constraint=phase_order
    """
    if cells not in (None, "auto"):
        raise InvalidArgument("cells", cells, "null, auto")
    orders = [law for law in laws.values() if isinstance(law, PhaseOrder)]
    if cells and not orders:
        raise InvalidArgument("cells", cells, "null, unless constraint=phase_order")
    if cells and any(law.cell is not None for law in orders):
        raise InvalidArgument("cells", cells, "null, unless the order of phases reads chromatin alone")


def read_cells(fields: Float[Tensor, "1 S T H W"], laws: Mapping[str, Constraint], grid: Grid) -> list[CellReading]:
    """The order of phases in every cell of a movie, by each `PhaseOrder` among the laws."""
    readings = []
    for name, law in laws.items():
        if not isinstance(law, PhaseOrder):
            continue
        cells = find_cells(fields[0, law.chromatin].numpy())
        for index, cell in enumerate(cells, start=1):
            crop = torch.from_numpy(cell.crop)[None, None].expand(1, law.chromatin + 1, -1, -1, -1)
            reading = {key: values[0] for key, values in law.describe(crop, grid).items()}
            order = why_unread(cell) or reading["order"]
            readings.append(CellReading(index, name, cell, order, reading, _in_words(index, cell, order, reading)))
    return readings


def why_unread(cell: Cell) -> str | None:
    """Why nothing is said of a cell: it is cut off by the ``edge``, or shows ``no division``."""
    if cell.at_edge > AT_EDGE:
        return "edge"
    return None if cell.divides else "no division"


def write_crops(folder: Path, readings: list[CellReading]) -> None:
    """Every cell as ``cell-N.tif``, above the background, other cells at 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for reading in readings:
        tifffile.imwrite(folder / f"cell-{reading.number}.tif", reading.cell.crop.astype(np.float32))


def _in_words(index: int, cell: Cell, order: str, reading: dict[str, Any]) -> str:
    row, column = file_point(*cell.centres[0])
    first, last = file_frame(cell.start), file_frame(cell.start + len(cell.crop) - 1)
    place = f"cell {index}, frames {first} to {last}, from row {row:.0f}, column {column:.0f}"
    if order == "edge":
        return f"{place}: not measured: at the edge of the movie"
    if order == "no division":
        return f"{place}: not measured: no division is seen"
    return f"{place}: {order_in_words(order, reading['log_ratio'], reading['gap'])}"


def order_in_words(order: str, log_ratio: float, gap: float) -> str:
    """What is said of the order of phases.

    >>> order_in_words("forward", 66.4, 0.3)
    'divides forward: log likelihood 66.4 above that of the reversed video'
    """
    if order in ("nothing", "several cells"):
        return f"not measured: {order} shown"
    above = f"log likelihood {abs(log_ratio):.1f} {'above' if log_ratio > 0 else 'below'} that of the reversed video"
    missing = ", a phase is missing" if gap > LEAPED else ""
    return f"undecided: {above}" if order == "undecided" else f"divides {order}: {above}{missing}"
