"""`make bench`: what the constraint and the guidance cost, as ratios measured in turn in one process.

Machines are shared and noisy: pairs of runs alternate, and only the ratio of each pair is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from physgen.adapters.diffusers import guide
from physgen.constraints import MassConservation
from physgen.constraints.capped_simplex import project_capped_simplex
from physgen.experiments.default_guidance import default_guidance
from physgen.grid import Grid
from physgen.worlds import load_world

GRID = Grid(spacing=(2.0, 2.0), dt=0.1)
SHAPE = (4, 1, 25, 256, 256)
PROMPT = "two drops of green dye diffusing slowly in water"


@dataclass(frozen=True)
class Pair:
    """Two ways of doing the same work."""

    name: str
    ours: Callable[[], object]
    against: str
    other: Callable[[], object]
    repeats: int


def ratios(pair: Pair) -> np.ndarray:
    """Time of ours over time of the other, pair by pair after one warm-up."""
    times = []
    for _ in range(pair.repeats + 1):
        marks = [time.perf_counter()]
        for work in (pair.ours, pair.other):
            work()
            marks.append(time.perf_counter())
        times.append(np.diff(marks))
    return np.array([ours / other for ours, other in times[1:]])


def naive_mass_gradient(fields: Tensor) -> Tensor:
    """Mass loss and gradient as one writes them first: float32, one autograd graph."""
    fields = fields.detach().requires_grad_()
    mass = fields.sum((-2, -1)) * GRID.cell_area
    expected = mass.mean(2, keepdim=True).detach()
    loss = 0.5 * ((mass - expected) / expected.mean()).square().sum()
    return torch.autograd.grad(loss, fields)[0]


def mass_gradient(fields: Tensor) -> Tensor:
    """Mass loss and gradient of the library."""
    fields = fields.detach().requires_grad_()
    return torch.autograd.grad(MassConservation().loss(fields, GRID).sum(), fields)[0]


def sorted_projection(points: Tensor, total: Tensor) -> Tensor:
    """The same projection by sorting all breakpoints of the piecewise linear sum."""
    breakpoints = torch.cat([-points, 1.0 - points], -1).sort(-1).values
    low = torch.zeros_like(total, dtype=torch.long)
    high = torch.full_like(low, breakpoints.shape[-1] - 1)
    while bool((high - low > 1).any()):
        middle = (low + high) // 2
        shift = breakpoints.gather(-1, middle[..., None])
        short = (points + shift).clamp(0, 1).sum(-1) < total
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    shift = breakpoints.gather(-1, low[..., None])
    x = points + shift
    active = ((x >= 0) & (x < 1)).sum(-1, keepdim=True).clamp(min=1)
    rest = (total - x.clamp(0, 1).sum(-1))[..., None] / active
    return (x + rest).clamp(0, 1)


def pairs() -> list[Pair]:
    """The benchmark's rows."""
    generator = torch.Generator().manual_seed(0)
    fields = torch.rand(SHAPE, generator=generator)
    points = fields.double().flatten(-2)
    total = points.sum(-1) * 0.8
    world = load_world("micro")
    world.pipe.set_progress_bar_config(disable=True)
    guidance = default_guidance("projection", [MassConservation()])

    def guided() -> Tensor:
        with guide(world.pipe, guidance, observable=world.observable(PROMPT), grid=world.grid(PROMPT)):
            return world.sample(PROMPT, seed=0)

    return [
        Pair("mass, loss + gradient", lambda: mass_gradient(fields), "plain copy", fields.clone, 20),
        Pair("mass, loss + gradient", lambda: mass_gradient(fields), "naive", lambda: naive_mass_gradient(fields), 20),
        Pair(
            "mass, projection",
            lambda: project_capped_simplex(points, total, 1.0),
            "by sorting",
            lambda: sorted_projection(points, total),
            5,
        ),
        Pair("sample, guided", guided, "unguided", lambda: world.sample(PROMPT, seed=0), 5),
    ]


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    table = Table(title=f"time ratios, one thread, fields {list(SHAPE)} float32")
    for column in ("work", "against", "median", "min", "max", "pairs"):
        table.add_column(column)
    for pair in pairs():
        measured = ratios(pair)
        figures = (np.median(measured), measured.min(), measured.max())
        table.add_row(pair.name, pair.against, *(f"{x:.2f}" for x in figures), str(len(measured)))
    Console().print(table)


if __name__ == "__main__":
    main()
