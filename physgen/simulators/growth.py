"""Colonies and wound closure: Fisher-KPP growth with no-flux walls.

    du/dt = D lap(u) + r u (1 - u)

by Strang splitting of the exact heat flow (cosine space) and the exact logistic flow: second order in time.
Source: Fisher 1937; Kolmogorov, Petrovsky & Piskunov 1937; wound-healing values after Maini et al. 2004.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, pixel_axes, render, sigmoid
from physgen.simulators.captions import Grammar, Split, draw
from physgen.simulators.dye import diffuse

GRID = Grid(spacing=(50.0, 50.0), dt=14400.0, boundary="no-flux")
SUBSTEPS = 4
BACKGROUND = np.array([0.10, 0.07, 0.16])
COLOURS = {
    "golden": np.array([0.78, 0.62, 0.12]),
    "pink": np.array([0.76, 0.30, 0.44]),
    "white": np.array([0.74, 0.78, 0.70]),
}
COUNTS = {"one colony": 1, "two colonies": 2, "three colonies": 3}
#: per frame, in pixels^2 and 1; converted to um^2/s and 1/s below
DIFFUSIVITY = {"slowly": (0.22, 0.38), "fast": (0.70, 1.05)}
RATE = {"slowly": (0.10, 0.16), "fast": (0.27, 0.36)}

GRAMMARS = {
    "colony": Grammar(
        {"colour": tuple(COLOURS), "count": tuple(COUNTS), "speed": tuple(RATE)},
        (
            "{count} of {colour} bacteria growing {speed} on a plate",
            "{count} of {colour} bacteria spread {speed}",
            "on a plate {count} of {colour} bacteria grow {speed}",
        ),
    ),
    "wound": Grammar(
        {"colour": tuple(COLOURS), "orientation": ("vertical", "horizontal"), "speed": tuple(RATE)},
        (
            "a {orientation} scratch wound closes {speed}, {colour} cells",
            "{colour} cells close a {orientation} wound {speed} in a scratch assay",
            "{speed} healing of a {orientation} wound in a layer of {colour} cells",
        ),
    ),
}


def logistic(u: Array, rate: Array, time: float) -> Array:
    """Exact flow of ``du/dt = r u (1 - u)``: ``u e^{rt} / (1 + u (e^{rt} - 1))``.

    >>> logistic(np.array([0.5]), np.array([1.0]), np.log(3.0)).round(12).tolist()
    [0.75]
    """
    growth = np.exp(rate * time)
    return u * growth / (1.0 + u * (growth - 1.0))


def fisher_kpp(u0: Array, diffusivity: Array, rate: Array, grid: Grid, frames: int, substeps: int) -> Array:
    """Strang-split Fisher-KPP: ``u0 [B, H, W]``, ``D [B]`` in µm²/s, ``r [B]`` in 1/s to ``[B, T, H, W]``.

    Rounding noise in empty regions grows as ``e^{rt}``: good for ``r t`` up to about 20 (clips reach 9).

    >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    >>> u = fisher_kpp(np.full((1, 4, 4), 0.5), np.array([1.0]), np.array([np.log(3.0)]), grid, 2, 3)
    >>> bool(np.allclose(u[0, 1], 0.75))
    True
    """
    step = grid.dt / substeps
    rate = rate[:, None, None]
    dy, dx = grid.spacing
    u, out = u0, [u0]
    for _ in range(frames - 1):
        for _ in range(substeps):
            u = logistic(u, rate, step / 2)
            u = diffuse(u, diffusivity, np.array([step]), (dy, dx))[:, 0]
            u = logistic(u, rate, step / 2)
        out.append(u)
    return np.stack(out, axis=1)


def colonies(count: int, size: int, rng: np.random.Generator) -> Array:
    """Small round inocula apart from each other."""
    y, x = pixel_axes(size)
    scale = size / 64.0
    centres: list[Array] = []
    while len(centres) < count:
        centre = rng.uniform(12 * scale, 52 * scale, 2)
        if all(np.hypot(*(centre - other)) > 18 * scale for other in centres):
            centres.append(centre)
    widths = rng.uniform(2.4, 3.6, count) * scale
    return np.max(
        [np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * w * w)) for (cy, cx), w in zip(centres, widths, strict=True)],
        axis=0,
    )


def wound(orientation: str, size: int, rng: np.random.Generator) -> Array:
    """A confluent layer with one straight gap."""
    y, x = pixel_axes(size)
    scale = size / 64.0
    across = x if orientation == "vertical" else y
    centre, half = rng.uniform(26, 38) * scale, rng.uniform(10, 16) * scale
    return sigmoid((np.abs(across - centre) - half) / (1.2 * scale))


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """Growing colonies or a closing wound; ``fields`` is the cell density in units of the carrying capacity.

    >>> clips = simulate(2, rng=np.random.default_rng(0), frames=5)
    >>> bool(np.all(np.diff(clips.fields.mean((1, 3, 4))) > 0))
    True
    """
    chosen = draw(GRAMMARS, (0.6, 0.4), batch, split, rng, attributes)
    pixel_area = GRID.cell_area
    diffusivity = np.array([rng.uniform(*DIFFUSIVITY[a["speed"]]) for a in chosen]) * pixel_area / GRID.dt
    rate = np.array([rng.uniform(*RATE[a["speed"]]) for a in chosen]) / GRID.dt
    initial = np.stack(
        [
            colonies(COUNTS[a["count"]], size, rng) if a["kind"] == "colony" else wound(a["orientation"], size, rng)
            for a in chosen
        ]
    )
    spacing = (GRID.spacing[0] * 64 / size, GRID.spacing[1] * 64 / size)
    grid = Grid(spacing=spacing, dt=GRID.dt, boundary=GRID.boundary)
    field = fisher_kpp(initial, diffusivity, rate, grid, frames, SUBSTEPS)[:, None]
    return Clips(
        video=render(field, np.stack([COLOURS[a["colour"]] for a in chosen])[:, None], BACKGROUND),
        fields=field.astype(np.float32),
        species=("cells",),
        unit="carrying capacity",
        captions=[GRAMMARS[a["kind"]].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=[{"D": float(d), "r": float(r)} for d, r in zip(diffusivity, rate, strict=True)],
        grid=grid,
    )
