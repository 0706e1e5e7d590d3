"""False alarms: what the instruments say of real microscopy, in which nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from physgen.experiments.instruments.examine import examine
from physgen.experiments.instruments.registry import DOMAINS, MICROSCOPY
from physgen.experiments.measure.tables import Table
from physgen.simulators.base import FRAMES, SIZE
from physgen.video import read_video

Row = dict[str, Any]


def views(video: Float[Tensor, "T 3 H W"]) -> Iterator[tuple[str, Float[Tensor, "t 3 h w"]]]:
    """The first and the last `FRAMES` frames of a movie, each whole and in tiles of `SIZE` pixels.

    They overlap and show the same cells, so what is measured on them is not independent. The movie itself where it is
    too short.
    """
    frames, _, height, width = video.shape
    starts = sorted({0, frames - FRAMES}) if frames >= FRAMES else []
    if not starts:
        yield "whole", video
    for start in starts:
        part, name = video[start : start + FRAMES], f"frames {start + 1} to {start + FRAMES}"
        yield f"{name}, whole", part
        for y in range(0, height - SIZE + 1, SIZE):
            for x in range(0, width - SIZE + 1, SIZE):
                yield f"{name}, tile ({y}, {x})", part[:, :, y : y + SIZE, x : x + SIZE]


def alarms(files: Sequence[str], alpha: float) -> list[Row]:
    """Readings of every view of every movie: statistic, p-value and whether it is an alarm, p < alpha.

    Raises: as `read_video`.
    """
    rows = []
    for file in files:
        for view, video in views(read_video(file).frames):
            readings = examine(video)
            rows.append(
                {
                    "movie": Path(file).name,
                    "view": view,
                    "read": {n: [r.statistic, r.p_value, r.p_value < alpha] for n, r in readings.items()},
                }
            )
    return rows


def tables(rows: Sequence[Row], alpha: float) -> list[Table]:
    """Alarms by movie and instrument, and the readings of the views that show the whole picture."""
    movies = list(dict.fromkeys(row["movie"] for row in rows))
    counted, whole = [], []
    for movie in movies:
        mine = [row for row in rows if row["movie"] == movie]
        cells = []
        for name in DOMAINS[MICROSCOPY]:
            read = [row["read"][name] for row in mine if name in row["read"]]
            cells.append(f"{sum(r[2] for r in read)} of {len(read)}" if read else "not measured")
        counted.append([movie, *cells])
        whole += [
            [movie, row["view"], *(_cell(row["read"], name) for name in DOMAINS[MICROSCOPY])]
            for row in mine
            if "whole" in row["view"]
        ]
    return [
        Table(
            f"Alarms on real microscopy, p < {alpha:g}, of views of a movie", ["movie", *DOMAINS[MICROSCOPY]], counted
        ),
        Table("Statistic and p-value", ["movie", "view", *DOMAINS[MICROSCOPY]], whole),
    ]


def _cell(read: Row, name: str) -> str:
    return f"{read[name][0]:.3g} (p = {read[name][1]:.3f})" if name in read else "–"
