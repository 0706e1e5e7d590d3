"""A table of single values that were seen: where, when, and how much of what."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.observables import Observable
from physgen.worlds import WorldSpec

PLACE = ("frame", "y", "x")
#: name of the column of a single species
VALUE = "value"


def read_points(path: Path, spec: WorldSpec, observable: Observable) -> Float[Tensor, "S T H W"]:
    """Values at the points of a CSV file, NaN everywhere else.

    Its columns are frame, y and x (whole numbers, from 0, of the world's own pixels) and one for each species by its
    name, in the unit of the fields; of a single species the column may be called value. An empty cell was not seen; of
    several values of one place the mean is taken.

    Raises:
        InvalidArgument: a file that cannot be read, columns that are missing, unknown or there twice, a line with more
            cells than columns or that is not numbers, places outside the video.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            columns = table.fieldnames = [name.strip() for name in table.fieldnames or []]
            lines = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgument("observed", str(path), f"a table of points as CSV ({error})") from None
    species = list(observable.species)
    names = [VALUE] if len(species) == 1 and VALUE in columns else [name for name in species if name in columns]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InvalidArgument("observed", f"two columns {twice[0]!r} in {path.name}", "each column once")
    unknown = [name for name in columns if name not in (*PLACE, *names)]
    if not names or not set(PLACE) <= set(columns) or unknown:
        wanted = f"{', '.join(PLACE)}, and {' or '.join(species)}" + (f" (or {VALUE})" if len(species) == 1 else "")
        raise InvalidArgument("observed", f"columns {', '.join(columns) or 'none'} in {path.name}", wanted)
    size = len(species), spec.num_frames, spec.height, spec.width
    total, count = torch.zeros(size, dtype=torch.float64), torch.zeros(size)
    for number, line in enumerate(lines, 2):
        if surplus := line.get(None):
            got = f"{len(columns) + len(surplus)} cells in line {number} of {path.name}"
            raise InvalidArgument("observed", got, f"{len(columns)}, one of each column; with a decimal point: 0.75")
        place = tuple(_whole(line[name], path, number, name) for name in PLACE)
        if any(not 0 <= k < n for k, n in zip(place, size[1:], strict=True)):
            limits = ", ".join(f"{name} 0 to {n - 1}" for name, n in zip(PLACE, size[1:], strict=True))
            raise InvalidArgument("observed", f"{place} in line {number} of {path.name}", limits)
        for name in names:
            if (line[name] or "").strip():
                at = (species.index(name) if name in species else 0, *place)
                total[at] += _number(line[name], path, number, name)
                count[at] += 1
    if not bool(count.any()):
        raise InvalidArgument("observed", f"{path.name}, no value in {len(lines)} lines", "at least one point")
    return torch.where(count > 0, total / count, math.nan).float()


def _number(cell: str | None, path: Path, line: int, name: str) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidArgument("observed", f"{name}={cell!r} in line {line} of {path.name}", "finite numbers")
    return value


def _whole(cell: str | None, path: Path, line: int, name: str) -> int:
    value = _number(cell, path, line, name)
    if value != int(value):
        raise InvalidArgument("observed", f"{name}={cell!r} in line {line} of {path.name}", "whole pixels and frames")
    return int(value)
