"""Bands hold what they say, and the score is that of its definition."""

from __future__ import annotations

import pytest
import torch

from physgen.ensemble import INFLATION, INFLATION_JOINED, Ensemble, crps, local_spread
from physgen.errors import InvalidArgument


@pytest.mark.parametrize(("count", "level"), [(4, 0.5), (16, 0.5), (16, 0.9), (19, 0.9), (60, 0.9)])
def test_a_band_holds_a_further_sample_as_often_as_it_says(count: int, level: float) -> None:
    """Of 40,000 values, whatever their distribution."""
    generator = torch.Generator().manual_seed(count)
    drawn = torch.randn(count + 1, 40_000, generator=generator, dtype=torch.float64).exp()
    ensemble = Ensemble(drawn[:-1])
    low, high = ensemble.band(level)
    held = float(((drawn[-1] >= low) & (drawn[-1] <= high)).double().mean())
    assert held == pytest.approx(ensemble.coverage(level), abs=0.015)


def test_bands_of_few_samples_are_as_wide_as_the_samples() -> None:
    fields = torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(0))
    low, high = Ensemble(fields).band(0.9)
    assert torch.equal(low, fields.amin(0))
    assert torch.equal(high, fields.amax(0))


@pytest.mark.parametrize("count", [2, 4, 16])
def test_a_wide_band_holds_a_further_sample_however_few_there_are(count: int) -> None:
    """The mean of few samples is off itself: without that part bands of four hold 0.86 in place of 0.90."""
    drawn = torch.randn(count + 1, 1, 9, 48, 48, generator=torch.Generator().manual_seed(count))
    low, high = Ensemble(drawn[:-1]).wide_band(0.9, 1.0)
    assert float(((drawn[-1] >= low) & (drawn[-1] <= high)).double().mean()) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(("inflation", "times"), [(INFLATION, 2.6), (INFLATION_JOINED, 3.0)])
def test_bands_of_four_samples_are_as_wide_as_when_their_factors_were_found(inflation: float, times: float) -> None:
    fields = torch.randn(4, 1, 5, 9, 9, generator=torch.Generator().manual_seed(0))
    low, high = Ensemble(fields).wide_band(0.9, inflation)
    torch.testing.assert_close(high - low, 2 * 1.6448536 * times * local_spread(fields))


def test_the_score_is_that_of_its_definition() -> None:
    fields = torch.rand(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth = torch.rand(5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    pairs = (fields[:, None] - fields[None]).abs().sum((0, 1)) / (2 * 7 * 6)
    torch.testing.assert_close(crps(fields, truth), (fields - truth).abs().mean(0) - pairs)


def test_the_score_prefers_the_right_distribution() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.randn(20_000, generator=generator)
    right = torch.randn(8, 20_000, generator=generator)
    scores = [float(crps(made, truth).mean()) for made in (right, 0.5 * right, 2 * right, right + 0.5)]
    assert scores[0] == min(scores)


def test_bad_input() -> None:
    with pytest.raises(InvalidArgument, match="two or more"):
        Ensemble(torch.zeros(1, 3))
    with pytest.raises(InvalidArgument, match=r"level=1\.5"):
        Ensemble(torch.zeros(2, 3)).band(1.5)
