"""What conserving mass and guiding with it cost."""

from __future__ import annotations

import torch
from torch import Tensor

from physgen.constraints import MassConservation
from physgen.constraints.mass.capped_simplex import project_capped_simplex
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.speed.ratios import Pair
from physgen.grid import Grid
from physgen.sampling.diffusers import guide
from physgen.worlds import load_world

GRID = Grid(spacing=(2.0, 2.0), dt=0.1)
SHAPE = (4, 1, 25, 256, 256)
PROMPT = "two drops of green dye diffusing slowly in water"


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
