"""Write a guidance of your own: a nudge of fixed size against the gradient of the loss, the simplest of all."""

from __future__ import annotations

import torch
from picture import STEPS, draw_picture
from torch import Tensor

from physgen import guide, load_world
from physgen.constraints import MassConservation
from physgen.guidance import Guidance
from physgen.guidance.base import Step


class Nudge(Guidance):
    """x0* = x0 - 0.3 sigma g / rms(g),  g = d loss / d x0: large steps while there is noise, small ones at the end."""

    def update(self, x0: Tensor, step: Step) -> tuple[Tensor, dict[str, float]]:
        x0 = x0.requires_grad_()
        fields = step.problem.fields(x0)
        loss = torch.cat(list(step.problem.losses(fields).values())).sum()
        (gradient,) = torch.autograd.grad(loss, x0)
        size = gradient.square().mean().sqrt().clamp(min=1e-12)
        return x0 - 0.3 * step.sigma * gradient / size, step.problem.violations(fields)

    def citation(self) -> str:
        return ""


prompt = "one drop of red dye diffusing quickly in water"
world = load_world("micro")
observable, grid = world.observable(prompt), world.grid(prompt)
unguided = world.sample(prompt, seed=3, steps=STEPS)
with guide(world.pipe, Nudge([MassConservation()]), observable=observable, grid=grid) as log:
    guided = world.sample(prompt, seed=3, steps=STEPS)
videos = {"unguided": unguided, "guided": guided}
mass = {name: observable(video).sum((0, 1, 3, 4)) for name, video in videos.items()}
draw_picture(videos, mass, "frame", "mass (pixels)")
