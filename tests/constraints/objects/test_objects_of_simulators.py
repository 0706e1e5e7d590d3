"""Beads that stay and vesicles that fuse: counts right in every frame, comings and goings where they are."""

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import Count, Permanence
from physgen.simulators import Clips, beads, vesicles, vessel

#: objects from one frame to the next, and part of the frames that may be wrong
TOLERANCE, FRAMES = 0.5, 0.1


def drawn(simulator: object, family: str) -> list[dict[str, str]]:
    return [{"kind": family, **a} for a in simulator.GRAMMARS[family].combinations()]  # type: ignore[attr-defined]


def noisy(clips: Clips, noise: float) -> Tensor:
    fields = torch.from_numpy(clips.fields[:, :1])
    return fields + noise * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0))


def brownian(count: int) -> Clips:
    return beads.simulate(count, rng=np.random.default_rng(5), attributes=(drawn(beads, "beads") * 2)[:count])


def lasting(clips: Clips, index: int) -> Permanence:
    """The law of beads: as wide as their spots, five standard deviations of a step far."""
    said = clips.parameters[index]
    step = (2 * said["D"] * clips.grid.dt) ** 0.5
    return Permanence(radius=1.5 * said["sigma"], reach=max(5 * step, said["sigma"]))


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_beads_are_counted(noise: float) -> None:
    clips = brownian(12)
    fields = noisy(clips, noise)
    for x, said in zip(fields, clips.parameters, strict=True):
        number = int(said["beads"])
        assert Count(number, smoothing=2).satisfied(x[None], clips.grid, FRAMES)
        assert not Count(number + 1, smoothing=2).satisfied(x[None], clips.grid, FRAMES)


@pytest.mark.parametrize("count", [6, pytest.param(24, marks=pytest.mark.slow)])
def test_beads_stay_and_one_that_goes_out_is_found(count: int) -> None:
    clips = brownian(count)
    y, x = np.mgrid[:64, :64] + 0.5
    assert clips.places is not None
    for index, fields in enumerate(noisy(clips, 0.0)):
        law, dark = lasting(clips, index), fields.clone()
        for frame, place in enumerate(clips.places[index, 0] / clips.grid.spacing[0]):
            away = np.hypot((y - place[0] + 32) % 64 - 32, (x - place[1] + 32) % 64 - 32)
            if frame >= 12:
                dark[
                    0, frame, torch.from_numpy(away * clips.grid.spacing[0] < 3 * clips.parameters[index]["sigma"])
                ] = 0
        assert law.satisfied(fields[None], clips.grid, TOLERANCE)
        assert not law.satisfied(dark[None], clips.grid, TOLERANCE)


@pytest.mark.parametrize("count", [5, pytest.param(18, marks=pytest.mark.slow)])
def test_fusing_vesicles_vanish_as_often_as_they_fuse(count: int) -> None:
    chosen = drawn(vesicles, "vesicles")[-count:]
    clips = vesicles.simulate(count, rng=np.random.default_rng(5), attributes=chosen)
    fields = noisy(clips, 0.0)
    for x, said in zip(fields, clips.parameters, strict=True):
        law, merging = Permanence(radius=4.9), Permanence(radius=4.9, merges=True)
        assert not law.satisfied(x[None], clips.grid, TOLERANCE)
        assert law.describe(x[None], clips.grid)["vanished"] == [[said["fusions"]]]
        assert law.describe(x[None], clips.grid)["appeared"] == [[0]]
        assert merging.satisfied(x[None], clips.grid, TOLERANCE)
        assert not merging.satisfied(x[None].flip(2), clips.grid, TOLERANCE)


def test_vesicles_are_counted_in_every_frame() -> None:
    clips = vesicles.simulate(18, rng=np.random.default_rng(5), attributes=drawn(vesicles, "vesicles"))
    found = Count(1).hard_count(noisy(clips, 0.0), clips.grid)[:, 0].numpy()
    assert clips.places is not None
    assert (found == np.isfinite(clips.places[..., 0]).sum(1)).mean() > 0.99


def test_cells_in_vessels_come_and_go_at_the_edge_only() -> None:
    clips = vessel.simulate(8, rng=np.random.default_rng(3), attributes=drawn(vessel, "vessel")[::6])
    assert Permanence(radius=3.9).satisfied(noisy(clips, 0.0), clips.grid, TOLERANCE).all()
