"""``observable=`` of the command line: what each choice reads."""

import re

import numpy as np
import pytest
import torch

from physgen.constraints import Constraint, Transport
from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import choice
from physgen.experiments.cli.target import build
from physgen.experiments.draw.physics import physics_of
from physgen.experiments.instruments.devices.medium import filed
from physgen.guidance import Afterwards
from physgen.observables import Observable
from physgen.projected import project_video
from physgen.simulators import SIMULATORS
from physgen.worlds import Request, world_spec


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


def test_a_law_survives_a_file_where_the_video_shows_its_fields_alone() -> None:
    """Colour that no dye explains, of single pixels, is mixed with the dye's by the compression of an MP4 file."""
    clips = SIMULATORS["growth"](1, rng=np.random.default_rng(0), split="all")
    spec, true = world_spec("micro"), torch.from_numpy(clips.video).float()
    grid, law = spec.grid(clips.captions[0]), build(Constraint, choice("constraint", "fisher_kpp"))
    speckled = true + 0.06 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    lost = {}
    for part in (1.0, 0.0):
        read = spec.observable(clips.captions[0], off_map=part)
        shown = project_video(speckled, Afterwards({"law": law}), read, grid).video
        from_file = filed(shown[0].transpose(0, 1)).transpose(0, 1)[None]
        lost[part] = float((read(from_file.double()) - read(shown.double())).square().mean().sqrt())
    assert lost[0.0] < 0.7 * lost[1.0]


def test_the_command_line_leaves_it_out() -> None:
    spec, unguided = world_spec("micro"), choice("guidance", "none")
    request = Request("one drop of red dye diffusing quickly in water", seed=0)
    entry = {**choice("observable", "world"), "off_map": 0.0}
    alone = physics_of(spec, request, {}, unguided, entry).observable
    grey = torch.full((1, 3, 2, 4, 4), 0.5)
    assert torch.equal(alone.embed(grey, alone(grey)), alone.embed(0 * grey, alone(grey)))
    with pytest.raises(
        InvalidArgument, match=re.escape("off_map=0.0: allowed: 1 in microverse, of which no colours are known")
    ):
        physics_of(world_spec("microverse"), request, {}, unguided, entry)
