"""Constraints that cannot hold together, or pull against each other."""

from typing import Any

import pytest
import torch
from markers import slow_except
from torch import Tensor

from physgen.constraints import (
    Constraint,
    Equality,
    Inequality,
    Kinetics,
    MassConservation,
    Observed,
    ReactionDiffusion,
    ReactionSystem,
)
from physgen.errors import Contradiction
from physgen.grid import Grid
from physgen.guidance import AugmentedLagrangian, Projection, X0Gradient
from physgen.guidance.solve.contradiction import require_consistent

GRID = Grid(spacing=(2.0, 2.0), dt=0.1)
LITTLE, MUCH = MassConservation(initial_mass=20.0), MassConservation(initial_mass=30.0)
PAIR = {"little": LITTLE, "much": MUCH}
HEAT = ReactionDiffusion("diffusion", {"c": 2.0}, form="flow_map")


@pytest.fixture
def fields() -> Tensor:
    return torch.rand(2, 1, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def test_the_pair_is_named_and_by_how_much(fields: Tensor) -> None:
    with pytest.raises(Contradiction) as caught:
        Projection({"heat": HEAT, **PAIR}).project(fields.double(), GRID)
    assert caught.value.got == "little, much"
    # 20 and 30 are missed least, in units of themselves, at m = (1/20 + 1/30) / (1/20^2 + 1/30^2)
    m = (1 / 20 + 1 / 30) / (1 / 400 + 1 / 900)
    assert str(caught.value).endswith(f"little {m / 20 - 1:.3g}, much {1 - m / 30:.3g}")


def test_three_that_agree_in_pairs_are_named_together() -> None:
    pair = [Equality(lambda x: x[:, 0] - 1.0, "one"), Equality(lambda x: x[:, 1] - 1.0, "two")]
    laws = [*pair, Equality(lambda x: x.sum(1) - 3.0, "sum")]
    with pytest.raises(Contradiction) as caught:
        Projection([*laws, Inequality(lambda x: x - 9.0)]).project(torch.zeros(1, 2, dtype=torch.float64))
    assert caught.value.got == "one, two, sum"


@pytest.mark.parametrize("cls", slow_except({Projection, X0Gradient}, [Projection, X0Gradient, AugmentedLagrangian]))
@pytest.mark.parametrize("decode", [pytest.param(None, marks=pytest.mark.slow), lambda z: 0.5 + z / 4])
def test_it_is_found_at_the_first_correction(cls: type[Projection], decode: Any, fields: Tensor) -> None:
    with pytest.raises(Contradiction, match="little, much"):
        cls(PAIR, terminal=True).correct(fields, x_t=fields, sigma=0.9, decode=decode, grid=GRID)


def test_constraints_that_are_not_projected_onto_may_contradict(fields: Tensor) -> None:
    x0 = X0Gradient(PAIR).correct(fields, x_t=fields, sigma=0.9, decode=lambda z: 1 * z, grid=GRID)
    assert not torch.equal(x0, fields)


@pytest.mark.parametrize(
    "laws",
    [
        [LITTLE, LITTLE],
        [HEAT, LITTLE],
        [LITTLE, Inequality(lambda x: x - 0.9)],
        pytest.param([LITTLE, MassConservation()], marks=pytest.mark.slow),
    ],
)
def test_constraints_that_agree_are_left_alone(laws: list[MassConservation], fields: Tensor) -> None:
    named = {str(index): law for index, law in enumerate(laws)}
    require_consistent(Projection(named).problem(GRID), fields)


def test_one_sample_that_can_be_saves_the_batch() -> None:
    """x = 1 and x = 1 + y, where y is given."""
    laws = {
        "given": Equality(lambda x: x[:, 0] - 1.0),
        "shifted": Equality(lambda x: x[:, 0] - 1.0 - x[:, 1].detach()),
    }
    x = torch.tensor([[3.0, 0.5], [3.0, 0.0]], dtype=torch.float64)
    assert Projection(laws).projection(x[:1]).contradiction
    projected = Projection(laws).projection(x)
    assert projected.contradiction is None
    assert projected.fields[1].tolist() == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 1.0), (-1.0, -1.0)])
def test_cosines_of_descent(sign: float, expected: float) -> None:
    laws = [Equality(lambda x: x.sum(1) - 9.0, "up"), Equality(lambda x: sign * x.sum(1) - 9.0, "other")]
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    correction = X0Gradient(laws).correction(x, x_t=x, sigma=0.9)
    assert correction.cosines == {"up, other": pytest.approx(expected)}


