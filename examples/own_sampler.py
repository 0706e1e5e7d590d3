"""Guide a sampler of your own: `guidance.correct` is a function of tensors and asks for nothing else."""

from __future__ import annotations

import itertools

import torch
from leaky_model import GRID, mass, noise, velocity
from picture import STEPS, draw_picture

from physgen.constraints import MassConservation
from physgen.guidance import Guidance, Projection


def sample(guidance: Guidance | None) -> torch.Tensor:
    """Euler's method: from noise at sigma = 1 to the clean sample at sigma = 0."""
    x = noise()
    for sigma, following in itertools.pairwise(torch.linspace(1, 0, STEPS + 1)):
        x0 = x - sigma * velocity(x, sigma)  # the estimate of the clean sample
        if guidance:
            x0 = guidance.correct(x0, x_t=x, sigma=sigma, grid=GRID)
        x = x0 + following / sigma * (x - x0)  # the same noise, less of it
    return x


videos = {"unguided": sample(None), "guided": sample(Projection({"mass": MassConservation()}))}
draw_picture(videos, {name: mass(video) for name, video in videos.items()}, "frame", "mass / first frame")
