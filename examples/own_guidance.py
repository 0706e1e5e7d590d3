"""Write a guidance of your own: a nudge of fixed size against the gradient of the loss, the simplest of all."""

from __future__ import annotations

import torch
from picture import STEPS, draw_picture

from physgen import Request, draw, load_world
from physgen.constraints import MassConservation
from physgen.guidance import Guidance, Step, Update


class Nudge(Guidance):
    """x0* = x0 - 0.3 sigma g / rms(g),  g = d loss / d x0: large steps while there is noise, small ones at the end."""

    def update(self, step: Step) -> Update:
        violations = step.problem.violation(step.fields)  # of each law, by its name
        loss = torch.stack([law.loss.sum() for law in violations.values()]).sum()
        (gradient,) = torch.autograd.grad(loss, step.x0)
        size = gradient.square().mean().sqrt().clamp(min=1e-12)
        residuals = {name: float(law.rms.mean()) for name, law in violations.items()}
        return Update(step.x0 - 0.3 * step.sigma * gradient / size, residuals)


world = load_world("micro")
request = Request("one drop of red dye diffusing quickly in water", seed=3, steps=STEPS)
drawn = draw(world, request, Nudge({"mass": MassConservation()}), arms=["unguided", "guided"])
videos = {name: arm.video for name, arm in drawn.arms.items()}
observable = world.observable(request.prompt)
mass = {name: observable(video).sum((0, 1, 3, 4)) for name, video in videos.items()}
draw_picture(videos, mass, "frame", "mass (pixels)")
