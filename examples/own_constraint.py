"""Write a constraint of your own: a drop of dye may spread, but its centre stays where it is."""

from __future__ import annotations

import torch
from picture import STEPS, draw_picture
from torch import Tensor

from physgen import Grid, Request, draw, load_world
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


world, law = load_world("micro"), CentreStays()
request = Request("one drop of red dye diffusing quickly in water", seed=2, steps=STEPS)
drawn = draw(world, request, Projection({"centre": law}), arms=["unguided", "guided"])
observable, grid = world.observable(request.prompt), world.grid(request.prompt)
videos = {name: arm.video for name, arm in drawn.arms.items()}
moved = {name: law.residual(observable(video), grid)[0, 0].norm(dim=1) for name, video in videos.items()}
draw_picture(videos, moved, "frame", "centre moved / frame width")
