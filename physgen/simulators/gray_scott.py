"""Gray-Scott patterns on a periodic square.

    du/dt = Du lap(u) - u v^2 + F (1 - u),   dv/dt = Dv lap(v) + u v^2 - (F + k) v

five-point Laplacian, explicit Euler with a step of 0.5 s. Source: Pearson 1993, Science 261:189.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import no_type_check

import numpy as np
import numpy.typing as npt

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.kernels.compiled import njit
from physgen.simulators.base import FRAMES, SIZE, Clips, render
from physgen.simulators.captions import Grammar, Split, draw

STEP = 0.5
GRID = Grid(spacing=(50.0, 50.0), dt=100.0, boundary="periodic")
#: of u and v, in pixel^2/s
DIFFUSIVITY = (0.36, 0.18)
#: pattern -> (F, k) in 1/s
PATTERNS = {
    "spots": (0.0300, 0.0620),
    "stripes": (0.0370, 0.0600),
    "holes": (0.0390, 0.0580),
}
BACKGROUND = np.array([0.03, 0.03, 0.06])
COLOURS = {
    "orange": np.array([1.70, 0.95, 0.10]),
    "cyan": np.array([0.10, 1.40, 1.50]),
    "magenta": np.array([1.60, 0.20, 1.40]),
    "green": np.array([0.15, 1.60, 0.20]),
    "red": np.array([1.75, 0.15, 0.10]),
    "white": np.array([1.30, 1.30, 1.25]),
}
SUBSTRATE = np.array([0.04, 0.12, 0.22])

GRAMMARS = {
    "pattern": Grammar(
        {"pattern": tuple(PATTERNS), "colour": tuple(COLOURS)},
        (
            "gray scott reaction diffusion forming {colour} {pattern}",
            "a reaction diffusion pattern of {colour} {pattern}",
            "{colour} {pattern} emerge in a turing pattern",
            "a chemical reaction forms {pattern} of {colour} colour",
        ),
    )
}


@njit(nogil=True, fastmath=True)
@no_type_check
def _euler(
    u: npt.NDArray[np.float32],
    v: npt.NDArray[np.float32],
    feed: float,
    kill: float,
    diffusivity_u: float,
    diffusivity_v: float,
    step: float,
    steps: int,
) -> None:  # pragma: no cover - compiled
    height, width = u.shape
    next_u, next_v = np.empty_like(u), np.empty_like(v)
    du, dv, f, k, h = (
        np.float32(diffusivity_u),
        np.float32(diffusivity_v),
        np.float32(feed),
        np.float32(kill),
        np.float32(step),
    )
    one, four = np.float32(1.0), np.float32(4.0)
    for _ in range(steps):
        for i in range(height):
            above, below = (i - 1) % height, (i + 1) % height
            for j in range(width):
                left, right = j - 1, j + 1
                if j == 0:
                    left = width - 1
                if right == width:
                    right = 0
                a, b = u[i, j], v[i, j]
                lap_u = u[above, j] + u[below, j] + u[i, left] + u[i, right] - four * a
                lap_v = v[above, j] + v[below, j] + v[i, left] + v[i, right] - four * b
                reaction = a * b * b
                next_u[i, j] = a + h * (du * lap_u - reaction + f * (one - a))
                next_v[i, j] = b + h * (dv * lap_v + reaction - (f + k) * b)
        u[:] = next_u
        v[:] = next_v


def gray_scott(
    u: npt.NDArray[np.float32],
    v: npt.NDArray[np.float32],
    feed: float,
    kill: float,
    *,
    time: float,
    step: float = STEP,
    diffusivity: tuple[float, float] = DIFFUSIVITY,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Advance ``(u, v)``, each ``[H, W]``, by ``time`` seconds; lengths in pixels, ``diffusivity`` in pixel²/s.

    Raises: InvalidArgument for a step beyond the stability limit 1 / (4 D) or one that does not divide the time.

    >>> u, v = gray_scott(np.ones((8, 8), np.float32), np.zeros((8, 8), np.float32), 0.03, 0.06, time=10.0)
    >>> float(u.min()), float(v.max())
    (1.0, 0.0)
    """
    limit = 1.0 / (4.0 * max(diffusivity))
    if not 0 < step <= limit:
        raise InvalidArgument("step", step, f"above 0 and up to 1 / (4 D) = {limit:.3g} s")
    if not np.isclose(time / step, round(time / step)):
        raise InvalidArgument("time", time, f"a multiple of the step, {step} s")
    u, v = u.copy(), v.copy()
    _euler(u, v, feed, kill, *diffusivity, step, round(time / step))
    return u, v


def seeds(size: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The unreacted state with a few square inocula."""
    u, v = np.ones((size, size), np.float32), np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(3, 6))):
        rows, columns = (
            np.arange(centre - half, centre + half) % size
            for centre, half in zip(
                rng.integers(0, size, 2), np.maximum(rng.integers(4, 8, 2) * size // 64, 1), strict=True
            )
        )
        u[np.ix_(rows, columns)] = 0.5
        v[np.ix_(rows, columns)] = 0.25 + 0.05 * rng.random((len(rows), len(columns)), dtype=np.float32)
    return u, v


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """Patterns growing from seeds; ``fields`` is ``(u, v)``, ``[B, 2, T, H, W]``.

    >>> simulate(1, rng=np.random.default_rng(0), frames=3, size=32).fields.shape
    (1, 2, 3, 32, 32)
    """
    chosen = draw(GRAMMARS, (1.0,), batch, split, rng, attributes)
    scale = size / 64
    diffusivity = (DIFFUSIVITY[0] * scale**2, DIFFUSIVITY[1] * scale**2)
    fields = np.empty((batch, 2, frames, size, size), np.float32)
    for index, attribute in enumerate(chosen):
        feed, kill = PATTERNS[attribute["pattern"]]
        u, v = gray_scott(*seeds(size, rng), feed, kill, time=float(rng.integers(200, 400)), diffusivity=diffusivity)
        for frame in range(frames):
            if frame:
                u, v = gray_scott(u, v, feed, kill, time=GRID.dt, diffusivity=diffusivity)
            fields[index, :, frame] = u, v
    colours = np.stack([np.stack([SUBSTRATE, COLOURS[a["colour"]]]) for a in chosen])
    pixel_area = GRID.cell_area
    return Clips(
        video=render(fields, colours, BACKGROUND),
        fields=fields,
        species=("u", "v"),
        unit="a.u.",
        captions=[GRAMMARS["pattern"].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=[
            {
                "Du": DIFFUSIVITY[0] * pixel_area,
                "Dv": DIFFUSIVITY[1] * pixel_area,
                "F": PATTERNS[a["pattern"]][0],
                "k": PATTERNS[a["pattern"]][1],
            }
            for a in chosen
        ],
        grid=Grid(spacing=(GRID.spacing[0] / scale, GRID.spacing[1] / scale), dt=GRID.dt, boundary=GRID.boundary),
    )
