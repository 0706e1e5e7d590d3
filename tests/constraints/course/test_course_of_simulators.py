"""A sheet that beats, vesicles whose number falls, walls that stand: the laws of courses where truth is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Count, MassConservation, Periodic, Progression, Static
from physgen.grid import Grid
from physgen.simulators import Clips, blood, sheet, vesicles, vessel

UNIT = Grid(spacing=(1.0, 1.0), dt=1.0)


def beating(count: int, noise: float = 0.0) -> tuple[Clips, Tensor]:
    drawn = [{"kind": "sheet", **a} for a in sheet.GRAMMARS["sheet"].combinations()]
    clips = sheet.simulate(count, rng=np.random.default_rng(5), attributes=(drawn * 2)[:count])
    fields = torch.from_numpy(clips.fields)
    return clips, fields + noise * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0))


def fusing() -> Clips:
    drawn = [{"kind": "vesicles", **a} for a in vesicles.GRAMMARS["vesicles"].combinations()]
    return vesicles.simulate(18, rng=np.random.default_rng(5), attributes=drawn)


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("count", [6, pytest.param(24, marks=pytest.mark.slow)])
def test_the_period_of_a_sheet_is_found(count: int, noise: float) -> None:
    clips, fields = beating(count, noise)
    found = Periodic().fit(fields, clips.grid)
    true = np.array([said["period"] for said in clips.parameters])
    assert all(found.measured), found.reason
    assert np.abs(np.array(found.values["period"]) / true - 1).max() < 0.05
    low, high = np.array(found.intervals["period"]).T
    assert ((low <= true) & (true <= high)).mean() > 0.8


def test_blood_has_no_period() -> None:
    for simulator in (blood, vessel):
        clips = simulator.simulate(16, rng=np.random.default_rng(6))
        assert not any(Periodic().fit(torch.from_numpy(clips.fields[:, :1]), clips.grid).measured)


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("count", [8, pytest.param(24, marks=pytest.mark.slow)])
def test_beats_hold_and_beats_that_slow_down_or_miss_frames_do_not(count: int, noise: float) -> None:
    """Of a beat of five to twelve frames three harmonics leave 0.31 at most."""
    law = Periodic()
    clips, fields = beating(count, noise)
    slower = fields[:, :, [*range(12), *np.repeat(np.arange(12, 19), 2)][:25]]
    missing = torch.cat([fields[:, :, :12], fields[:, :, 14:]], 2)
    assert law.satisfied(fields, clips.grid, law.true_within).all()
    for wrong in (slower, missing):
        assert law.satisfied(wrong, clips.grid, law.true_within).double().mean() < 0.05


@pytest.mark.parametrize("seen", [False, True], ids=["true", "counted"])
def test_the_number_of_vesicles_only_falls(seen: bool) -> None:
    clips = fusing()
    assert clips.places is not None
    number = torch.from_numpy(np.isfinite(clips.places[..., 0]).sum(1)).float()
    if seen:
        number = Count(1).hard_count(torch.from_numpy(clips.fields[:, :1]), clips.grid)[:, 0].float()
    series = number[:, None, :, None, None].expand(-1, -1, -1, 4, 4)
    law = Progression(direction="shrinks")
    assert law.satisfied(series, UNIT, 0.01).all()
    assert not law.satisfied(series.flip(2), UNIT, 0.01).any()


def test_membrane_only_gets_less_and_content_stays() -> None:
    clips = fusing()
    content, membrane = torch.from_numpy(clips.fields).split(1, 1)
    law = Progression(direction="shrinks")
    assert law.satisfied(membrane, clips.grid, 0.01).all()
    assert not law.satisfied(membrane.flip(2), clips.grid, 0.01).any()
    assert MassConservation().satisfied(content, clips.grid, 1e-5).all()


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_walls_of_every_shape_stand(noise: float) -> None:
    drawn = [{"kind": "vessel", **a} for a in vessel.GRAMMARS["vessel"].combinations()][::3]
    clips = vessel.simulate(16, rng=np.random.default_rng(3), attributes=drawn)
    walls = torch.from_numpy(clips.fields[:, 1:])
    walls = walls + noise * torch.randn(walls.shape, generator=torch.Generator().manual_seed(0))
    jumped = torch.cat([walls[:, :, :12], walls[:, :, 12:].roll((3, 3), (-2, -1))], 2)
    assert Static().satisfied(walls, clips.grid, 0.1).all()
    assert not Static().satisfied(jumped, clips.grid, 0.1).any()
