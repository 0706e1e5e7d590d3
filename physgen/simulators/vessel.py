"""Red cells carried by laminar flow in vessels that are straight, bend, or split in two.

    dx/dt = v(x),  v = curl psi,  psi between two walls that of Poiseuille's parabola

Cells keep to streamlines, so they never overlap; the flow is plane, incompressible and steady, its walls stand still,
and the two daughters of a vessel share its flow by the cube law: see `streamlines`. Where a cell leaves the frame
another one comes in, so their number is constant in a stretch that is a little longer than the frame.
Sizes and speeds as in `blood`; cube law, Murray 1926, PNAS 12:207.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, pixel_axes, render, sigmoid
from physgen.simulators.blood import ERYTHROCYTE, LUMEN, SPEED, TISSUE, WALL, biconcave, lanes
from physgen.simulators.captions import Grammar, Split, draw
from physgen.simulators.streamlines import SIDE, Arc, Path
from physgen.simulators.streamlines import Split as Fork

GRID = Grid(spacing=(1.0, 1.0), dt=0.0015, boundary="open")
COUNTS = {"a few": (3, 6), "many": (8, 11)}
#: whether x and y are swapped, and whether the flow is turned round
DIRECTIONS = {"right": (False, False), "left": (False, True), "down": (True, False), "up": (True, True)}
#: radius of curvature of the axis, µm: of a straight one a metre
BENDS = {"straight": (1e6, 1e6), "curved": (44.0, 58.0)}
#: distance of the cells' middles, in diameters, at least
APART = 1.15

GRAMMARS = {
    "vessel": Grammar(
        {
            "direction": tuple(DIRECTIONS),
            "shape": ("straight", "curved", "branching"),
            "speed": tuple(SPEED),
            "count": tuple(COUNTS),
        },
        (
            "{count} red blood cells move {direction} {speed} through a {shape} vessel",
            "a {shape} capillary carries {count} erythrocytes {direction} {speed}",
            "blood with {count} red cells runs {direction} {speed} in a {shape} blood vessel",
        ),
    )
}


def draw_vessel(shape: str, peak: float, cell_radius: float, rng: np.random.Generator) -> tuple[Arc | Fork, list[Path]]:
    """A vessel whose flow goes along x, and the streamlines that its cells keep to.

    >>> vessel, paths = draw_vessel("branching", 800.0, 4.0, np.random.default_rng(0))
    >>> [bool(path.points[-1, 1] < vessel.tip[1]) for path in paths]
    [True, False]
    """
    if shape == "branching":
        tip = (rng.uniform(20.0, 26.0), rng.uniform(30.0, 34.0))
        fork = Fork(tip, rng.uniform(0.34, 0.46), rng.uniform(0.4, 0.6), rng.uniform(12.0, 13.0), peak)
        return fork, [fork.path(True, 0.46), fork.path(False, 0.54)]
    bend, half_width, up = rng.uniform(*BENDS[shape]), rng.uniform(11.5, 13.5), bool(rng.integers(2))
    sagitta = bend - np.sqrt(bend**2 - (SIDE / 2) ** 2)
    top = rng.uniform(31.0, 33.0) - (sagitta if up else -sagitta) / 2
    arc = Arc(bend, top + (bend if up else -bend), up, half_width, peak)
    return arc, [arc.path(n) for n in lanes(half_width, cell_radius, rng)]


def fill(count: int, paths: Sequence[Path], apart: float, times: Array, rng: np.random.Generator) -> Array:
    """Places ``[N, T, 2]`` as (x, y) of cells spread over paths, on each of them this far apart or more."""
    share = np.full(len(paths), count // len(paths))
    share[rng.permutation(len(paths))[: count % len(paths)]] += 1
    found = []
    for path, cells in zip(paths, share, strict=True):
        gap = path.times[-1] / max(cells, 1)
        slack = max(gap - apart / path.slowest, 0.0)
        starts = gap * np.arange(cells) + rng.uniform(0.0, slack, cells) + rng.uniform(0.0, path.times[-1])
        found.append(path.at(starts[:, None] + times))
    return np.concatenate(found)


def turn(points: Array, direction: str) -> Array:
    """(x, y) in a frame whose flow goes along x, in one whose flow goes in this direction; and back: its own inverse.

    >>> turn(np.array([10.0, 20.0]), "up").tolist()
    [44.0, 54.0]
    """
    swapped, back = DIRECTIONS[direction]
    points = points[..., ::-1] if swapped else points
    return SIDE - points if back else points


def cells_seen(places: Array, cell_radius: float, spacing: float, x: Array, y: Array) -> Array:
    """Coverage ``[T, H, W]`` by cells at places ``[N, T, 2]``."""
    coverage = np.zeros((places.shape[1], *x.shape))
    for cell in places:
        distance = np.hypot(x - cell[:, 0, None, None], y - cell[:, 1, None, None])
        coverage = np.maximum(coverage, biconcave(distance / spacing, cell_radius / spacing))
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
    """Blood in vessels of several shapes; ``fields`` is ``(erythrocytes, lumen, wall)``, ``places`` the cells'.

    >>> clips = simulate(2, rng=np.random.default_rng(0), frames=5)
    >>> bool((clips.fields[:, 1:] == clips.fields[:, 1:, :1]).all())
    True
    """
    chosen = draw(GRAMMARS, (1.0,), batch, split, rng, attributes)
    spacing = GRID.spacing[0] * 64 / size
    fields = np.empty((batch, 3, frames, size, size), np.float32)
    parameters, tracks = [], []
    row, column = pixel_axes(size)
    times = GRID.dt * np.arange(frames, dtype=np.float64)
    for index, attribute in enumerate(chosen):
        peak, cell_radius = rng.uniform(*SPEED[attribute["speed"]]), rng.uniform(3.7, 4.0)
        vessel, paths = draw_vessel(attribute["shape"], peak, cell_radius, rng)
        count = int(rng.integers(*COUNTS[attribute["count"]]))
        places = turn(fill(count, paths, 2.0 * APART * cell_radius, times, rng), attribute["direction"])
        pixels = turn(spacing * (np.stack([column, row], axis=-1) + 0.5), attribute["direction"])
        depth = vessel.depth(pixels[..., 0], pixels[..., 1])
        fields[index, 0] = cells_seen(places, cell_radius, spacing, *(spacing * (axis + 0.5) for axis in (column, row)))
        fields[index, 1], fields[index, 2] = sigmoid(depth / spacing / 0.7), np.exp(-((depth / spacing / 1.8) ** 2))
        tracks.append(np.where(((places > 0.0) & (places < SIDE)).all(-1, keepdims=True), places, np.nan)[..., ::-1])
        parameters.append(
            {
                "v_max": peak,
                "radius": vessel.half_width,
                "cell_radius": cell_radius,
                "cells": float(count),
                **({"share": vessel.share} if isinstance(vessel, Fork) else {"curvature": 1.0 / vessel.bend}),
            }
        )
    most = max(len(track) for track in tracks)
    return Clips(
        video=render(fields, np.broadcast_to(np.stack([ERYTHROCYTE, LUMEN, WALL]), (batch, 3, 3)), TISSUE),
        fields=fields,
        species=("erythrocytes", "lumen", "wall"),
        unit="coverage",
        captions=[GRAMMARS["vessel"].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=parameters,
        grid=Grid(spacing=(spacing, spacing), dt=GRID.dt, boundary=GRID.boundary),
        places=np.stack([np.pad(t, [(0, most - len(t)), (0, 0), (0, 0)], constant_values=np.nan) for t in tracks]),
    )
