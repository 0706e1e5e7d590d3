"""What every simulator returns, and the linear colour map that renders its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from physgen.grid import Grid
from physgen.simulators.captions import Split

Array = npt.NDArray[np.floating]

FRAMES = 25
SIZE = 64


@dataclass(frozen=True)
class Clips:
    """A batch of simulated videos with their ground truth.

    ``video`` is ``[B, 3, T, H, W]`` in [0, 1]; ``fields`` is ``[B, S, T, H, W]`` in ``unit``, named by ``species``;
    ``parameters`` are in µm and s on ``grid``; ``phases`` holds the index of the mitotic phase, ``[B, T]``; ``places``
    are those of single objects, ``[B, N, T, 2]``, µm along y and x from the frame's upper left corner, NaN where there
    is none.
    """

    video: npt.NDArray[np.float32]
    fields: npt.NDArray[np.float32]
    species: tuple[str, ...]
    unit: str
    captions: list[str]
    attributes: list[dict[str, str]]
    parameters: list[dict[str, float]]
    grid: Grid
    phases: npt.NDArray[np.int64] | None = None
    places: npt.NDArray[np.float64] | None = None


class Simulator(Protocol):
    """A seeded, vectorised source of labelled videos."""

    def __call__(
        self,
        batch: int,
        *,
        rng: np.random.Generator,
        frames: int = FRAMES,
        size: int = SIZE,
        attributes: Sequence[Mapping[str, str]] | None = None,
        split: Split = "train",
    ) -> Clips: ...


def render(fields: Array, colours: Array, background: Array) -> npt.NDArray[np.float32]:
    """Linear colour map, ``rgb = background + sum_s fields[s] * colours[s]``.

    ``fields`` is ``[B, S, T, H, W]``, ``colours`` ``[B, S, 3]``, ``background`` ``[B, 3]`` or ``[3]``; the result is
    ``[B, 3, T, H, W]``, clipped to [0, 1].

    >>> render(np.ones((1, 1, 2, 4, 4)), np.array([[[0.5, 0.0, 0.25]]]), np.zeros(3))[0, :, 0, 0, 0].tolist()
    [0.5, 0.0, 0.25]
    """
    background = np.broadcast_to(background, (fields.shape[0], 3))
    rgb = np.einsum("bsthw,bsc->bcthw", fields, colours) + background[:, :, None, None, None]
    return np.clip(rgb, 0.0, 1.0).astype(np.float32)


def pixel_axes(size: int) -> tuple[Array, Array]:
    """Pixel-centre coordinates ``(y, x)`` of a square frame, each ``[H, W]``."""
    y, x = np.meshgrid(np.arange(size, dtype=np.float64), np.arange(size, dtype=np.float64), indexing="ij")
    return y, x


def smoothstep(start: float, stop: float, x: Array) -> Array:
    """Cubic ramp from 0 at ``start`` to 1 at ``stop``.

    >>> smoothstep(0.0, 2.0, np.array([-1.0, 1.0, 3.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip((x - start) / (stop - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def sigmoid(x: Array) -> Array:
    """Logistic function, the soft edge of every drawn shape."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -40.0, 40.0)))
