"""Dye drops and FRAP: the heat equation with no-flux walls, exact in cosine space.

    dc/dt = D lap(c),  n.grad(c) = 0,   c(t) = idct( exp(-D |k|^2 t) dct(c(0)) ),  k_i = pi i / L

so mass is conserved to rounding and there is no time-stepping error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.fft import dctn, idctn

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, pixel_axes, render, sigmoid
from physgen.simulators.captions import Grammar, Split, draw

GRID = Grid(spacing=(2.0, 2.0), dt=0.1, boundary="no-flux")
BACKGROUND = np.array([0.04, 0.04, 0.04])
COLOURS = {
    "green": np.array([0.05, 0.88, 0.15]),
    "red": np.array([0.90, 0.10, 0.06]),
    "blue": np.array([0.14, 0.34, 0.90]),
}
DIFFUSIVITY = {"slowly": (12.0, 24.0), "quickly": (60.0, 100.0)}
COUNTS = {"one drop": 1, "two drops": 2, "three drops": 3}
RADII = {"small": (7.0, 9.0), "large": (12.0, 15.0)}

GRAMMARS = {
    "drop": Grammar(
        {"colour": tuple(COLOURS), "count": tuple(COUNTS), "speed": tuple(DIFFUSIVITY)},
        (
            "{count} of {colour} dye diffusing {speed} in water",
            "{count} of {colour} fluorescent dye spread {speed}",
            "{speed} diffusing {colour} dye, {count}",
            "{colour} dye spreads {speed} in water from {count}",
        ),
    ),
    "frap": Grammar(
        {"colour": tuple(COLOURS), "size": tuple(RADII), "speed": tuple(DIFFUSIVITY)},
        (
            "a {size} bleached spot in a {colour} fluorescent layer recovers {speed}",
            "frap of a {colour} dye, the {size} dark spot recovers {speed}",
            "{colour} fluorescence recovery after photobleaching, {size} spot, {speed}",
        ),
    ),
}


def diffuse(c0: Array, diffusivity: Array, times: Array, spacing: tuple[float, float]) -> Array:
    """Exact no-flux heat flow of cell averages' cosine series.

    ``c0`` is ``[B, H, W]``, ``diffusivity`` ``[B]`` in µm²/s, ``times`` ``[T]`` in s; returns ``[B, T, H, W]``.

    >>> mode = np.cos(np.pi * (np.arange(8) + 0.5) / 8)[None, None] * np.ones((1, 8, 1))
    >>> decayed = diffuse(mode, np.array([2.0]), np.array([0.0, 0.5]), (1.0, 1.0))[0, 1]
    >>> bool(np.allclose(decayed, mode[0] * np.exp(-2.0 * (np.pi / 8) ** 2 * 0.5)))
    True
    """
    wavenumber2 = sum(
        np.square(np.pi * np.arange(n) / (n * h)).reshape(shape)
        for n, h, shape in zip(c0.shape[1:], spacing, [(-1, 1), (1, -1)], strict=True)
    )
    decay = np.exp(-diffusivity[:, None, None, None] * times[:, None, None] * wavenumber2)
    return idctn(dctn(c0, axes=(1, 2), norm="ortho")[:, None] * decay, axes=(2, 3), norm="ortho")


def drops(count: int, size: int, rng: np.random.Generator) -> Array:
    """Gaussian drops well inside the frame and apart from each other, peak at most 1."""
    y, x = pixel_axes(size)
    scale = size / 64.0
    centres: list[Array] = []
    while len(centres) < count:
        centre = rng.uniform(13 * scale, 51 * scale, 2)
        if all(np.hypot(*(centre - other)) > 17 * scale for other in centres):
            centres.append(centre)
    sigmas = rng.uniform(3.4, 5.0, count) * scale
    field = sum(
        np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s * s)) for (cy, cx), s in zip(centres, sigmas, strict=True)
    )
    return field * rng.uniform(0.85, 1.0) / np.max(field)


def bleached(radius: float, size: int, rng: np.random.Generator) -> Array:
    """A uniform layer with one dark disc."""
    y, x = pixel_axes(size)
    scale = size / 64.0
    cy, cx = rng.uniform(22 * scale, 42 * scale, 2)
    disc = sigmoid((radius * scale - np.hypot(y - cy, x - cx)) / (0.8 * scale))
    return rng.uniform(0.65, 0.85) * (1.0 - rng.uniform(0.88, 1.0) * disc)


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """Diffusing dye; ``fields`` is the concentration ``[B, 1, T, H, W]``.

    >>> clips = simulate(2, rng=np.random.default_rng(0), frames=5)
    >>> mass = clips.fields.sum((1, 3, 4), dtype=np.float64)
    >>> bool(np.all(np.abs(mass / mass[:, :1] - 1) < 1e-6))
    True
    """
    chosen = draw(GRAMMARS, (0.6, 0.4), batch, split, rng, attributes)
    diffusivity = np.array([rng.uniform(*DIFFUSIVITY[a["speed"]]) for a in chosen])
    initial = np.stack(
        [
            drops(COUNTS[a["count"]], size, rng)
            if a["kind"] == "drop"
            else bleached(rng.uniform(*RADII[a["size"]]), size, rng)
            for a in chosen
        ]
    )
    spacing = (GRID.spacing[0] * 64 / size, GRID.spacing[1] * 64 / size)
    field = diffuse(initial, diffusivity, GRID.dt * np.arange(frames, dtype=np.float64), spacing)[:, None]
    colours = np.stack([COLOURS[a["colour"]] for a in chosen])[:, None]
    return Clips(
        video=render(field, colours, BACKGROUND),
        fields=field.astype(np.float32),
        species=("dye",),
        unit="a.u.",
        captions=[GRAMMARS[a["kind"]].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=[{"D": float(d)} for d in diffusivity],
        grid=Grid(spacing=spacing, dt=GRID.dt, boundary=GRID.boundary),
    )
