"""How far a video is from the law of its family, where something moves: vessels, beads, sheets and vesicles.

Each figure is 0 where the law holds, and so it is, nearly, for the simulators. A constant that the prompt names, the
diffusivity of beads or the period of a beat, is compared with the simulator's range by its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physgen.constraints import Count, Periodic, Permanence, Progression, Static, Transport
from physgen.grid import Grid
from physgen.measure.diffusion import STEPS, Diffusion, measure_diffusion
from physgen.measure.linking import link_spots
from physgen.measure.spots import find_spots
from physgen.measure.unusable import why_unusable
from physgen.simulators import beads, sheet, vesicles, vessel

Array = npt.NDArray[np.float64]

#: radius of a red cell, and of a bead's spot with the farthest that beads go in a frame, µm
RED_CELL = 4.0
BEAD, BEAD_REACH = 0.6, 1.4
#: what is measured in the place of a figure where nothing can be followed, or nothing repeats itself
UNMEASURED = 1.0
#: beads that are followed at least: their spread tells the error
TRACKS = 3

_FLOW, _WALLS, _BEAT, _FALLS, _NUMBER = (
    Transport(steady=True),
    Static(),
    Periodic(),
    Progression(direction="shrinks"),
    Count(1),
)


def vessel_law(fields: Array) -> dict[str, float]:
    """What no steady flow explains, cells that come or go, and walls that move.

    Of ``(erythrocytes, lumen, wall)`` ``[3, T, H, W]``: part of the change from frame to frame; cells away from the
    edge, beyond a half; largest deviation of lumen and wall in a frame, relative to their contrast.
    """
    cells, layers = _batch(fields[:1]), _batch(fields[1:])
    explained = float(_FLOW.describe(cells, vessel.GRID)["explained"][0])
    return {
        "flow_unexplained": 1.0 - explained,
        "cells_loose": loose(cells, Permanence(RED_CELL), vessel.GRID),
        "walls_moved": float(_WALLS.residual(layers, vessel.GRID).square().sum(3).sqrt().max()),
    }


def beads_law(fields: Array, attributes: Mapping[str, str]) -> dict[str, float]:
    """Light that is lost, beads that come or go, and spread that is not Brownian, or not that of the words.

    Of the brightness ``[1, T, H, W]``: largest change of its sum, relative; beads beyond a half; distance of the
    diffusivity, a logarithm, from the words' range, and of the exponent of the mean squared displacement from 1.
    """
    mass = fields[0].sum((1, 2))
    found = followed(fields[0])
    slow, fast = beads.RADII[attributes["speed"]][::-1]
    expected = (beads.stokes_einstein(slow), beads.stokes_einstein(fast))
    return {
        "light_drift": float(np.abs(mass - mass[0]).max() / max(abs(mass[0]), 1e-12)),
        "beads_loose": loose(_batch(fields), Permanence(BEAD, BEAD_REACH), beads.GRID),
        "diffusivity_outside": UNMEASURED if found is None else log_outside(found.coefficient[1:], expected),
        "exponent_outside": UNMEASURED if found is None else outside(found.exponent[1:], (1.0, 1.0)),
    }


def sheet_law(fields: Array, attributes: Mapping[str, str]) -> dict[str, float]:
    """What no waveform of one period explains, and a period that is not that of the words.

    Of ``(actin, nuclei)`` ``[2, T, H, W]``: largest part of the motion in a frame, beyond what three harmonics leave of
    true beats; distance of the period, a logarithm, from the words' range.
    """
    both = _batch(fields)
    fit = _BEAT.fit(both, sheet.GRID)
    if not fit.measured[0]:
        return {"beat_unexplained": UNMEASURED, "period_outside": UNMEASURED}
    left = float(_BEAT.residual(both, sheet.GRID).square().mean((1, 3)).sqrt().max())
    low, high = fit.intervals["period"][0]
    return {
        "beat_unexplained": max(0.0, left - _BEAT.true_within),
        "period_outside": log_outside((low, high), sheet.PERIOD[attributes["speed"]]),
    }


def vesicles_law(fields: Array) -> dict[str, float]:
    """Content that changes, membrane that grows, and vesicles that come.

    Of ``(content, membrane)`` ``[2, T, H, W]``: largest change of the sum of the content, relative; distance of the
    membrane from the nearest course that falls, over its size; vesicles more than there were before.
    """
    content = fields[0].sum((1, 2))
    number = _NUMBER.hard_count(_batch(fields[:1]), vesicles.GRID)[0, 0].numpy()
    return {
        "content_drift": float(np.abs(content - content[0]).max() / max(abs(content[0]), 1e-12)),
        "membrane_rises": float(_FALLS.residual(_batch(fields[1:]), vesicles.GRID).abs().max()),
        "number_rises": float((number - np.minimum.accumulate(number)).max()),
    }


def followed(movie: Array) -> Diffusion | None:
    """Diffusion of the beads ``[T, H, W]``, no drift taken off; None where fewer than `TRACKS` can be followed."""
    movie = np.ascontiguousarray(movie)
    if why_unusable(movie):
        return None
    links = link_spots(find_spots(movie))
    places, tracks = np.column_stack([links.spots.y, links.spots.x]) * beads.GRID.spacing, links.tracks(STEPS + 1)
    frames = [links.spots.frame[track] for track in tracks]
    return measure_diffusion(frames, [places[track] for track in tracks], beads.GRID.dt, fewest=TRACKS)


def loose(fields: Tensor, law: Permanence, grid: Grid) -> float:
    """Most objects, beyond a half, that appear or vanish from a frame to the next."""
    return max(0.0, float(law.residual(fields, grid).max()) - law.true_within)


def outside(found: tuple[float, float], expected: tuple[float, float]) -> float:
    """Distance of two intervals, 0 where they overlap.

    >>> outside((0.9, 1.2), (1.0, 1.0)), round(outside((1.5, 1.8), (1.0, 1.0)), 3)
    (0.0, 0.5)
    """
    return max(0.0, found[0] - expected[1], expected[0] - found[1])


def log_outside(found: tuple[float, float], expected: tuple[float, float]) -> float:
    """Distance of the logarithms of two intervals of positive numbers, 0 where they overlap.

    >>> round(log_outside((2.0, 3.0), (0.5, 1.0)), 3)
    0.693
    """
    low, high = np.log(np.maximum(found, 1e-9))
    return outside((float(low), float(high)), (float(np.log(expected[0])), float(np.log(expected[1]))))


def _batch(fields: Array) -> Tensor:
    """``[1, S, T, H, W]`` in float32."""
    return torch.from_numpy(fields).float()[None]
