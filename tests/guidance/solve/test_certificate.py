"""What a projected sample is certified for: float64, constants that were fitted once, the floor of rounding."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from physgen.constraints import Constraint, Inequality, MassConservation, Observed, ReactionDiffusion
from physgen.experiments.draw.measured import verdict
from physgen.grid import Grid
from physgen.guidance import Projection
from physgen.guidance.solve.certificate import Certificate, certify

GRID = Grid(spacing=(1.0, 1.0), dt=0.5)


class Order(Constraint):
    """A law with a residual of 0.8 where it holds."""

    name = "order"

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return 0.8 + fields.flatten(1).amax(1).clamp(min=1.0) - 1.0

    def satisfied(self, fields: Tensor, grid: Grid | None, tolerance: float) -> Tensor:
        return fields.flatten(1).amax(1) <= 1


def videos(batch: int = 2) -> Tensor:
    """Stripes that diffuse, with noise."""
    generator = torch.Generator().manual_seed(0)
    decay = torch.exp(-0.3 * torch.arange(5.0)).view(1, 1, -1, 1, 1)
    stripes = torch.cos(torch.pi * 2 * (torch.arange(12) + 0.5) / 12).expand(batch, 1, 1, 12, 12)
    noise = 0.02 * torch.randn(batch, 1, 5, 12, 12, generator=generator)
    return (0.5 + 0.4 * decay * stripes + noise).double()


def certified(constraints: Sequence[Constraint], fields: Tensor, change: float = 0.0) -> dict[str, Certificate]:
    """Certificate of projected fields rounded to float32, one number of which is changed."""
    projected = Projection(constraints).projection(fields, GRID)
    rounded = projected.fields.float().double()
    seen = rounded.clone()
    seen[0, 0, -1, 0, 0] += change
    return certify(projected, seen, rounded)


def test_constants_are_those_of_the_projection() -> None:
    law = ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")
    fields = videos()
    projected = Projection([law]).projection(fields, GRID)
    report = certified([law], fields)["reaction_diffusion"]
    assert report.fit == law.fit(fields, GRID)
    assert law.fit(projected.fields, GRID).values["D_c"] != law.fit(fields, GRID).values["D_c"]
    assert report.residual_max == report.rounding_max > 0
    assert report.satisfied is True
    assert report.kind == "equality"


@pytest.mark.parametrize(
    "constraint", [ReactionDiffusion("diffusion", {"c": 0.4}, form="flow_map"), MassConservation()]
)
def test_a_number_out_of_place_is_not_certified(constraint: Constraint) -> None:
    assert certified([constraint], videos())[constraint.name].satisfied is True
    report = certified([constraint], videos(), change=0.01)[constraint.name]
    assert report.satisfied is False
    assert report.tolerance is not None
    assert report.residual_max > report.tolerance


def test_samples_that_are_not_finite_are_not_certified() -> None:
    fields = videos()
    fields[1, 0, 0, 0, 0] = math.nan
    report = certified([ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")], fields)["reaction_diffusion"]
    assert report.satisfied is False
    assert report.residual_max < 1e-4
    assert len(report.fit.values["D_c"]) == 1


def test_of_an_inequality_the_positive_part_counts() -> None:
    report = certified([Inequality(lambda x: x - 0.5)], videos())["inequality"]
    assert report.residual_max <= 1e-6
    assert report.satisfied is True
    assert certified([Inequality(lambda x: x - 2.0)], videos())["inequality"].residual_rms == 0


def test_a_constraint_says_itself_what_holding_means() -> None:
    class Held(Order):
        projects = True

        def project(self, fields: Tensor, grid: Grid | None) -> Tensor:
            return fields.clamp(max=1)

    report = certified([Held()], 2 * videos())["order"]
    assert report.satisfied is True
    assert report.residual_rms == pytest.approx(0.8)
    assert certified([Held()], 2 * videos(), change=1.0)["order"].satisfied is False


def test_a_law_without_a_tolerance_is_certified_without_one() -> None:
    fields = videos()
    noisy = Observed(fields[0] + 0.1 * torch.ones_like(fields[0]), noise=0.1)
    report = certified([noisy], fields[:1])["observed"]
    assert report.tolerance is None
    assert report.satisfied
    assert verdict(report) == "satisfied"
