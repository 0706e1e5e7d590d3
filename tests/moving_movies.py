"""Movies whose motion is known: beads that diffuse, textures that flow, a disc that recovers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter, map_coordinates

Movie = npt.NDArray[np.float64]


def draw_beads(
    seed: int,
    beads: int = 20,
    frames: int = 30,
    size: int = 96,
    step: float = 1.0,
    drift: tuple[float, float] = (0.0, 0.0),
    noise: float = 5.0,
    dark: bool = False,
) -> tuple[Movie, npt.NDArray[np.float64]]:
    """Beads of 1.8 px and 100 counts whose steps have a standard deviation of ``step`` px; and their places."""
    rng = np.random.default_rng(seed)
    wide = size + 20.0
    places = rng.uniform(-10, size + 10, (beads, 2))
    line = np.arange(size)[:, None]
    shown, movie = [], []
    for _ in range(frames):
        places = (places + rng.normal(scale=step, size=places.shape) + drift + 10) % wide - 10
        across, along = (np.exp(-((line - places[:, axis]) ** 2) / (2 * 1.8**2)) for axis in (0, 1))
        movie.append(150 + (-100 if dark else 100) * (across @ along.T))
        shown.append(places)
    return np.array(movie) + noise * rng.standard_normal((frames, size, size)), np.array(shown)


def texture(seed: int, size: int = 128) -> Movie:
    """A random texture that repeats at the edges, of standard deviation 1."""
    frame = gaussian_filter(np.random.default_rng(seed).random((size, size)), 1.5, mode="wrap")
    return (frame - frame.mean()) / frame.std()


def carried(frame: Movie, down: Movie, right: Movie) -> Movie:
    """A frame moved by a displacement field, px."""
    y, x = np.indices(frame.shape)
    return map_coordinates(frame, [y - down, x - right], order=3, mode="grid-wrap")


def recovering(seed: int, immobile: float = 0.0, size: int = 80, radius: float = 8.0, frames: int = 60) -> Movie:
    """A bleached disc that fills by diffusion, 1 px² a frame, from frame 8 on."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - size / 2
    light = 1 - 0.8 * (np.hypot(y, x) < radius)
    wave = np.pi * np.arange(size) / size
    decay = wave[:, None] ** 2 + wave**2
    moved = [idctn(dctn(light, norm="ortho") * np.exp(-decay * t), norm="ortho") for t in range(frames)]
    movie = [np.ones((size, size))] * 8 + [(1 - immobile) * one + immobile * light for one in moved]
    return 1000 * (np.array(movie) + 0.02 * rng.standard_normal((len(movie), size, size)))
