"""What a text says of a movie: which way it flows, that its cells divide. A movie that runs backward breaks it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from physgen.constraints.course.isotonic import nearest_rising
from physgen.measure import Field, find_spots, measure_cells, measure_flow
from physgen.measure.flow import moving_part
from physgen.measure.piv import interpolate, warp

Movie = npt.NDArray[np.float64]

#: frames that a text is read off, at least and at most; px a frame that things go where it says which way; and standard
#: deviation of spots, px, that are large enough for cells
READ, GOES, LARGE = (8, 48), 0.75, 4.0


@dataclass(frozen=True)
class Text:
    """What is known of a movie: its flow, px a frame; or that there are more cells at its end than at its beginning."""

    flow: Field | None
    divides: bool


def read_text(movie: Movie) -> Text:
    """What a text could say of a movie, read off a part of it that is not judged."""
    movie = movie[-READ[1] :]
    if len(movie) < READ[0]:
        return Text(None, False)
    found = measure_flow(movie)
    if found.reason is None and found.speed_px is not None and found.speed_px[1] > GOES:
        return Text(found.field, False)
    if find_spots(movie[:1]).scale < LARGE:
        return Text(None, False)
    cells = measure_cells(movie)
    return Text(None, cells.reason is None and bool(cells.divisions) and cells.count[-1] > cells.count[0])


def runs_backward(movie: Movie, text: Text, y: int = 0, x: int = 0) -> bool | None:
    """Whether a piece of a movie, whose corner is at y and x, goes against its text; None where that says nothing.

    Flow: < g_t(x + d / 2) g_t+1(x - d / 2) > is larger than < g_t(x - d / 2) g_t+1(x + d / 2) >, the mean over valid
    places of the flow d and all frames. Cells: the course of their number is nearer to one that only falls than to one
    that only grows.
    """
    if text.flow is not None:
        height, width = movie.shape[1:]
        rows, columns = np.arange(float(height)) + y, np.arange(float(width)) + x
        carried = interpolate(text.flow, rows, columns)
        near = (np.abs(at[:, None] - line).argmin(0) for at, line in ((text.flow.y, rows), (text.flow.x, columns)))
        valid = text.flow.valid[np.ix_(*near)]
        seen = moving_part(movie)
        forward, backward = (
            float((valid * warp(seen[:-1], -sign * carried / 2) * warp(seen[1:], sign * carried / 2)).mean())
            for sign in (1, -1)
        )
        return backward > forward if valid.any() else None
    if not text.divides:
        return None
    found = measure_cells(movie)
    if found.reason is not None:
        return None
    count = np.array(found.count, dtype=float)
    rising, falling = (float(((_rising(sign * count) - sign * count) ** 2).sum()) for sign in (1, -1))
    return rising > falling


def _rising(course: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import torch

    return np.asarray(nearest_rising(torch.from_numpy(course)[None])[0].numpy())
