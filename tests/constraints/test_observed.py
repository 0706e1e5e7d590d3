"""What was observed is met at its noise, and said clearly where it cannot be."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import Observed
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import DPS, Projection
from physgen.sampling import sample_flow

GRID = Grid(spacing=(1.0, 1.0), dt=0.1)
TRUTH = torch.rand(1, 5, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASK = torch.zeros(1, 5, 16, 16, dtype=torch.bool)
MASK[:, ::2, :, :8] = True


def noisy(sd: float, seed: int = 1) -> Tensor:
    return TRUTH + sd * torch.randn(TRUTH.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_truth_holds_its_noisy_observation_and_what_is_farther_does_not() -> None:
    held = [bool(Observed(noisy(0.1, seed), MASK, 0.1).satisfied(TRUTH[None], GRID)) for seed in range(200)]
    assert sum(held) >= 198
    seen = Observed(noisy(0.1), MASK, 0.1)
    assert seen.describe(TRUTH[None], GRID)["deviation"] == [pytest.approx(1.0, abs=0.1)]
    assert not seen.satisfied(TRUTH[None] + 0.05, GRID).any()
    assert not Observed(noisy(0.1), MASK, 0.05).satisfied(TRUTH[None], GRID).any()


def test_projection_stops_at_the_noise_and_moves_nothing_else() -> None:
    start = torch.zeros(1, *TRUTH.shape, dtype=torch.float64)
    seen = Observed(noisy(0.1), MASK, 0.1)
    moved = seen.project(start, GRID)
    assert seen.residual(moved, GRID).norm() == pytest.approx(math.sqrt(int(MASK.sum())))
    assert seen.satisfied(moved, GRID).all()
    assert torch.equal(moved[0][~MASK], start[0][~MASK])
    assert torch.equal(seen.project(moved, GRID), moved)
    hard = Observed(TRUTH, MASK).project(start, GRID)
    assert torch.equal(hard[0][MASK], TRUTH[MASK])


def test_gaps_are_what_is_not_finite_and_noise_may_differ_from_value_to_value() -> None:
    values = TRUTH.masked_fill(~MASK, math.nan)
    fields = torch.zeros(2, *TRUTH.shape, dtype=torch.float64)
    torch.testing.assert_close(Observed(values).residual(fields, GRID), Observed(TRUTH, MASK).residual(fields, GRID))
    sd = 0.1 + TRUTH
    expected = -(TRUTH / sd)[MASK].expand(2, -1)
    torch.testing.assert_close(Observed(TRUTH, MASK, sd).residual(fields, GRID), expected)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_values_is_of_no_account(unit: float) -> None:
    fields = torch.rand(2, *TRUTH.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for sd in (0.0, 0.1):
        one, other = Observed(TRUTH, MASK, sd), Observed(unit * TRUTH, MASK, unit * sd)
        torch.testing.assert_close(other.residual(unit * fields, GRID), one.residual(fields, GRID))
        torch.testing.assert_close(other.project(unit * fields, GRID), unit * one.project(fields, GRID))


def test_each_sample_of_a_batch_has_its_own_values() -> None:
    values = torch.stack([TRUTH, 2 * TRUTH])
    assert Observed(values, MASK).satisfied(values, GRID, 1e-12).all()
    assert Observed(values, MASK).satisfied(values.flip(0), GRID, 1e-12).tolist() == [False, False]


def test_a_reading_is_what_the_instrument_shows() -> None:
    def binned(fields: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool3d(fields, (1, 4, 4))

    seen = Observed(binned(TRUTH[None])[0], noise=0.01, reading=binned)
    assert not seen.projects
    assert seen.satisfied(TRUTH[None], GRID).all()
    fields = torch.zeros(1, *TRUTH.shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(seen.loss(fields, GRID).sum(), fields)
    torch.testing.assert_close(gradient[0, 0, 0, :4, :4], gradient[0, 0, 0, 0, 0].expand(4, 4))


def test_guidance_on_the_way_meets_the_observation_at_its_noise() -> None:
    """A prior of independent values of unit variance: what is hidden is left alone."""

    def velocity(x: Tensor, s: Tensor) -> Tensor:
        return (2 * s - 1) * x / (s**2 + (1 - s) ** 2)

    seen = Observed(noisy(0.3), MASK, 0.3)
    noise = torch.randn(1, *TRUTH.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    sigmas = torch.linspace(1, 0, 41, dtype=torch.float64)
    found = sample_flow(velocity, noise, sigmas, guidance=DPS(seen), grid=GRID)
    free = sample_flow(velocity, noise, sigmas)
    assert seen.describe(free, GRID)["deviation"][0] > 2.0
    assert seen.describe(found, GRID)["deviation"][0] == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(found[0][~MASK], free[0][~MASK])


def test_a_finished_video_is_projected_onto_what_was_observed() -> None:
    fields = torch.rand(1, *TRUTH.shape, generator=torch.Generator().manual_seed(3))
    projected = Projection(Observed(TRUTH.float(), MASK)).project(fields, GRID)
    torch.testing.assert_close(projected[0][MASK], TRUTH.float()[MASK])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"values": TRUTH * math.nan}, "values"),
        ({"values": TRUTH.masked_fill(MASK, math.nan), "mask": MASK}, "values"),
        ({"mask": MASK[:, :3]}, "mask"),
        ({"mask": MASK & False}, "mask"),
        ({"values": torch.stack([TRUTH, TRUTH]), "mask": torch.stack([MASK, ~MASK])}, "mask"),
        ({"noise": -0.1}, "noise"),
        ({"noise": math.inf}, "noise"),
        ({"noise": TRUTH.new_tensor([0.0, 0.1, 0.1, 0.1, 0.1]).view(1, 5, 1, 1)}, "noise"),
        ({"noise": torch.ones(3)}, "noise"),
    ],
)
def test_bad_input(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        Observed(**{"values": TRUTH, "mask": MASK, **arguments})
    assert error.value.name == name


def test_fields_of_another_size_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"fields=.*the shape of the observed values"):
        Observed(TRUTH, MASK).residual(torch.zeros(1, 1, 5, 8, 8), GRID)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reading", [None, lambda fields: fields.mean((-2, -1))])
def test_half_precision_is_read_as_exactly_as_single(dtype: torch.dtype, reading: Any) -> None:
    values = torch.full((1, 5, 8, 8) if reading is None else (1, 5), 0.501)
    seen, fields = Observed(values, noise=1e-3, reading=reading), torch.full((1, 1, 5, 8, 8), 0.5)
    expected = seen.loss(fields, GRID)
    assert expected.item() == pytest.approx(values.numel() / 2, rel=1e-3)
    torch.testing.assert_close(seen.loss(fields.to(dtype), GRID), expected)
    coarse = Observed(values.to(dtype), noise=1e-9, reading=reading)
    assert not coarse.hard
    assert coarse.loss(fields.to(dtype), GRID).isfinite().all()
    if reading is None:
        assert seen.project(fields.to(dtype), GRID).dtype == dtype
