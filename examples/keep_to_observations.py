"""Keep to what was seen: half of the first frame and half of the thirteenth of a colony, with noise.

What was seen is taken from a clip of the simulator, so that the rest of it says how right the samples are.
"""

from __future__ import annotations

import numpy as np
import torch
from picture import STEPS, draw_picture

from physgen import guide, load_world
from physgen.constraints import Observed
from physgen.guidance import DPS
from physgen.simulators import SIMULATORS

clip = SIMULATORS["growth"](1, rng=np.random.default_rng(3), split="all")
prompt, truth = clip.captions[0], torch.from_numpy(clip.video).float()
world = load_world("micro")
observable, grid = world.observable(prompt), world.grid(prompt)

fields = observable(truth)[0]
mask = torch.zeros_like(fields, dtype=torch.bool)
mask[:, 0, :, :32] = mask[:, 12, :, 32:] = True
values = fields + 0.05 * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0))

unguided = world.sample(prompt, seed=0, steps=STEPS)
new_noise = torch.Generator().manual_seed(0)
guidance = DPS(Observed(values, mask, noise=0.05), renoise=0.9)
with guide(world.pipe, guidance, observable=observable, grid=grid, generator=new_noise):
    guided = world.sample(prompt, seed=0, steps=STEPS)

videos = {"unguided": unguided, "guided": guided, "truth": truth}
error = {name: (observable(videos[name])[0] - fields).square().mean((0, 2, 3)).sqrt() for name in list(videos)[:2]}
draw_picture(videos, error, "frame", "RMSE of the field")
