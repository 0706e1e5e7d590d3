"""A sheet of heart muscle cells that beats: a material texture displaced along its fibres with one period.

    c(x, t) = c_0(x - u),  u = A w(t / P + s) g(b) e_a,  w(p) = (exp(k cos q) - exp(-k)) / (exp(k) - exp(-k)),
    q = 2 pi p + 0.6 cos(2 pi p)

e_a goes along the fibres, b across them. w goes from 0 at rest to 1, faster there than back. Since u varies across
only, it is a shear: areas and what is in them stay the same, and div du/dt = 0.
Human cardiomyocytes in culture beat at 0.5 to 2 Hz and move by some µm: Hayakawa et al. 2014, J. Mol. Cell. Cardiol.
77:178.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial import cKDTree

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, pixel_axes, render, sigmoid
from physgen.simulators.captions import Grammar, Split, draw

GRID = Grid(spacing=(2.0, 2.0), dt=0.1, boundary="open")
SIDE = 128.0
BACKGROUND = np.array([0.03, 0.04, 0.05])
ACTIN, NUCLEI = np.array([0.10, 0.75, 0.22]), np.array([0.16, 0.20, 0.72])
#: period in s, and amplitude in um
PERIOD = {"slowly": (0.95, 1.2), "fast": (0.5, 0.65)}
AMPLITUDE = {"gently": (3.0, 4.5), "strongly": (7.0, 9.0)}
#: angle of the fibres in degrees from the horizontal
ORIENTATION = {"horizontal": (-10.0, 10.0), "diagonal": (35.0, 55.0), "vertical": (80.0, 100.0)}
#: concentration k of the waveform
CONCENTRATION = 1.2
#: distance of the cells' middles, and half axes of their nuclei, along and across the fibres, um
CELL, NUCLEUS = (44.0, 20.0), (6.5, 4.2)

GRAMMARS = {
    "sheet": Grammar(
        {"orientation": tuple(ORIENTATION), "speed": tuple(PERIOD), "strength": tuple(AMPLITUDE)},
        (
            "a sheet of heart muscle cells beats {speed} and {strength}, {orientation} fibres",
            "cardiomyocytes with {orientation} fibres contract {strength}, beating {speed}",
            "{orientation} cardiac muscle fibres in a layer of cells twitch {strength} and {speed}",
        ),
    )
}


def waveform(phase: Array) -> Array:
    """How far the sheet is from rest, 0 to 1, at a phase in periods.

    >>> waveform(np.array([0.0, 0.25, 0.5, 0.75, 1.0])).round(2).tolist()
    [0.79, 0.23, 0.02, 0.23, 0.79]
    """
    turn = 2.0 * np.pi * phase
    wave = np.exp(CONCENTRATION * np.cos(turn + 0.6 * np.cos(turn)))
    return (wave - np.exp(-CONCENTRATION)) / (np.exp(CONCENTRATION) - np.exp(-CONCENTRATION))


def cell_middles(rng: np.random.Generator) -> Array:
    """Places ``[N, 2]``, along and across, of the cells' middles about the origin: bricks out of line."""
    reach = [int(np.ceil(0.75 * SIDE / length)) + 1 for length in CELL]
    along, across = np.meshgrid(*(np.arange(-n, n + 1.0) for n in reach), indexing="ij")
    bricks = np.stack([along + across % 2 / 2, across], axis=-1).reshape(-1, 2)
    return np.asarray((bricks + rng.uniform(-0.22, 0.22, bricks.shape)) * CELL)


def texture(along: Array, across: Array, middles: Array, sharp: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Actin and nuclei of the sheet at rest at material places ``[T, H, W]``; edges as soft as a pixel, ``sharp``."""
    distances, cells = cKDTree(middles / CELL).query(np.stack([along, across], axis=-1) / CELL, 2)
    a, b = np.moveaxis(middles[cells[..., 0]], -1, 0)
    nuclei = sigmoid(8.0 / sharp * (1.0 - np.hypot((along - a) / NUCLEUS[0], (across - b) / NUCLEUS[1])))
    membrane = np.exp(-((np.diff(distances)[..., 0] * CELL[1] / (2.6 * sharp)) ** 2))
    waves = np.stack([rng.normal(0.0, 0.12, 6), rng.uniform(0.4, 0.8, 6), rng.uniform(0.0, 2.0 * np.pi, 6)], axis=-1)
    fibrils = sum(np.cos(k * along + n * across + phase) for k, n, phase in waves) / 6.0
    return np.maximum(0.34 + 0.24 * fibrils, 0.95 * membrane), nuclei


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """A beating sheet; ``fields`` is ``(actin, nuclei)``, ``places`` the nuclei's that stay in the frame.

    >>> clips = simulate(1, rng=np.random.default_rng(0), attributes=[GRAMMARS["sheet"].combinations()[0]])
    >>> moved = np.hypot(*np.ptp(clips.places[0], axis=1).T)
    >>> bool((moved <= clips.parameters[0]["amplitude"]).all())
    True
    """
    chosen = draw(GRAMMARS, (1.0,), batch, split, rng, attributes)
    spacing = GRID.spacing[0] * 64 / size
    times = GRID.dt * np.arange(frames, dtype=np.float64)
    fields = np.empty((batch, 2, frames, size, size), np.float32)
    parameters, tracks = [], []
    y, x = (spacing * (axis + 0.5) - SIDE / 2 for axis in pixel_axes(size))
    for index, attribute in enumerate(chosen):
        angle = np.deg2rad(rng.uniform(*ORIENTATION[attribute["orientation"]]))
        axis = np.array([np.cos(angle), -np.sin(angle)])
        period, amplitude = rng.uniform(*PERIOD[attribute["speed"]]), rng.uniform(*AMPLITUDE[attribute["strength"]])
        start, middle = rng.uniform(0.0, 1.0), rng.uniform(-SIDE / 4, SIDE / 4)
        beat = amplitude * waveform(times / period + start)
        along, across = x * axis[0] + y * axis[1], y * axis[0] - x * axis[1]
        middles = cell_middles(rng)
        moved = [
            beat[:, *(None,) * b.ndim] * (0.7 + 0.3 * np.cos(2.0 * np.pi * (b - middle) / SIDE))
            for b in (across, middles[:, 1])
        ]
        still = np.broadcast_to(across, moved[0].shape)
        fields[index] = np.stack(texture(along - moved[0], still, middles, spacing, rng))
        nuclei = np.stack([middles[:, 0] + moved[1], np.broadcast_to(middles[:, 1], moved[1].shape)], axis=-1)
        places = SIDE / 2 + nuclei @ np.array([[axis[1], axis[0]], [axis[0], -axis[1]]])
        tracks.append(places[:, ((places > 0.0) & (places < SIDE)).all((0, 2))].swapaxes(0, 1))
        parameters.append({"period": period, "amplitude": amplitude, "start": start, "angle": float(np.rad2deg(angle))})
    most = max(len(track) for track in tracks)
    return Clips(
        video=render(fields, np.broadcast_to(np.stack([ACTIN, NUCLEI]), (batch, 2, 3)), BACKGROUND),
        fields=fields,
        species=("actin", "nuclei"),
        unit="a.u.",
        captions=[GRAMMARS["sheet"].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=parameters,
        grid=Grid(spacing=(spacing, spacing), dt=GRID.dt, boundary=GRID.boundary),
        places=np.stack([np.pad(t, [(0, most - len(t)), (0, 0), (0, 0)], constant_values=np.nan) for t in tracks]),
    )
