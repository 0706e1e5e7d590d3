"""What is degenerate, and what is not: simulators, real microscopy, noise of every strength."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.measure import degenerate, noise_level
from physgen.simulators import SIMULATORS
from physgen.video import read_video


def noisy(fields: Tensor, sigma: float, seed: int = 0) -> Tensor:
    return fields + sigma * torch.randn(fields.shape, generator=torch.Generator().manual_seed(seed), dtype=fields.dtype)


def dye(frames: int = 9) -> Tensor:
    return torch.from_numpy(SIMULATORS["dye"](1, rng=np.random.default_rng(3), frames=frames).fields)[:, :1].double()


@pytest.mark.parametrize("sigma", [0.0, 1e-4, 0.01, 0.1])
@pytest.mark.parametrize(("level", "word"), [(0.0, "empty"), (3.0, "uniform")])
def test_a_background_shows_nothing_at_any_noise(sigma: float, level: float, word: str) -> None:
    assert degenerate(noisy(torch.full((2, 1, 9, 32, 32), level), sigma)) == [word, word]


@pytest.mark.parametrize("sigma", [0.0, 1e-4, 0.01])
def test_a_still_picture_is_frozen_whatever_its_noise(sigma: float) -> None:
    still = dye()[:, :, :1].expand(-1, -1, 9, -1, -1)
    assert degenerate(noisy(still, sigma)) == ["frozen"]


@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.1])
def test_a_law_can_be_told_in_what_moves(sigma: float) -> None:
    assert degenerate(noisy(dye(), sigma)) == [None]


@pytest.mark.parametrize("family", sorted(SIMULATORS))
def test_simulators_are_not_degenerate(family: str) -> None:
    clips = SIMULATORS[family](4, rng=np.random.default_rng(0), frames=9)
    assert degenerate(torch.from_numpy(clips.fields)) == [None] * 4


def test_bleaching_alone_is_motion() -> None:
    fading = dye()[:, :, :1] * torch.exp(-0.02 * torch.arange(9.0)).view(1, 1, -1, 1, 1)
    assert degenerate(noisy(fading, 0.01)) == [None]


def test_a_faint_generated_video_is_empty_where_the_scale_is_known() -> None:
    faint = 0.1 * dye()
    assert degenerate(faint) == [None]
    assert degenerate(faint, least=0.25) == ["empty"]


def test_one_species_that_shows_something_is_enough() -> None:
    fields = torch.cat([torch.zeros_like(dye()), dye()], 1)
    assert degenerate(fields) == [None]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 65535.0])
def test_the_unit_does_not_matter(scale: float) -> None:
    assert degenerate(scale * noisy(dye(), 0.01)) == [None]
    assert degenerate(scale * noisy(dye()[:, :, :1].expand(-1, -1, 9, -1, -1), 0.01)) == ["frozen"]
    assert torch.allclose(noise_level(scale * noisy(dye(), 0.05)[0]) / scale, noise_level(noisy(dye(), 0.05)[0]))


def test_lines_and_two_frames_are_read() -> None:
    line = torch.linspace(0, 1, 64).expand(1, 1, 2, 64)
    assert degenerate(line) == ["frozen"]
    assert degenerate(line * torch.tensor([1.0, 0.5]).view(1, 1, 2, 1)) == [None]


def test_real_microscopy_is_not_degenerate(shared: Path) -> None:
    for name in ("cancer_nuclei_48x130x130_u16.tif", "membrane_5x256x256_u16.tif"):
        frames = read_video(shared / "microscopy" / name).frames
        assert degenerate(frames.mean(1)[None, None]) == [None], name
