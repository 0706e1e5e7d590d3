"""The order of phases: nothing is said of noise, of several cells, of nothing; the direction is told by likelihood."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from physgen.audit import audit
from physgen.constraints import PhaseOrder
from physgen.constraints.mitosis.constraint import DECIDED, LEAPED, PhaseReading
from physgen.observables import Intensity
from physgen.simulators.mitosis import GRID, simulate

VIDEOS = 6


@pytest.fixture(scope="module")
def true() -> Tensor:
    return torch.from_numpy(simulate(VIDEOS, rng=np.random.default_rng(11)).fields[:, :1])


@pytest.fixture(scope="module")
def phases() -> Tensor:
    clips = simulate(VIDEOS, rng=np.random.default_rng(11))
    assert clips.phases is not None
    return torch.from_numpy(clips.phases)


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def read(fields: Tensor) -> list[PhaseReading]:
    return PhaseOrder().violations(fields, GRID)


def orders(fields: Tensor) -> set[str]:
    return {reading.order for reading in read(fields)}


@pytest.mark.parametrize("level", [0.0, 0.2])
def test_true_and_reversed_videos_are_told(true: Tensor, level: float) -> None:
    fields = true + level * torch.randn(true.shape, generator=torch.Generator().manual_seed(1))
    forward, back = read(fields), read(fields.flip(2))
    assert {reading.order for reading in forward} == {"forward"}
    assert {reading.order for reading in back} == {"reversed"}
    ratios = [(reading.log_ratio, other.log_ratio) for reading, other in zip(forward, back, strict=True)]
    print(f"\nnoise {level}: log ratio {min(a for a, _ in ratios):.0f} to {max(a for a, _ in ratios):.0f}")
    for ratio, other in ratios:
        assert ratio == pytest.approx(-other, abs=1e-3)
        assert ratio > 2 * DECIDED


def test_white_noise_does_not_pass() -> None:
    fields = noise(4, 1, 20, 64, 64)
    assert orders(fields) == {"nothing"}
    assert not PhaseOrder().satisfied(fields, GRID).any()
    gaussian = torch.randn(2, 1, 20, 64, 64, generator=torch.Generator().manual_seed(0))
    assert orders(gaussian) == {"nothing"}


@pytest.mark.parametrize("block", [3, 9, 15])
def test_coarse_noise_has_no_direction(block: int) -> None:
    frames = F.avg_pool2d(noise(60, 1, 64, 64), block, 1, block // 2)
    assert orders(frames.view(3, 1, 20, 64, 64)) <= {"several cells", "undecided"}


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_nothing_does_not_pass(value: float) -> None:
    fields = torch.full((1, 1, 5, 32, 32), value)
    assert orders(fields) == {"nothing"}
    assert not PhaseOrder().satisfied(fields, GRID).any()


@pytest.mark.parametrize("reverse", [False, True])
def test_two_cells_are_named(true: Tensor, reverse: bool) -> None:
    left, right = true[: VIDEOS // 2], true[VIDEOS // 2 :]
    fields = torch.cat([left, right.flip(2) if reverse else right], -1)[..., 8:-8]
    assert orders(fields) == {"several cells"}


def test_a_cell_that_does_not_divide_is_undecided(true: Tensor) -> None:
    assert orders(true[:, :, :1].expand(-1, -1, 12, -1, -1)) == {"undecided"}
    assert orders(true[:, :, :4]) == {"undecided"}


@pytest.mark.parametrize("cut", [0, 2, 3, 4, 5])
def test_frames_cut_out_do_not_raise_the_likelihood_of_the_order(true: Tensor, phases: Tensor, cut: int) -> None:
    change = []
    for video, phase, whole in zip(true.split(1), phases, read(true), strict=True):
        change.append(read(video[:, :, phase != cut])[0].log_ratio - whole.log_ratio)
    print(f"\nphase {cut} cut out: log ratio changes by {np.percentile(change, [0, 50, 100]).round(1)}")
    assert np.median(change) < -5
    assert max(change) < 0.05 * min(reading.log_ratio for reading in read(true))


def test_a_gap_is_seen(true: Tensor, phases: Tensor) -> None:
    assert max(reading.gap for reading in read(true)) < LEAPED / 5
    for cut, least in ((2, 0.7), (4, 0.7), (5, 0.9)):
        gaps = [read(video[:, :, phase != cut])[0].gap for video, phase in zip(true.split(1), phases, strict=True)]
        print(f"\nphase {cut} cut out: gap {np.percentile(gaps, [0, 50, 100]).round(2)}")
        assert np.mean(np.array(gaps) > LEAPED) >= least
    lenient = PhaseOrder(exceptions=["undersampled"])
    kept = phases[0] != 5
    assert lenient.violations(true[:1, :, kept], GRID)[0].gap == pytest.approx(0, abs=1e-4)


def test_the_reading_of_an_audit(true: Tensor) -> None:
    measured = partial(audit, observable=Intensity(), constraints=PhaseOrder(), grid=GRID, tolerance=0.05)
    found = measured(true[:1].expand(-1, 3, -1, -1, -1))["phase_order"]
    assert found.satisfied
    assert set(found.reading) == {"path", "named", "order", "log_ratio", "gap"}
    assert found.reading["order"] == ["forward"]
    assert not measured(noise(1, 1, 20, 64, 64).expand(-1, 3, -1, -1, -1))["phase_order"].satisfied
