"""Guide an ODE solver of torchdiffeq: `guided_velocity` makes a velocity of a velocity."""

from __future__ import annotations

import torch
from leaky_model import GRID, mass, noise, velocity
from picture import STEPS, draw_picture
from torchdiffeq import odeint

from physgen.constraints import MassConservation
from physgen.guidance import Projection
from physgen.sampling import guided_velocity

guided = guided_velocity(velocity, Projection({"mass": MassConservation()}), grid=GRID)
sigmas = torch.linspace(1, 0, STEPS + 1)  # from noise, sigma = 1, to the clean sample, sigma = 0
videos = {
    label: odeint(lambda sigma, x, v=v: v(x, sigma), noise(), sigmas, method="midpoint")[-1]
    for label, v in {"unguided": velocity, "guided": guided}.items()
}
draw_picture(videos, {name: mass(video) for name, video in videos.items()}, "frame", "mass / first frame")