def test_constraints_that_hold_have_no_cosine() -> None:
    laws = [
        Equality(lambda x: x[:, 0], "held"),
        Equality(lambda x: x[:, 1] - 9.0, "nine"),
        Equality(lambda x: x[:, 1] - 8.0, "eight"),
    ]
    x = torch.tensor([[0.0, 1.0]])
    assert X0Gradient(laws).correction(x, x_t=x, sigma=0.9).cosines == {"nine, eight": pytest.approx(1.0)}


def of_first(fields: Tensor) -> Tensor:
    return fields[:, :, 0].flatten(1).mean(1) - 0.3


def of_last(fields: Tensor) -> Tensor:
    return fields[:, :, -1].flatten(1).mean(1) - 0.2


SEEN = torch.full((1, 4, 6, 6), torch.nan)
SEEN[:, 0] = 0.3 + 0.02 * torch.randn(6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "laws",
    [
        {"mass": MassConservation(), "first": Equality(of_first)},
        {"mass": MassConservation(), "little": Inequality(of_first)},
        {"mass": MassConservation(), "seen": Observed(SEEN, noise=0.02)},
        {"mass": MassConservation(source=lambda c: 1 - c), "first": Equality(of_first)},
        {"mass": MassConservation(bleaching="exponential"), "first": Equality(of_first), "last": Equality(of_last)},
    ],
    ids=["amount", "bound", "observation", "source", "bleaching"],
)
def test_a_fitted_amount_moves_to_that_of_other_laws(laws: dict[str, Constraint], fields: Tensor) -> None:
    projected = Projection(laws).project(fields.double(), GRID)
    assert all(bool(law.satisfied(projected, GRID, 1e-9).all()) for law in laws.values())


def test_a_fitted_amount_cannot_be_two(fields: Tensor) -> None:
    laws = {"mass": MassConservation(), "first": Equality(of_first), "last": Equality(of_last)}
    with pytest.raises(Contradiction, match="mass, first, last"):
        Projection(laws).project(fields.double(), GRID)


ENDS = {"first": Equality(of_first), "last": Equality(of_last)}
AMOUNT = MassConservation(initial_mass=0.3 * 6 * 6 * 2.0 * 2.0, bleaching="exponential")
DECAY = ReactionSystem(["c"], {"k": (-10.0, 10.0)}, ["-k*c"])
LOGISTIC = ReactionSystem(["c"], {"r": (-10.0, 10.0), "K": (0.0, 10.0)}, ["r*c*(1 - c/K)"])
DECAYS, SHRINKS = Kinetics(DECAY, {"k": (0.01, 10.0)}), Kinetics(LOGISTIC, {"r": (-10.0, 10.0), "K": 1.0})
#: part of the time from the first frame to the last
PART = torch.linspace(0, 1, 4, dtype=torch.float64)
FADING, SHRINKING = 0.3 * (0.2 / 0.3) ** PART, 1 / (1 + (1 / 0.3 - 1) * (4 * 0.3 / 0.7) ** PART)


@pytest.mark.parametrize(
    ("laws", "means"),
    [
        ({"kinetics": DECAYS, **ENDS}, FADING),
        pytest.param({"kinetics": DECAYS, "amount": AMOUNT, "last": ENDS["last"]}, FADING, marks=pytest.mark.slow),
        pytest.param({"kinetics": SHRINKS, **ENDS}, SHRINKING, marks=pytest.mark.slow),
    ],
    ids=["decay", "amount", "logistic"],
)
def test_fitted_rates_move_to_the_means_of_other_laws(
    laws: dict[str, Constraint], means: Tensor, fields: Tensor
) -> None:
    """A uniform video with these means obeys all laws; the projection of any video has these means."""
    uniform = means.view(-1, 1, 1).expand(1, 1, 4, 6, 6)
    projected = Projection(laws).project(fields[:1].double(), GRID)
    for video in (uniform, projected):
        assert all(bool(law.satisfied(video, GRID, 1e-6).all()) for law in laws.values())
    torch.testing.assert_close(projected.mean((0, 1, 3, 4)), means, rtol=0, atol=1e-6)


def test_a_fitted_rate_stays_within_its_bounds(fields: Tensor) -> None:
    """From 0.3 to 0.2 in 0.3 s, k is 1.35 per second, which is not allowed."""
    laws = {"kinetics": Kinetics(DECAY, {"k": (2.0, 10.0)}), **ENDS}
    with pytest.raises(Contradiction, match="kinetics, first, last"):
        Projection(laws).project(fields[:1].double(), GRID)
