"""Flows that bend, split and go to and fro: fitted velocities against the places of what the simulators carry."""

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Transport
from physgen.grid import Grid
from physgen.simulators import Clips, sheet, vessel

LAW = Transport(steady=True)
SIDE = 64


def vessels(shape: str, count: int, noise: float = 0.0) -> tuple[Clips, Tensor]:
    drawn = [a for a in vessel.GRAMMARS["vessel"].combinations() if a["shape"] == shape]
    drawn = [{"kind": "vessel", **a} for a in drawn[:: max(len(drawn) // count, 1)][:count]]
    clips = vessel.simulate(count, rng=np.random.default_rng(5), attributes=drawn)
    fields = torch.from_numpy(clips.fields[:, :1])
    return clips, fields + noise * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0))


def moves(places: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair of frames ``[M]``, pixel half way ``[M, 2]`` and velocity ``[M, 2]``, um/s, of what stays in the frame."""
    v, middle = np.diff(places, axis=1) / grid.dt, (places[:, 1:] + places[:, :-1]) / 2
    stays = np.isfinite(v).all(-1) & (np.abs(v * grid.dt).max(-1) < 20 * grid.spacing[0])
    pixel = np.clip((middle[stays] / grid.spacing[0]).astype(int), 0, SIDE - 1)
    return np.nonzero(stays)[1], pixel, v[stays]


def at(velocity: Tensor, pairs: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return velocity[pairs, :, pixels[:, 0], pixels[:, 1]].numpy()


@pytest.mark.parametrize("shape", ["curved", "branching"])
@pytest.mark.parametrize(
    ("count", "noise"), [(1, 0.0), *(pytest.param(8, n, marks=pytest.mark.slow) for n in (0, 0.02))]
)
def test_direction_and_speed_in_vessels_that_bend_and_split(shape: str, count: int, noise: float) -> None:
    clips, fields = vessels(shape, count, noise)
    found, velocity = LAW.fit(fields, clips.grid), LAW.velocity(fields, clips.grid)
    assert all(found.measured), found.reason
    assert clips.places is not None
    for index, places in enumerate(clips.places):
        pairs, pixels, true = moves(places, clips.grid)
        y, x = true.mean(0)
        turn = (found.values["direction"][index] - np.rad2deg(np.arctan2(-y, x)) + 180) % 360 - 180
        assert abs(turn) < (5 if noise == 0 else 15)
        assert found.values["speed"][index] == pytest.approx(np.hypot(*true.T).mean(), rel=0.4 if noise else 0.12)
        error = at(velocity[index], pairs, pixels) - true
        assert np.square(error).sum(1).mean() < 0.2**2 * np.square(true).sum(1).mean()


@pytest.mark.parametrize("shape", ["curved", "branching"])
def test_true_flows_hold_and_flows_turned_back_half_way_do_not(shape: str) -> None:
    clips, fields = vessels(shape, 2)
    turned = torch.cat([fields[:, :, :12], fields[:, :, 12:].flip(2)], 2)
    assert LAW.satisfied(fields, clips.grid, 0.0).all()
    assert not LAW.satisfied(turned, clips.grid, 0.0).any()


@pytest.mark.parametrize("strength", ["gently", pytest.param("strongly", marks=pytest.mark.slow)])
def test_a_beating_sheet_is_followed_there_and_back(strength: str) -> None:
    drawn = [{"kind": "sheet", "orientation": "diagonal", "speed": "fast", "strength": strength}]
    clips = sheet.simulate(1, rng=np.random.default_rng(5), attributes=drawn)
    velocity = Transport().velocity(torch.from_numpy(clips.fields), clips.grid)
    assert clips.places is not None
    pairs, pixels, true = moves(clips.places[0], clips.grid)
    found, angle = at(velocity[0], pairs, pixels), np.deg2rad(clips.parameters[0]["angle"])
    along = np.array([-np.sin(angle), np.cos(angle)])
    assert (true @ along) @ (found @ along) / np.square(true @ along).sum() == pytest.approx(1.0, abs=0.06)
    assert np.square(found - true).sum() < 0.08**2 * np.square(true).sum()
    axis = np.linalg.eigh(found.T @ found)[1][:, -1]
    assert abs(axis @ along) > np.cos(np.deg2rad(2))


@pytest.mark.parametrize("count", [4, pytest.param(24, marks=pytest.mark.slow)])
def test_a_beating_sheet_has_no_speed_of_its_own(count: int) -> None:
    drawn = [{"kind": "sheet", **attributes} for attributes in sheet.GRAMMARS["sheet"].combinations()]
    clips = sheet.simulate(count, rng=np.random.default_rng(5), attributes=(drawn * 2)[:count])
    found = Transport().fit(torch.from_numpy(clips.fields), clips.grid)
    assert not any(found.measured)
    said = " ".join(map(str, found.reason))
    assert "different directions" in said or "to and fro" in said
