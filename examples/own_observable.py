"""Write an observable of your own: how much light the blood absorbs, where a dye would say how much it shines."""

from __future__ import annotations

import torch
from picture import STEPS, draw_picture
from torch import Tensor

from physgen import Request, draw, load_world
from physgen.constraints import MassConservation
from physgen.guidance import Projection
from physgen.observables import Observable


class Absorbance(Observable):
    """A = log10(I0 / I) of the green channel: by Beer and Lambert the amount of haemoglobin in the light's way."""

    species, unit, bounds, empty = ("haemoglobin",), "absorbance", (0.0, 2.0), 0.86  # empty: I0, light beside the cells

    def __call__(self, video: Tensor) -> Tensor:
        """Video ``[B, 3, T, H, W]`` in [0, 1] to fields ``[B, 1, T, H, W]``."""
        return torch.log10(self.empty / video[:, 1:2].clamp(min=0.01))

    def embed(self, video: Tensor, fields: Tensor) -> Tensor:
        """The video with its green channel replaced, so that it shows just these fields."""
        green = (self.empty * 10.0 ** -fields.double()).to(video.dtype)
        return torch.cat([video[:, :1], green, video[:, 2:]], dim=1)


world, absorbance = load_world("micro"), Absorbance()
request = Request("many red blood cells flow right fast through a vessel", seed=1, steps=STEPS)
law = Projection({"haemoglobin": MassConservation()})
drawn = draw(world, request, law, observable=absorbance, arms=["unguided", "guided"])
videos = {name: arm.video for name, arm in drawn.arms.items()}
amount = {name: absorbance(video).sum((0, 1, 3, 4)) for name, video in videos.items()}
draw_picture(videos, amount, "frame", "haemoglobin (pixels)")
