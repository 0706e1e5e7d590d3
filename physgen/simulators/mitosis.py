"""One cell in mitosis, drawn phase by phase: chromatin, membrane, spindle and cytoplasm on a continuous phase clock.

The clock ``p`` runs from 0 to 7; phase ``int(p)`` is the textbook phase, each with a random share of the recording.
The whole division takes 42 min (30-60 min, University of Leeds histology guide), however many frames show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, pixel_axes, render, sigmoid, smoothstep
from physgen.simulators.captions import Grammar, Split, draw

PHASES = ("interphase", "prophase", "prometaphase", "metaphase", "anaphase", "telophase", "cytokinesis")
GRID = Grid(spacing=(0.5, 0.5), dt=100.0, boundary="no-flux")
BACKGROUND = np.array([0.04, 0.05, 0.05])
COLOURS = {
    "blue": np.array([0.30, 0.46, 0.84]),
    "red": np.array([0.84, 0.24, 0.26]),
    "yellow": np.array([0.82, 0.72, 0.10]),
}
MEMBRANE = np.array([0.10, 0.30, 0.18])
SPINDLE = np.array([0.08, 0.30, 0.12])
CYTOPLASM = np.array([0.05, 0.14, 0.10])
#: spindle angle in degrees from the horizontal
ORIENTATION = {"horizontal": (-12.0, 12.0), "diagonal": (33.0, 57.0), "vertical": (78.0, 102.0)}
CHROMOSOMES = 10

GRAMMARS = {
    "mitosis": Grammar(
        {"colour": tuple(COLOURS), "orientation": tuple(ORIENTATION)},
        (
            "a cell divides by mitosis, {colour} chromosomes, {orientation} spindle",
            "mitosis of a human cell with {colour} dna, {orientation} division",
            "a cell with {colour} nucleus goes through prophase, metaphase, anaphase, telophase and cytokinesis, "
            "{orientation} axis",
            "{orientation} cell division, {colour} chromosomes separate into two daughter cells",
        ),
    )
}


@dataclass(frozen=True)
class Cell:
    """Random geometry of a batch of cells; lengths in pixels, every array broadcast against ``[B, 1, 1, 1]``."""

    along: Array
    across: Array
    radius: Array
    nucleus: Array
    texture: Array
    chromosomes: Array


def column(values: Array) -> Array:
    """Reshape ``[B]`` to ``[B, 1, 1, 1]``."""
    return np.asarray(values)[:, None, None, None]


def draw_cells(orientations: Sequence[str], size: int, rng: np.random.Generator) -> Cell:
    """Random cells with the given spindle orientations."""
    batch, scale = len(orientations), size / 64.0
    y, x = pixel_axes(size)
    angle = column(np.deg2rad([rng.uniform(*ORIENTATION[o]) for o in orientations]))
    centre_y, centre_x = (column(rng.uniform(30.0, 33.0, batch)) * scale for _ in range(2))
    radius = column(rng.uniform(15.0, 16.5, batch)) * scale
    nucleus = radius * column(rng.uniform(0.50, 0.56, batch))
    along = (x - centre_x) * np.cos(angle) - (y - centre_y) * np.sin(angle)
    across = (x - centre_x) * np.sin(angle) + (y - centre_y) * np.cos(angle)
    waves = rng.normal(0.0, 0.45 / scale, (batch, 5, 2))
    texture = 0.78 + 0.12 * sum(
        np.cos(column(waves[:, i, 0]) * along + column(waves[:, i, 1]) * across + i) for i in range(5)
    )
    polar = np.sqrt(rng.random((batch, CHROMOSOMES))), rng.uniform(0, 2 * np.pi, (batch, CHROMOSOMES))
    chromosomes = np.stack([polar[0] * np.cos(polar[1]), polar[0] * np.sin(polar[1])], axis=-1)
    return Cell(along, across, radius, nucleus, texture, chromosomes)


def clock(batch: int, frames: int, rng: np.random.Generator) -> Array:
    """Continuous phase ``[B, T]`` in [0, 7): increasing, every phase a random share of the recording."""
    shares = rng.uniform(0.8, 1.25, (batch, len(PHASES)))
    edges = np.concatenate([np.zeros((batch, 1)), np.cumsum(shares, axis=1)], axis=1)
    edges /= edges[:, -1:]
    times = (np.arange(frames) + 0.5) / frames
    return np.stack([np.interp(times, row, np.arange(len(PHASES) + 1)) for row in edges])


def chromatin(cell: Cell, p: Array) -> Array:
    """Chromatin density: textured nucleus, chromosomes, plate, two sister plates, two nuclei."""
    along, across, nucleus = cell.along, cell.across, cell.nucleus
    condensation = smoothstep(0.8, 1.8, p)
    envelope = 1.0 - smoothstep(1.6, 2.3, p)
    disc = sigmoid((nucleus - np.hypot(along, across)) / 0.8)
    density = 0.75 * disc * cell.texture * envelope * (1.0 - 0.55 * condensation)

    scattered = smoothstep(1.0, 1.7, p) * (1.0 - smoothstep(2.8, 3.3, p))
    congression = smoothstep(2.0, 3.0, p)
    width = cell.radius * 0.105
    for index in range(CHROMOSOMES):
        position = cell.chromosomes[:, index]
        offset_along = along - column(position[:, 0]) * nucleus * 0.9 * (1.0 - congression)
        offset_across = across - column(position[:, 1]) * nucleus * 0.9
        density = np.maximum(density, 0.95 * scattered * np.exp(-(offset_along**2 + offset_across**2) / (2 * width**2)))

    plate = smoothstep(2.6, 3.1, p) * (1.0 - smoothstep(5.5, 6.1, p))
    separation = nucleus * 1.35 * smoothstep(4.0, 5.2, p)
    half_length = nucleus * (1.0 - 0.25 * smoothstep(4.0, 5.0, p))
    thickness = cell.radius * 0.16
    for side in (-1.0, 1.0):
        bend = side * separation * 0.016 * across**2 / cell.radius * 1.6
        profile = np.exp(-(((along - side * separation + bend) / thickness) ** 4))
        density = np.maximum(density, plate * profile * sigmoid((half_length - np.abs(across)) / 0.9))

    daughters = smoothstep(5.1, 5.7, p)
    pole = nucleus * 1.35 + (cell.radius * 0.97 - nucleus * 1.35) * smoothstep(5.3, 6.5, p)
    daughter_radius = nucleus * (0.62 + 0.12 * smoothstep(6.0, 7.0, p))
    for side in (-1.0, 1.0):
        distance = np.hypot(along - side * pole, across)
        density = np.maximum(density, 0.8 * daughters * cell.texture * sigmoid((daughter_radius - distance) / 0.8))
    return density


def outline(cell: Cell, p: Array) -> Array:
    """Signed distance to the cell membrane in pixels, negative inside: one disc that elongates, furrows and splits."""
    elongation = smoothstep(4.0, 6.2, p)
    half_distance = cell.radius * (0.55 * elongation + 0.38 * smoothstep(6.0, 6.9, p))
    radius = cell.radius * (1.0 - 0.19 * elongation)
    right, left = (np.hypot(cell.along - side * half_distance, cell.across) - radius for side in (1.0, -1.0))
    blend = cell.radius * (0.75 * (1.0 - smoothstep(5.0, 6.7, p)) + 0.04)
    overlap = np.clip(0.5 + 0.5 * (left - right) / blend, 0.0, 1.0)
    joined = left * (1.0 - overlap) + right * overlap - blend * overlap * (1.0 - overlap)
    return joined + 0.25 * blend * (1.0 - elongation)


def spindle(cell: Cell, p: Array) -> Array:
    """Spindle fibres between two poles, from prometaphase to telophase."""
    shown = smoothstep(2.3, 3.0, p) * (1.0 - smoothstep(5.2, 6.0, p))
    half_length = cell.nucleus * 1.45 + 0.3 * cell.radius * smoothstep(4.0, 5.2, p)
    taper = np.clip(1.0 - (cell.along / half_length) ** 2, 0.0, 1.0)
    lens = np.exp(-((cell.across / (cell.nucleus * 0.9 * np.sqrt(np.maximum(taper, 0.02)))) ** 4))
    return shown * taper * lens


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """A dividing cell; ``fields`` is ``(chromatin, membrane, spindle, cytoplasm)``, ``phases`` indexes ``PHASES``.

    >>> clips = simulate(1, rng=np.random.default_rng(0), size=32)
    >>> sorted(set(clips.phases[0].tolist())), bool(np.all(np.diff(clips.phases[0]) >= 0))
    ([0, 1, 2, 3, 4, 5, 6], True)
    """
    chosen = draw(GRAMMARS, (1.0,), batch, split, rng, attributes)
    cell = draw_cells([a["orientation"] for a in chosen], size, rng)
    progress = clock(batch, frames, rng)
    p = progress[:, :, None, None]
    distance = outline(cell, p)
    cytoplasm = sigmoid(-distance / 0.8)
    fields = np.stack(
        [chromatin(cell, p), np.exp(-((distance / 1.7) ** 2)), spindle(cell, p) * cytoplasm, cytoplasm], axis=1
    ).astype(np.float32)
    colours = np.stack([np.stack([COLOURS[a["colour"]], MEMBRANE, SPINDLE, CYTOPLASM]) for a in chosen])
    frame_s = GRID.dt * FRAMES / frames
    phases = np.floor(progress).astype(np.int64)
    return Clips(
        video=render(fields, colours, BACKGROUND),
        fields=fields,
        species=("chromatin", "membrane", "spindle", "cytoplasm"),
        unit="a.u.",
        captions=[GRAMMARS["mitosis"].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=[
            {f"{name}_s": float(frame_s * np.sum(row == index)) for index, name in enumerate(PHASES)} for row in phases
        ],
        grid=Grid(
            spacing=(GRID.spacing[0] * 64 / size, GRID.spacing[1] * 64 / size), dt=frame_s, boundary=GRID.boundary
        ),
        phases=phases,
    )
