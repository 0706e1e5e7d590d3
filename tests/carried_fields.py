"""Smooth fields that are carried by flows that are known: exact solutions of dc/dt + v . grad c = 0."""

from collections.abc import Callable

import torch
from torch import Tensor

from physgen.grid import Grid

Velocity = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
#: side of the frame, µm
SIDE = 1.0
TURN = 2 * torch.pi / SIDE


def drift(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.full_like(y, 0.3), torch.full_like(x, -0.5)


def rotation(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Solid body, clockwise on a screen (y down): vorticity 2."""
    return x - SIDE / 2, -(y - SIDE / 2)


def taylor_green(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """v = (d psi/dx, -d psi/dy), psi = sin sin / 2 TURN."""
    return 0.5 * torch.cos(TURN * x) * torch.sin(TURN * y), -0.5 * torch.sin(TURN * x) * torch.cos(TURN * y)


def shear(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Periodic shear along x."""
    return torch.zeros_like(y), 0.5 * torch.sin(TURN * y) + 0 * x


def texture(y: Tensor, x: Tensor, species: int) -> Tensor:
    """Waves of the frame, four along it at most, that differ between species."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(species):
        total = torch.zeros_like(y)
        for _ in range(6):
            k = torch.randint(-4, 5, (2,), generator=generator)
            phase = 2 * torch.pi * torch.rand((), generator=generator, dtype=torch.float64)
            total = total + torch.cos(TURN * (k[0] * y + k[1] * x) + phase)
        found.append(total)
    return torch.stack(found)


def carried(
    velocity: Velocity, cells: int, frames: int, dt: float, boundary: str = "periodic", species: int = 3
) -> tuple[Tensor, Tensor, Grid]:
    """Fields ``[1, S, T, N, N]`` by tracing every pixel back, v at the pixels ``[2, N, N]``, and the grid."""
    x = (torch.arange(cells, dtype=torch.float64) + 0.5) * SIDE / cells
    y, x = torch.meshgrid(x, x, indexing="ij")
    places, movie = (y, x), []
    for frame in range(frames):
        movie.append(texture(*places, species))
        if frame < frames - 1:
            for _ in range(8):
                places = _back(velocity, places, dt / 8)
    fields = torch.stack(movie, 1)[None]
    return fields, torch.stack(velocity(y, x)), Grid((SIDE / cells, SIDE / cells), dt, boundary)


def _back(velocity: Velocity, places: tuple[Tensor, Tensor], dt: float) -> tuple[Tensor, Tensor]:
    """One Runge-Kutta step of fourth order against the flow."""

    def moved(slope: tuple[Tensor, Tensor], part: float) -> tuple[Tensor, Tensor]:
        return places[0] - part * dt * slope[0], places[1] - part * dt * slope[1]

    a = velocity(*places)
    b = velocity(*moved(a, 0.5))
    c = velocity(*moved(b, 0.5))
    d = velocity(*moved(c, 1.0))
    mean = [(p + 2 * q + 2 * r + s) / 6 for p, q, r, s in zip(a, b, c, d, strict=True)]
    return moved((mean[0], mean[1]), 1.0)
