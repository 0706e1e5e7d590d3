"""Fluorescent beads in Brownian motion in water, free of drift, seen in a plane.

    dx = sqrt(2 D dt) N(0, 1) along each axis,  D = k T / (6 pi eta a)

D is that of Stokes and Einstein for a bead of radius a in water at 25 °C (eta = 0.89 mPa s). A bead is a Gaussian spot
whose variance is that of the microscope, (0.21 wavelength / NA)^2, and that of a ball, a^2 / 5. The frame is periodic,
so the number of beads is conserved. Each bead is seen by itself, since a path begins where it meets no other one.
Einstein 1905, Ann. Phys. 322:549; spot, Zhang, Zerubia & Olivo-Marin 2007, Appl. Opt. 46:1819.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, render
from physgen.simulators.captions import Grammar, Split, draw

GRID = Grid(spacing=(0.2, 0.2), dt=0.015, boundary="periodic")
SIDE = 12.8
BACKGROUND = np.array([0.03, 0.04, 0.05])
COLOURS = {"green": np.array([0.10, 0.90, 0.25]), "red": np.array([0.92, 0.16, 0.10])}
COUNTS = {"five beads": 5, "eight beads": 8, "twelve beads": 12}
#: radius in um: small beads are fast
RADII = {"slowly": (0.40, 0.55), "quickly": (0.09, 0.12)}
#: k T at 298 K in J, and viscosity in Pa s
THERMAL, VISCOSITY = 4.114e-21, 0.89e-3
#: um, of the microscope: 0.21 x 0.52 / 0.3
BLUR = 0.364
#: distance of two beads, in standard deviations of their spots, at least
APART = 3.5
#: starts that are tried before a path is drawn anew, which hardly ever happens: to leave out paths would change D
STARTS = 200

GRAMMARS = {
    "beads": Grammar(
        {"count": tuple(COUNTS), "colour": tuple(COLOURS), "speed": tuple(RADII)},
        (
            "{count}, {colour} fluorescent microspheres, jiggle {speed} in water by brownian motion",
            "brownian motion of {count} in water, {colour}, {speed}",
            "{count} with {colour} fluorescence tremble {speed}, pushed by water molecules",
        ),
    )
}


def stokes_einstein(radius: float) -> float:
    """Diffusion coefficient of a ball in water, µm²/s, of a radius in µm.

    >>> round(stokes_einstein(0.5), 2)
    0.49
    """
    return THERMAL / (6.0 * np.pi * VISCOSITY * radius * 1e-6) * 1e12


def walk(count: int, diffusivity: float, frames: int, apart: float, rng: np.random.Generator) -> Array:
    """Places ``[N, T, 2]`` of Brownian beads in a periodic square, µm, never nearer to each other than this."""
    step = np.sqrt(2.0 * diffusivity * GRID.dt)
    found: list[Array] = []
    while len(found) < count:
        path = np.concatenate([np.zeros((1, 2)), rng.normal(0.0, step, (frames - 1, 2))]).cumsum(0)
        for start in rng.uniform(0.0, SIDE, (STARTS, 2)):
            placed = (path + start) % SIDE
            if all(np.hypot(*_shortest(placed - other).T).min() >= apart for other in found):
                found.append(placed)
                break
    return np.stack(found)


def _shortest(offset: Array) -> Array:
    return (offset + SIDE / 2) % SIDE - SIDE / 2


def spots(places: Array, heights: Array, sigma: float, size: int) -> Array:
    """Brightness ``[T, H, W]`` of Gaussian spots at places ``[N, T, 2]`` in a periodic frame."""
    axis = (np.arange(size) + 0.5) * SIDE / size
    waves = np.exp(-(_shortest(places[..., None] - axis) ** 2) / (2.0 * sigma**2))
    return np.einsum("n,nth,ntw->thw", heights, waves[:, :, 0], waves[:, :, 1])


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """Brownian beads; ``fields`` is their brightness ``[B, 1, T, H, W]``, ``places`` their middles.

    >>> clips = simulate(1, rng=np.random.default_rng(0))
    >>> int(np.isfinite(clips.places[0, :, :, 0]).sum(0).min()) == clips.parameters[0]["beads"]
    True
    """
    chosen = draw(GRAMMARS, (1.0,), batch, split, rng, attributes)
    spacing = GRID.spacing[0] * 64 / size
    field = np.empty((batch, 1, frames, size, size))
    places = np.full((batch, max(COUNTS[a["count"]] for a in chosen), frames, 2), np.nan)
    parameters = []
    for index, attribute in enumerate(chosen):
        count, radius = COUNTS[attribute["count"]], rng.uniform(*RADII[attribute["speed"]])
        diffusivity, sigma = stokes_einstein(radius), float(np.hypot(BLUR, radius / np.sqrt(5.0)))
        places[index, :count] = walk(count, diffusivity, frames, APART * sigma, rng)
        field[index, 0] = spots(places[index, :count], rng.uniform(0.85, 1.0, count), sigma, size)
        parameters.append({"D": diffusivity, "bead_radius": radius, "sigma": sigma, "beads": float(count)})
    return Clips(
        video=render(field, np.stack([COLOURS[a["colour"]] for a in chosen])[:, None], BACKGROUND),
        fields=field.astype(np.float32),
        species=("beads",),
        unit="a.u.",
        captions=[GRAMMARS["beads"].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=parameters,
        grid=Grid(spacing=(spacing, spacing), dt=GRID.dt, boundary=GRID.boundary),
        places=places,
    )
