"""``observable=`` of the command line: what each choice reads."""

import numpy as np
import torch

from physgen.constraints import Transport
from physgen.experiments.cli.config import choice
from physgen.experiments.cli.target import build
from physgen.guidance import Afterwards
from physgen.observables import Observable
from physgen.projected import project_video
from physgen.simulators import SIMULATORS
from physgen.worlds import world_spec


def colours() -> Observable:
    read: Observable = build(Observable, choice("observable", "colours"))
    return read


def test_colours_are_those_of_the_video() -> None:
    video = torch.rand(1, 3, 2, 4, 4, generator=torch.manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(colours()(video), video, rtol=0, atol=1e-15)
    torch.testing.assert_close(colours().embed(1 - video, video), video, rtol=0, atol=1e-15)


def test_a_flow_of_all_colours_carries_what_the_amount_of_red_does_not_show() -> None:
    """A spot in one frame, of a tint that is no more and no less red, stays unless the flow carries all colours."""
    clips = SIMULATORS["blood"](1, rng=np.random.default_rng(0), split="all")
    spec, true = world_spec("micro"), torch.from_numpy(clips.video).float()
    red, grid = spec.observable(clips.captions[0]), spec.grid(clips.captions[0])
    tint = 0.2 * torch.tensor([0.0, 0.64, -0.72]).view(3, 1, 1)
    spotted = true.clone()
    spotted[0, :, 12, 20:30, 20:30] += tint
    torch.testing.assert_close(red(spotted), red(true), rtol=0, atol=1e-6)
    left = {}
    for name, read in (("red", red), ("colours", colours())):
        found = project_video(spotted, Afterwards({"transport": Transport(form="steady")}), read, grid).video
        left[name] = float((found - true)[0, 2, 12, 20:30, 20:30].mean())
    assert left["red"] < -0.1
    assert abs(left["colours"]) < 0.02
