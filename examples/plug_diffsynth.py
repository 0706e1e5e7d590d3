"""Guide a pipeline of DiffSynth-Studio: give it a scheduler whose step corrects the estimate of the clean sample.

The loop is that of `WanVideoPipeline.__call__`. For the pipeline itself: `pipe.scheduler = GuidedScheduler(...)`, with
`decode`, a function from latents to fields.
"""

from __future__ import annotations

from typing import Any

from diffsynth.diffusion.flow_match import FlowMatchScheduler
from leaky_model import GRID, mass, noise, velocity
from picture import STEPS, draw_picture
from torch import Tensor

from physgen.constraints import MassConservation
from physgen.guidance import Guidance, Projection


class GuidedScheduler(FlowMatchScheduler):
    """DiffSynth's scheduler for Wan, with a guidance inside `step`."""

    def __init__(self, guidance: Guidance, **where: Any) -> None:
        super().__init__("Wan")
        self.guidance, self.where = guidance, where

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, **options: Any) -> Tensor:
        sigma = self.sigmas[(self.timesteps - timestep).abs().argmin()]
        x0 = self.guidance.correct(sample - sigma * model_output, x_t=sample, sigma=sigma, **self.where)
        return super().step((sample - x0) / sigma, timestep, sample, **options)


videos = {}
guided = GuidedScheduler(Projection({"mass": MassConservation()}), grid=GRID)
for label, scheduler in {"unguided": FlowMatchScheduler("Wan"), "guided": guided}.items():
    videos[label] = noise()
    scheduler.set_timesteps(STEPS, shift=5)
    for sigma, timestep in zip(scheduler.sigmas, scheduler.timesteps, strict=True):
        videos[label] = scheduler.step(velocity(videos[label], sigma), timestep, videos[label])
draw_picture(videos, {name: mass(video) for name, video in videos.items()}, "frame", "mass / first frame")
