"""The instrument reads back what was put in."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from elsewhere import DEVICE, elsewhere

from physgen.audit import FLOAT_PRECISION, audit, check_video, mass_balance, measure
from physgen.constraints import MassConservation, Periodic, Permanence, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Projection
from physgen.observables import Intensity
from physgen.simulators import SIMULATORS
from physgen.video import Video, read_video, write_tiff
from physgen.worlds import world_spec

GRID = Grid(spacing=(2.0, 0.5), dt=0.5)


def fading(rate: float, frames: int = 9) -> torch.Tensor:
    """A uniform grey video whose brightness decays at ``rate`` per second on `GRID`."""
    brightness = 0.8 * torch.exp(-rate * GRID.dt * torch.arange(frames, dtype=torch.float64))
    return brightness.view(1, 1, frames, 1, 1).expand(1, 3, frames, 16, 16)


def test_bleaching_rate_and_mass_have_the_right_units() -> None:
    balance = mass_balance(fading(0.3), Intensity(), GRID, scale=1000.0)["intensity"]
    assert balance["mass"][0] == pytest.approx(1000 * 0.8 * 256 * GRID.cell_area)
    assert balance["bleaching_rate"] == pytest.approx(0.3)
    assert balance["drift"] == pytest.approx(1 - math.exp(-0.3 * 4))
    assert balance["change"] == pytest.approx(math.exp(-0.3 * 4) - 1)
    assert balance["detrended_sd"] == pytest.approx(0, abs=1e-12)


def test_mass_is_measured_wherever_the_video_is() -> None:
    near = mass_balance(fading(0.3), Intensity(), GRID)
    with elsewhere():
        assert mass_balance(fading(0.3).to(DEVICE), Intensity(), GRID) == near


def test_detrended_sd_is_the_noise() -> None:
    noise = 0.016 * torch.randn(1, 1, 400, 1, 1, dtype=torch.float64, generator=torch.manual_seed(0))
    video = fading(0.001, 400) * (1 + noise)
    assert mass_balance(video, Intensity(), GRID)["intensity"]["detrended_sd"] == pytest.approx(0.016, rel=0.1)


def test_residual_agrees_with_the_constraint_and_bleaching_explains_it() -> None:
    kept = audit(fading(0.3), Intensity(), [MassConservation()], GRID, tolerance=0.05)["mass"]
    assert not kept.satisfied
    assert kept.residual_max > kept.residual_rms > 0.1
    bleached = MassConservation(bleaching="exponential")
    report = audit(fading(0.3), Intensity(), [bleached], GRID, tolerance=FLOAT_PRECISION)["mass"]
    assert report.satisfied
    assert report.fit.values["bleaching_rate"][0][0] == pytest.approx(0.3)


def test_simulated_dye_conserves_mass_to_float_precision() -> None:
    clips = SIMULATORS["dye"](2, rng=np.random.default_rng(0), frames=9)
    spec = world_spec("micro")
    for video, caption in zip(torch.from_numpy(clips.video), clips.captions, strict=True):
        report = audit(
            video[None], spec.observable(caption), [MassConservation()], spec.grid(caption), tolerance=FLOAT_PRECISION
        )
        assert report["mass"].satisfied, report


def test_absent_species_has_no_drift() -> None:
    spec = world_spec("micro")
    clips = SIMULATORS["dye"](1, rng=np.random.default_rng(0), frames=5)
    balance = mass_balance(torch.from_numpy(clips.video), spec.observable("dye"), spec.grid("dye"))
    named = clips.attributes[0]["colour"]
    assert balance[named]["drift"] < 1e-5
    assert all(values["drift"] is None for species, values in balance.items() if species != named)


def test_projected_video_keeps_its_residual_through_a_tiff(tmp_path: Path) -> None:
    grid = Grid(spacing=(2.0, 2.0), dt=0.1)
    constraint = MassConservation()
    clips = SIMULATORS["dye"](1, rng=np.random.default_rng(0), frames=9)
    noise = 0.02 * torch.randn(clips.video.shape, generator=torch.manual_seed(0))
    video = (torch.from_numpy(clips.video) + noise).clamp(0, 1)
    dye = world_spec("micro").observable(clips.captions[0])
    projected = dye.embed(video, Projection([constraint]).project(dye(video), grid))
    before = audit(projected, dye, [constraint], grid, tolerance=FLOAT_PRECISION)
    assert before["mass"].satisfied
    write_tiff(tmp_path / "a.tif", Video(projected[0].transpose(0, 1), spacing=(2.0, 2.0), dt=0.1))
    again = read_video(tmp_path / "a.tif").frames.transpose(0, 1)[None]
    assert audit(again, dye, [constraint], grid, tolerance=FLOAT_PRECISION) == before


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (torch.rand(1, 3, 1, 8, 8), "at least 2"),
        (torch.full((1, 3, 4, 8, 8), torch.nan), "finite"),
        (torch.rand(1, 3, 4, 8, 8) / 0, "finite"),
    ],
)
def test_what_cannot_be_measured_is_refused(video: torch.Tensor, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        check_video(video)


@pytest.mark.parametrize(
    ("video", "word"),
    [
        (torch.zeros(1, 3, 5, 16, 16), "empty"),
        (torch.full((1, 3, 5, 16, 16), 0.25), "uniform"),
        (torch.rand(1, 3, 1, 16, 16, generator=torch.manual_seed(0)).expand(1, 3, 5, 16, 16), "frozen"),
    ],
)
def test_nothing_is_satisfied_where_nothing_happens(video: torch.Tensor, word: str) -> None:
    laws = {"mass": MassConservation(), "heat": ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")}
    for report in audit(video, Intensity(), laws, GRID, tolerance=1.0).values():
        assert (report.satisfied, report.degenerate) == (False, word)


def test_a_law_that_explains_nothing_is_not_satisfied() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    centre = torch.arange(4.0, 31.0, 3.0).view(-1, 1, 1)
    moving = torch.exp(-((y - 16) ** 2 + (x - centre) ** 2) / 18).expand(1, 3, -1, -1, -1)
    law = ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")
    report = audit(moving, Intensity(), law, GRID, tolerance=10.0)["reaction_diffusion"]
    assert (report.satisfied, report.degenerate) == (False, "unexplained")


def test_real_microscopy(shared: Path) -> None:
    video = read_video(shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif")
    batch = video.frames.transpose(0, 1)[None]
    balance = mass_balance(batch, Intensity(), Grid(spacing=(1.0, 1.0), dt=1.0), scale=video.scale)["intensity"]
    raw = video.frames[:, 0].double().sum((1, 2)).numpy() * video.scale
    np.testing.assert_allclose(balance["mass"], raw, rtol=1e-12)
    assert balance["change"] == pytest.approx(raw[-1] / raw[0] - 1)
    assert 0.01 < balance["detrended_sd"] < 0.1


def test_a_law_that_true_videos_hold_within_more_than_the_tolerance_says_so() -> None:
    """A cell from nowhere is found at any tolerance, and one that stays never: 0.5 of an object is what is true."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    staying = torch.stack([torch.exp(-((y - 16) ** 2 + (x - 10 - t) ** 2) / 12) for t in range(6)]).double()[None, None]
    ghost = staying.clone()
    ghost[..., 3:, :, :] += torch.exp(-((y - 10) ** 2 + (x - 22) ** 2) / 12)
    grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    for tolerance, limit in ((1e-6, 0.5), (0.7, 0.7)):
        found = [measure(fields, Permanence(radius=3.0), grid, tolerance=tolerance) for fields in (staying, ghost)]
        assert [one.satisfied for one in found] == [True, False]
        assert [one.tolerance for one in found] == [limit, limit]


def test_what_repeats_is_held_to_a_frame_and_not_to_its_largest_pixel() -> None:
    generator = torch.Generator().manual_seed(0)
    beat = torch.cos(2 * torch.pi * torch.arange(25.0) / 6.2).view(1, 1, 25, 1, 1) * torch.ones(16, 16)
    noisy = beat + 0.1 * torch.randn(beat.shape, generator=generator)
    found = measure(noisy.double(), Periodic(), Grid(spacing=(1.0, 1.0), dt=0.1), tolerance=0.05)
    assert found.residual_max > 0.3
    assert found.satisfied


def test_one_frame_has_a_mass_and_no_trend() -> None:
    balance = mass_balance(fading(0.3, frames=1), Intensity(), GRID)["intensity"]
    assert balance["mass"] == pytest.approx([0.8 * 16 * 16])
    assert (balance["drift"], balance["change"], balance["detrended_sd"], balance["bleaching_rate"]) == (
        0,
        0,
        None,
        None,
    )


def test_mass_of_what_has_a_derivative_is_numbers() -> None:
    video = fading(0.3).clone().requires_grad_()
    assert mass_balance(video, Intensity(), GRID)["intensity"]["bleaching_rate"] == pytest.approx(0.3)
