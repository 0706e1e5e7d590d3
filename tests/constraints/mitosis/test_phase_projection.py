"""Frames that are changed until they show the phases of an allowed path."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.constraints import PhaseOrder
from physgen.constraints.mitosis.classifier import PHASES
from physgen.constraints.mitosis.projection import MARGIN, _lowered
from physgen.errors import NoSolution
from physgen.grid import Grid
from physgen.observables import ColourMap
from physgen.simulators.mitosis import BACKGROUND, COLOURS, GRID, simulate

VIDEOS = 3
MORE_CORRUPTED = [("phases", None), ("reversed", None), ("frames", 1)]
CORRUPTED = {
    "frames": [*range(6), 12, *range(7, 12), 6, *range(13, 25)],
    "phases": [*range(7), *range(14, 18), *range(11, 14), *range(7, 11), *range(18, 25)],
    "reversed": [*reversed(range(25))],
}


@pytest.fixture(scope="module")
def true() -> Tensor:
    """Chromatin and cell ``[B, 2, T, H, W]``, float64; the classifier was trained on other seeds."""
    return torch.from_numpy(simulate(VIDEOS, rng=np.random.default_rng(31)).fields[:, [0, 3]]).double()


def steps(readings: list[list[int]]) -> set[int]:
    return {after - before for named in readings for before, after in itertools.pairwise(named)}


def test_true_videos_are_left_alone(true: Tensor) -> None:
    constraint = PhaseOrder()
    for fields in (true, true.float()):
        held = constraint.satisfied(fields, GRID)
        moved = (constraint.project(fields, GRID) - fields).square().mean((1, 2, 3, 4)).sqrt()
        assert held.sum() >= 2
        assert moved[held].max() < 1e-4
        assert moved.max() < 3e-3


@pytest.mark.parametrize(
    ("corrupted", "cell"),
    [("frames", None), *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_CORRUPTED)],
)
def test_corrupted_videos_become_feasible(true: Tensor, corrupted: str, cell: int | None) -> None:
    constraint = PhaseOrder(cell=cell)
    fields = true[:, :, CORRUPTED[corrupted]]
    assert not constraint.satisfied(fields, GRID).any()
    projected = constraint.project(fields, GRID)
    stored = projected.float()
    for found in (projected, stored, stored.clamp(0, 1)):
        assert constraint.satisfied(found, GRID).all()
        assert not any(reading.illegal for reading in constraint.violations(found, GRID))
    if cell is None:
        assert torch.equal(projected[:, 1], fields[:, 1])


def test_a_frame_out_of_order_is_repaired_where_it_is(true: Tensor) -> None:
    fields = true[:1, :, CORRUPTED["frames"]]
    constraint = PhaseOrder()
    wrong = {frame for step in constraint.violations(fields, GRID)[0].illegal for frame in (step[0] - 1, step[0])}
    moved = (constraint.project(fields, GRID) - fields).abs().amax((0, 1, 3, 4))
    assert {6, 12} <= set(moved.nonzero()[:, 0].tolist()) <= wrong
    assert moved.amax() > 0.01


def test_the_margin_holds_in_float64(true: Tensor) -> None:
    constraint = PhaseOrder()
    projected = constraint.project(true[:2, :, CORRUPTED["phases"]], GRID)
    first, second = constraint.log_probability(projected, GRID).topk(2).values.unbind(-1)
    assert (first - second).min() >= MARGIN
    assert torch.equal(constraint.project(projected, GRID), projected)


def test_values_stay_where_a_video_can_show_them(true: Tensor) -> None:
    fields = true[:, :, CORRUPTED["phases"]]
    projected = PhaseOrder().project(fields, GRID)
    bright = fields.clamp(min=0).pow(5).sum((1, 2, 3, 4)) / fields.clamp(min=0).pow(4).sum((1, 2, 3, 4))
    assert (projected >= fields.clamp(max=0)).all()
    assert (projected <= fields.maximum(bright.view(-1, 1, 1, 1, 1)) + 1e-12).all()


def test_videos_keep_the_order_through_their_colour_map() -> None:
    clips = simulate(VIDEOS, rng=np.random.default_rng(37))
    for video, attributes in zip(
        torch.from_numpy(clips.video)[:, :, CORRUPTED["phases"]], clips.attributes, strict=True
    ):
        name = attributes["colour"]
        observable = ColourMap([COLOURS[name].tolist()], BACKGROUND.tolist(), [name])
        fields = observable(video[None])
        shown = observable.embed(video[None], PhaseOrder().project(fields, GRID)).clamp(0, 1)
        assert shown.dtype == torch.float32
        assert PhaseOrder().satisfied(observable(shown), GRID).all()


def test_start_exceptions_and_durations_are_kept(true: Tensor) -> None:
    held = true[:2, :, [*range(14), *range(8, 14), *range(11)]]  # falls back from metaphase, and again to interphase
    lenient = PhaseOrder(exceptions=["arrest", "slippage"])
    strict = PhaseOrder(start="interphase", durations={"metaphase": 300.0})
    allowed = lenient.project(held, GRID)
    assert lenient.satisfied(allowed, GRID).all()
    assert min(steps([reading.named for reading in lenient.violations(allowed, GRID)])) < 0
    names = [reading.named for reading in strict.violations(strict.project(held, GRID), GRID)]
    assert steps(names) <= {0, 1}
    for named in names:
        assert named[0] == 0
        assert named.count(PHASES.index("metaphase")) >= 3 or named[-1] <= PHASES.index("metaphase")


def test_a_video_without_a_gradient_has_no_solution() -> None:
    blank = torch.zeros(1, 1, 3, 8, 8)
    named = PHASES[PhaseOrder().violations(blank, GRID)[0].named[0]]
    with pytest.raises(NoSolution, match=r"frames \[0"):
        PhaseOrder(start=next(phase for phase in PHASES if phase != named)).project(blank, GRID)


def test_a_step_is_the_shortest_between_the_limits() -> None:
    generator = torch.Generator().manual_seed(0)
    frames, rows = (torch.rand(3, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    rows = rows - 0.4
    zero, one = torch.zeros_like(frames), torch.ones_like(frames)
    drop = torch.tensor([0.3, 0.0, 9.0], dtype=torch.float64)
    moved = _lowered(frames, rows, drop, zero, one)
    assert (rows * (moved - frames)).sum(1)[:2].tolist() == pytest.approx([-0.3, 0.0])
    assert torch.equal(moved[1], frames[1])
    torch.testing.assert_close(moved[2], (rows[2] < 0).double())
    others = torch.rand(20_000, 6, generator=generator, dtype=torch.float64)
    reached = others[others @ rows[0] <= moved[0] @ rows[0]]
    assert len(reached) > 100
    assert (reached - frames[0]).norm(dim=1).min() >= (moved[0] - frames[0]).norm()


def test_it_does_not_depend_on_units(true: Tensor) -> None:
    fields = true[:1, :, CORRUPTED["frames"]]
    grid = Grid(spacing=(1e3 * GRID.spacing[0], 1e3 * GRID.spacing[1]), dt=7.0)
    expected = 50 * PhaseOrder().project(fields, GRID)
    torch.testing.assert_close(PhaseOrder().project(50 * fields, grid), expected, rtol=1e-6, atol=1e-6)
