"""Laws of vessels, beads, sheets and vesicles: met by the simulators, and broken by what is planted."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.experiments.measure.laws import colour_map, law, read_fields
from physgen.simulators import GRAMMARS, SIMULATORS, Clips

FAMILIES = ("vessel", "beads", "sheet", "vesicles")
#: what true clips are below
NEARLY = {"flow_unexplained": 0.03, "exponent_outside": 0.3}


@cache
def drawn(family: str, count: int = 2) -> Clips:
    ((kind, grammar),) = GRAMMARS[family].items()
    every = [{"kind": kind, **one} for one in grammar.combinations()]
    asked = every[len(every) // count - 1 :: len(every) // count]
    return SIMULATORS[family](count, rng=np.random.default_rng(9), attributes=asked, split="all")


def measured(family: str, index: int, video: Tensor) -> dict[str, float]:
    return law(family, drawn(family).attributes[index], video)


def video_of(family: str, index: int = 0) -> Tensor:
    return torch.from_numpy(drawn(family).video[index])


@pytest.mark.parametrize("family", FAMILIES)
def test_simulators_obey_their_laws(family: str) -> None:
    for index in range(2):
        found = measured(family, index, video_of(family, index))
        assert found.pop("direction_right", 1.0) == 1.0
        assert all(value <= NEARLY.get(name, 1e-3) for name, value in found.items()), found


@pytest.mark.parametrize("family", FAMILIES)
def test_fields_are_those_of_the_simulator(family: str) -> None:
    clips = drawn(family)
    read = read_fields(family, clips.attributes[0], video_of(family))
    assert np.abs(read - clips.fields[0]).max() < 1e-4
    assert colour_map(family, clips.attributes[0]).species == clips.species


@pytest.mark.parametrize(
    ("family", "broken"),
    [
        ("vessel", {"flow_unexplained", "cells_loose"}),
        ("beads", {"beads_loose"}),
        ("sheet", {"beat_unexplained"}),
        ("vesicles", {"membrane_rises", "number_rises"}),
    ],
)
def test_frames_out_of_order_are_seen(family: str, broken: set[str]) -> None:
    """Vesicles are shown backwards, the others shuffled."""
    video = video_of(family)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(1))
    found = measured(family, 0, video.flip(1) if family == "vesicles" else video[:, order])
    assert all(found[name] > 0.1 for name in broken), found


def test_other_planted_faults_are_seen() -> None:
    jumped = torch.cat([video_of("vessel")[:, :12], video_of("vessel")[:, 12:].roll((3, 3), (2, 3))], 1)
    assert measured("vessel", 0, jumped)["walls_moved"] > 0.1
    assert (
        law("vessel", {**drawn("vessel").attributes[0], "direction": "up"}, video_of("vessel"))["direction_right"] == 0
    )
    fading = video_of("beads") * torch.linspace(1, 0.5, 25).view(1, -1, 1, 1)
    assert measured("beads", 0, fading)["light_drift"] > 0.3
    drifting = torch.stack([video_of("beads")[:, t].roll(t, 1) for t in range(25)], 1)
    assert measured("beads", 0, drifting)["exponent_outside"] > 0.1
    for family, name, speeds in (
        ("beads", "diffusivity_outside", ("slowly", "quickly")),
        ("sheet", "period_outside", ("slowly", "fast")),
    ):
        (other,) = {*speeds} - {drawn(family).attributes[0]["speed"]}
        assert law(family, {**drawn(family).attributes[0], "speed": other}, video_of(family))[name] > 0.2
    leaking = video_of("vesicles") * torch.linspace(1, 0.7, 25).view(1, -1, 1, 1)
    assert measured("vesicles", 0, leaking)["content_drift"] > 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("frames", [5, 25])
def test_what_shows_nothing_has_finite_figures(family: str, frames: int) -> None:
    for video in (torch.zeros(3, frames, 64, 64), torch.full((3, frames, 64, 64), 0.5), video_of(family)[:, :frames]):
        assert all(np.isfinite(value) for value in measured(family, 0, video).values())
