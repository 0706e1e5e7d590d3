"""Write a constraint of your own: a drop of dye may spread, but its centre stays where it is."""

from __future__ import annotations

import torch
from picture import STEPS, draw_picture
from torch import Tensor

from physgen import Grid, guide, load_world
from physgen.constraints import Constraint
from physgen.guidance import Projection


class CentreStays(Constraint):
    """residual = (centre(t) - centre(0)) / width of the frame: zero where the centre does not move."""

    name = "centre"

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        """Fields ``[B, S, T, H, W]`` to ``[B, S, T, 2]``."""
        down, across = (torch.linspace(0, 1, n, dtype=fields.dtype) for n in fields.shape[3:])
        mass = fields.sum((3, 4)).clamp(min=1e-6)
        y = torch.einsum("bsthw,h->bst", fields, down) / mass
        x = torch.einsum("bsthw,w->bst", fields, across) / mass
        centre = torch.stack([y, x], dim=-1)
        return centre - centre[:, :, :1]


prompt = "one drop of red dye diffusing quickly in water"
world, law = load_world("micro"), CentreStays()
observable, grid = world.observable(prompt), world.grid(prompt)
unguided = world.sample(prompt, seed=2, steps=STEPS)
with guide(world.pipe, Projection([law]), observable=observable, grid=grid) as log:
    guided = world.sample(prompt, seed=2, steps=STEPS)
videos = {"unguided": unguided, "guided": guided}
moved = {k: law.residual(observable(v), grid)[0, 0].norm(dim=1) for k, v in videos.items()}
draw_picture(videos, moved, "frame", "centre moved / frame width")
