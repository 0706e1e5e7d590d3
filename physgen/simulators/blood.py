"""Red cells carried by laminar (Poiseuille) flow in a straight vessel.

    v(y) = v_max (1 - (y / R)^2)

Cells keep to lanes, so they never overlap, and leave at one end to enter at the other: their number is conserved, and
their area to 1 % (the pixels of their edges). The frame is periodic along the vessel; the vessel is some 40 µm wide.
Red cell 8 µm (ASME SBC2012); capillary speed 0.77 +- 0.24 mm/s (Mathura et al. 2001).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, render, sigmoid
from physgen.simulators.captions import Grammar, Split, draw

GRID = Grid(spacing=(1.0, 1.0), dt=0.0015, boundary="periodic")
#: peak speed in um/s
SPEED = {"slowly": (250.0, 400.0), "fast": (700.0, 900.0)}
COUNTS = {"a few": (3, 5), "many": (9, 13)}
DIRECTIONS = {"right": (False, 1.0), "left": (False, -1.0), "down": (True, 1.0), "up": (True, -1.0)}
TISSUE = np.array([0.80, 0.62, 0.52])
LUMEN = np.array([0.14, 0.24, 0.26])
WALL = np.array([-0.22, -0.26, -0.24])
ERYTHROCYTE = np.array([-0.24, -0.72, -0.64])

GRAMMARS = {
    "flow": Grammar(
        {"direction": tuple(DIRECTIONS), "speed": tuple(SPEED), "count": tuple(COUNTS)},
        (
            "{count} red blood cells flow {direction} {speed} through a vessel",
            "a capillary with {count} erythrocytes moving {direction} {speed}",
            "{count} red cells carried {direction} {speed} by laminar blood flow",
        ),
    )
}


def poiseuille(y: Array, peak: float, radius: float) -> Array:
    """Parabolic speed profile, zero at the wall.

    >>> poiseuille(np.array([0.0, 5.0, 10.0]), 800.0, 10.0).tolist()
    [800.0, 600.0, 0.0]
    """
    return peak * (1.0 - (y / radius) ** 2)


def lanes(half_width: float, cell_radius: float, rng: np.random.Generator) -> Array:
    """Lane centres at least one cell diameter apart, inside the vessel."""
    reach = half_width - cell_radius - 0.8
    pitch = 2.0 * cell_radius + 0.8
    count = int(2.0 * reach / pitch) + 1
    slack = 2.0 * reach - (count - 1) * pitch
    return -reach + rng.uniform(0.0, slack) + pitch * np.arange(count)


def place(count: int, lane_centres: Array, cell_radius: float, length: float, rng: np.random.Generator) -> Array:
    """Cell positions ``[N, 2]`` as ``(along, across)``: spread over the lanes, apart within each lane."""
    per_lane = np.full(len(lane_centres), count // len(lane_centres))
    per_lane[rng.permutation(len(lane_centres))[: count % len(lane_centres)]] += 1
    positions = []
    for centre, cells in zip(lane_centres, per_lane, strict=True):
        if cells:
            gap = length / cells
            slack = max(gap - 2.0 * cell_radius - 1.6, 0.0)
            along = gap * np.arange(cells) + rng.uniform(0.0, slack, cells) + rng.uniform(0.0, length)
            positions += [(a % length, centre) for a in along]
    return np.array(positions)


def biconcave(distance: Array, radius: float) -> Array:
    """Coverage at a distance in pixels from the middle of a disc that is thinner there.

    >>> biconcave(np.array([0.0, 3.0, 9.0]), 4.0).round(1).tolist()
    [0.6, 0.9, 0.0]
    """
    return sigmoid((radius - distance) / 0.45) * (1.0 - 0.35 * np.exp(-((distance / (0.45 * radius)) ** 2)))


def cell_coverage(
    positions: Array, velocity: Array, times: Array, cell_radius: float, centre: float, size: int
) -> Array:
    """Coverage ``[T, H, W]`` of biconcave discs moving along x on a periodic line."""
    coverage = np.zeros((len(times), size, size))
    x, y = np.arange(size), np.arange(size)
    for (start, lane), speed in zip(positions, velocity, strict=True):
        middle = centre + lane
        rows = slice(max(int(middle - cell_radius) - 4, 0), int(middle + cell_radius) + 6)
        offset = (x - (start + speed * times[:, None]) + size / 2) % size - size / 2
        distance = np.hypot(offset[:, None, :], y[rows, None] - middle)
        coverage[:, rows] = np.maximum(coverage[:, rows], biconcave(distance, cell_radius))
    return coverage


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """Blood flow; ``fields`` is ``(erythrocytes, lumen, wall)`` coverage.

    >>> clips = simulate(1, rng=np.random.default_rng(0))
    >>> area = clips.fields[0, 0].sum((1, 2), dtype=np.float64)
    >>> bool(np.ptp(area) / area.mean() < 2e-2)
    True
    """
    chosen = draw(GRAMMARS, (1.0,), batch, split, rng, attributes)
    spacing = GRID.spacing[0] * 64 / size
    fields = np.empty((batch, 3, frames, size, size), np.float32)
    parameters = []
    axis = np.arange(size)
    for index, attribute in enumerate(chosen):
        turned, sign = DIRECTIONS[attribute["direction"]]
        half_width = rng.uniform(18.0, 24.0) / spacing
        centre = rng.uniform(30.0, 33.0) / spacing
        cell_radius = rng.uniform(3.8, 4.3) / spacing
        peak = rng.uniform(*SPEED[attribute["speed"]])
        lane_centres = lanes(half_width, cell_radius, rng)
        positions = place(int(rng.integers(*COUNTS[attribute["count"]])), lane_centres, cell_radius, float(size), rng)
        velocity = sign * poiseuille(positions[:, 1], peak, half_width) / spacing
        cells = cell_coverage(
            positions, velocity, GRID.dt * np.arange(frames, dtype=np.float64), cell_radius, centre, size
        )
        across = np.abs(axis - centre) - half_width
        lumen, wall = (
            np.broadcast_to(f[:, None], (size, size)) for f in (sigmoid(-across / 0.7), np.exp(-((across / 1.8) ** 2)))
        )
        stacked = np.stack([cells, *(np.broadcast_to(f, cells.shape) for f in (lumen, wall))])
        fields[index] = stacked.swapaxes(-1, -2) if turned else stacked
        parameters.append(
            {
                "v_max": peak,
                "radius": half_width * spacing,
                "cell_radius": cell_radius * spacing,
                "cells": float(len(positions)),
            }
        )
    colours = np.broadcast_to(np.stack([ERYTHROCYTE, LUMEN, WALL]), (batch, 3, 3))
    return Clips(
        video=render(fields, colours, TISSUE),
        fields=fields,
        species=("erythrocytes", "lumen", "wall"),
        unit="coverage",
        captions=[GRAMMARS["flow"].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=parameters,
        grid=Grid(spacing=(spacing, spacing), dt=GRID.dt, boundary=GRID.boundary),
    )
