"""Guide a diffusers pipeline: a drop of dye keeps its mass.

The pipeline here is the one that physgen carries. Any other text-to-video pipeline of diffusers is guided alike.
"""

from __future__ import annotations

from picture import STEPS, draw_picture

from physgen import guide, load_world
from physgen.constraints import MassConservation
from physgen.guidance import Projection

prompt = "one drop of red dye diffusing quickly in water"
world = load_world("micro")
observable, grid = world.observable(prompt), world.grid(prompt)

unguided = world.sample(prompt, seed=6, steps=STEPS)
with guide(world.pipe, Projection({"mass": MassConservation()}), observable=observable, grid=grid) as log:
    guided = world.sample(prompt, seed=6, steps=STEPS)

videos = {"unguided": unguided, "guided": guided}
mass = {name: observable(video).sum((0, 1, 3, 4)) for name, video in videos.items()}
print(f"{len(log.steps)} corrected steps; certificate: {log.terminal.certificate['mass'].satisfied}")
draw_picture(videos, mass, "frame", "mass (pixels)")
