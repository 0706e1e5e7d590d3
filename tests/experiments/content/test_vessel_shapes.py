"""The shape of a vessel by its lumen and by its walls: both right, and nothing in common that misleads both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.experiments.content.asked import Asked, asked_of
from physgen.experiments.content.looks import shape_by_lumen, shape_by_walls
from physgen.experiments.content.readings import UNTOLD
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.draw.references import simulate
from physgen.worlds import world_spec

SPEC = world_spec("micro")
SHAPES = ("straight", "curved", "branching")
READINGS = {"lumen": shape_by_lumen, "walls": shape_by_walls}
#: of red, green and blue
WARMER = torch.tensor([0.85, 1.0, 1.15]).view(3, 1, 1, 1)


@pytest.fixture(scope="module")
def vessels() -> list[tuple[Tensor, Asked]]:
    """Six of each shape."""
    found = prompts("vessel", 48, "train", 61) + prompts("vessel", 48, "held_out", 61)
    chosen = [p for shape in SHAPES for p in [p for p in found if p.attributes["shape"] == shape][:6]]
    assert len(chosen) == 18
    return [(simulate(p, SPEC, [13, p.seed])[0], asked_of(p.caption, SPEC)) for p in chosen]


def share_right(reading: str, vessels: list[tuple[Tensor, Asked]]) -> float:
    return float(np.mean([READINGS[reading](asked.clip(video.clamp(0, 1)), asked) >= 0 for video, asked in vessels]))


@pytest.mark.parametrize("reading", READINGS)
def test_each_tells_the_shape_and_that_it_is_no_other(reading: str, vessels: list[tuple[Tensor, Asked]]) -> None:
    assert share_right(reading, vessels) >= 17 / 18
    for video, asked in vessels[::5]:
        assert asked.subject
        for shape in {*SHAPES} - {asked.subject.attributes["shape"]}:
            other = replace(
                asked, subject=replace(asked.subject, attributes={**asked.subject.attributes, "shape": shape})
            )
            assert READINGS[reading](other.clip(video), other) < 0


def test_an_odd_colour_misleads_the_lumen_and_not_the_walls(vessels: list[tuple[Tensor, Asked]]) -> None:
    """The lumen is read by the colour map of the family; walls that were read by it were misled together with it."""
    warmer = [(WARMER * video, asked) for video, asked in vessels]
    assert share_right("lumen", warmer) < 0.5
    assert share_right("walls", warmer) >= 17 / 18


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_without_a_vessel_nothing_is_told(noise: float, vessels: list[tuple[Tensor, Asked]]) -> None:
    video, asked = vessels[0]
    empty = 0.8 + noise * torch.randn(video.shape, generator=torch.Generator().manual_seed(0))
    assert shape_by_walls(asked.clip(empty), asked) == UNTOLD
