"""Write a guidance of your own: at each step half of the way to the law."""

from __future__ import annotations

import torch
from picture import STEPS, draw_picture

from physgen import Request, draw, load_world
from physgen.constraints import MassConservation
from physgen.guidance import Guidance, Step, Update


class HalfWay(Guidance):
    """x0* = x0 - L g / |g|^2,  g = d L / d x0: Polyak's step, which halves the residual of a law that is linear."""

    def update(self, step: Step) -> Update:
        violations = step.problem.violation(step.fields)  # of each law, by its name
        loss = torch.stack([law.loss for law in violations.values()]).sum(0)  # [B]
        (gradient,) = torch.autograd.grad(loss.sum(), step.x0)
        length = loss.detach() / gradient.flatten(1).square().sum(1).clamp(min=1e-12)
        move = length.view(-1, 1, 1, 1, 1) * gradient
        return Update(step.x0 - move, {name: float(law.rms.mean()) for name, law in violations.items()})


world = load_world("micro")
request = Request("one drop of red dye diffusing quickly in water", seed=1, steps=STEPS)
drawn = draw(world, request, HalfWay({"mass": MassConservation()}), arms=["unguided", "guided"])
videos = {name: arm.video for name, arm in drawn.arms.items()}
observable = world.observable(request.prompt)
mass = {name: observable(video).sum((0, 1, 3, 4)) for name, video in videos.items()}
draw_picture(videos, mass, "frame", "mass (pixels)")
