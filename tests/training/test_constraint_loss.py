"""The loss is what its formula says, its gradient what finite differences say, and no sample can spoil a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from physgen.constraints import Constraint, Equality, Inequality, MassConservation, PhaseOrder, ReactionDiffusion
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.training import ConstraintLoss, Mixed, conflict_free, explained

GRID = Grid(spacing=(1.0, 1.0), dt=0.1)
SIGMA = torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64)


def fields(batch: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return 0.2 + 0.6 * torch.rand(batch, 1, 4, 6, 6, dtype=dtype, generator=torch.Generator().manual_seed(0))


class Fussy(Constraint):
    """Has no solution near samples that start with a negative value, and a gradient of NaN where they start with 0."""

    name = "fussy"

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        first = fields.flatten(1)[:, :1]
        if bool((first < 0).any()):
            raise NoSolution("fields", "negative", "positive")
        return (fields.flatten(1) ** 2).sum(1, keepdim=True).sqrt() * first.sqrt()


@pytest.mark.parametrize(
    "constraint",
    [
        MassConservation(),
        MassConservation(bleaching="exponential"),
        ReactionDiffusion("diffusion", {"c": 0.5}, form="flow_map", scale=0.1),
        Inequality(lambda x: x - 0.5),
    ],
)
def test_gradient_is_that_of_finite_differences(constraint: Constraint) -> None:
    """Constraints hold the scale of their residuals, so the direction taken is one in which it stays."""
    loss, x0 = ConstraintLoss([constraint]), fields().requires_grad_()
    direction = torch.randn(x0.shape, dtype=x0.dtype, generator=torch.Generator().manual_seed(1))
    direction = direction - direction.mean((1, 2, 3, 4), keepdim=True)
    (gradient,) = torch.autograd.grad(loss(x0, SIGMA, grid=GRID).sum(), x0)
    step, slope = 1e-5, float((gradient * direction).sum())
    with torch.no_grad():
        up, down = (float(loss(x0 + side * step * direction, SIGMA, grid=GRID).sum()) for side in (1, -1))
    assert (up - down) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-9)
    assert abs(slope) > 1e-6


@pytest.mark.parametrize(
    "constraint",
    [MassConservation(initial_mass=15.0, maximum=None), ReactionDiffusion("diffusion", {"c": 0.5}, form="flow_map")],
)
def test_gradient_of_the_distance_is_exact_but_for_its_scale(constraint: Constraint) -> None:
    """Envelope theorem: grad 1/2 |f - P f|^2 = f - P f, though P moves with f."""
    x0 = fields().requires_grad_()
    size = constraint.project(x0.detach(), GRID).flatten(1).square().mean(1)
    (gradient,) = torch.autograd.grad(ConstraintLoss([constraint], measure="distance")(x0, 0.0, grid=GRID).sum(), x0)

    def half_square(x: Tensor) -> float:
        return float(((x - constraint.project(x, GRID)).flatten(1).square().mean(1) / (2 * size)).sum())

    direction = torch.randn(x0.shape, dtype=x0.dtype, generator=torch.Generator().manual_seed(1))
    up, down = (half_square(x0.detach() + side * 1e-5 * direction) for side in (1, -1))
    assert (up - down) / 2e-5 == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_is_the_weighted_excess_over_the_floor() -> None:
    laws = [MassConservation(), Equality(lambda x: x - 0.5)]
    free = ConstraintLoss(laws)
    rho = free.violations(fields(), grid=GRID)
    floors = {"mass": float(rho["mass"][0]), "equality": 0.1}
    found = ConstraintLoss(laws, floors=floors)(fields(), SIGMA, grid=GRID)
    excess = sum((rho[name] - floors[name]).clamp(min=0).square() / 2 for name in rho)
    assert torch.allclose(found, explained(SIGMA) * excess)
    assert torch.allclose(rho["equality"], (fields() - 0.5).flatten(1).square().mean(1).sqrt())


def test_lawful_samples_cost_nothing_and_push_nothing() -> None:
    x0 = fields(1).expand(3, 1, 4, 6, 6)[:, :, :1].expand(3, 1, 4, 6, 6).clone().requires_grad_()
    for measure in ("residual", "distance"):
        loss = ConstraintLoss([MassConservation()], measure=measure)(x0, SIGMA, grid=GRID)
        (gradient,) = torch.autograd.grad(loss.sum(), x0)
        assert loss.max() < 1e-20
        assert gradient.abs().max() < 1e-10
        assert gradient.isfinite().all()


def test_samples_do_not_see_each_other() -> None:
    loss = ConstraintLoss([MassConservation()])
    order = torch.tensor([2, 0, 1])
    together = loss(fields(), SIGMA, grid=GRID)
    assert torch.allclose(loss(fields()[order], SIGMA[order], grid=GRID), together[order])
    alone = torch.cat([loss(one, s, grid=GRID) for one, s in zip(fields().split(1), SIGMA.split(1), strict=True)])
    assert torch.allclose(alone, together)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_broken_sample_costs_nothing_and_is_counted(broken: float) -> None:
    weights = nn.Parameter(torch.ones(3, 4, dtype=torch.float64))
    values = torch.full((3, 4), 0.5, dtype=torch.float64)
    values[1] = torch.tensor([broken, 1.0, 1.0, 1.0])
    loss = ConstraintLoss([Fussy()])
    x0_hat = (weights * values).view(3, 1, 1, 4)
    per_sample = loss(x0_hat, 0.0)
    per_sample.sum().backward()
    assert per_sample.isfinite().all()
    assert weights.grad is not None
    if broken == broken and abs(broken) != float("inf"):  # else the network's own graph holds it
        assert weights.grad.isfinite().all()
        assert not weights.grad[1].any()
    assert weights.grad[[0, 2]].all()
    assert loss.skipped == 1


def test_without_weight_nothing_is_decoded() -> None:
    def decode(x: Tensor) -> Tensor:
        raise AssertionError

    x0 = fields().requires_grad_()
    loss = ConstraintLoss([MassConservation()])(x0, 1.0, decode=decode, grid=GRID)
    loss.sum().backward()
    assert loss.tolist() == [0.0] * 3
    assert x0.grad is not None
    assert not x0.grad.any()


def test_half_precision_is_measured_in_float32() -> None:
    half = fields(dtype=torch.float32).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ConstraintLoss([MassConservation()])(half, SIGMA.bfloat16(), grid=GRID)
    loss.sum().backward()
    assert loss.dtype == torch.float32
    exact = ConstraintLoss([MassConservation()])(half.detach().float(), SIGMA.bfloat16().float(), grid=GRID)
    assert torch.allclose(loss, exact, rtol=1e-4)
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


def posterior_mean(sigma: float, x_t: Tensor) -> Tensor:
    """E[x0 | x_t] of points on the unit circle, exactly, by quadrature."""
    angle = torch.arange(720, dtype=torch.float64) * (2 * torch.pi / 720)
    points = torch.stack([angle.cos(), angle.sin()], 1)
    distance = (x_t[:, None] - (1 - sigma) * points).square().sum(2)
    return torch.softmax(-distance / (2 * sigma**2), 1) @ points


def test_a_perfect_model_violates_a_curved_law_more_the_more_noise_and_a_linear_one_never() -> None:
    """The gap that the weight is for: circles of radius 1 violate |x|^2 = 1 on the mean, and x1 = x1 of none."""
    generator = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(400, dtype=torch.float64, generator=generator)
    x0 = torch.stack([angle.cos(), angle.sin()], 1)
    curved = ConstraintLoss([Equality(lambda x: x.square().sum(1, keepdim=True) - 1.0)], weight=torch.ones_like)
    unweighted, weighted = [], []
    for sigma in (0.05, 0.2, 0.4, 0.8):
        noise = torch.randn(x0.shape, dtype=x0.dtype, generator=generator)
        mean = posterior_mean(sigma, (1 - sigma) * x0 + sigma * noise)
        violated = curved(mean, sigma)
        unweighted.append(float(violated.mean()))
        weighted.append(float((explained(torch.tensor([sigma])) * violated).mean()))
    assert unweighted == sorted(unweighted)
    assert unweighted[-1] > 0.2
    assert weighted[-1] < 0.1 * unweighted[-1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"constraints": []}, "constraints"),
        ({"measure": "ratio"}, "measure"),
        ({"measure": "distance", "constraints": [Equality(lambda x: x)]}, "measure"),
        ({"floors": {"masses": 0.1}}, "floors"),
        ({"floors": {"mass": -0.1}}, "floors.mass"),
        ({"floors": {"mass": float("nan")}}, "floors.mass"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, Any], named: str) -> None:
    constraints = arguments.pop("constraints", [MassConservation()])
    with pytest.raises(InvalidArgument) as error:
        ConstraintLoss(constraints, **arguments)
    assert error.value.name == named


@pytest.mark.parametrize(
    ("sigma", "weight", "named"),
    [
        (torch.tensor([0.1, 0.2]), explained, "sigma"),
        (1.2, explained, "sigma"),
        (float("nan"), explained, "sigma"),
        (0.5, lambda s: -s, "weight"),
        (0.5, lambda s: s[:1], "weight"),
    ],
)
def test_bad_levels_are_refused(sigma: Any, weight: Any, named: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        ConstraintLoss([MassConservation()], weight=weight)(fields(), sigma, grid=GRID)
    assert error.value.name == named


def test_two_constraints_of_one_name_need_names() -> None:
    laws = {"zero": Equality(lambda x: x), "one": Equality(lambda x: x - 1)}
    loss = ConstraintLoss(laws, floors={"one": 0.5})
    assert list(loss.violations(torch.zeros(1, 1, 1, 1))) == ["zero", "one"]
    with pytest.raises(InvalidArgument, match=r"two of the name phase_order.*names that differ"):
        ConstraintLoss([PhaseOrder(), PhaseOrder()])


def test_mixed_refuses_another_batch() -> None:
    from physgen.observables import ColourMap, Intensity

    with pytest.raises(InvalidArgument):
        Mixed([Intensity()])(torch.zeros(2, 3, 1, 1, 1))
    two = ColourMap([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], (0.0, 0.0, 0.0), ("a", "b"))
    with pytest.raises(InvalidArgument):
        Mixed([Intensity(), two])
    with pytest.raises(InvalidArgument):
        Mixed([])


def test_conflict_free_lowers_both_and_ignores_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(8, generator=generator) for _ in range(2))
    b = b - 1.5 * a  # against a
    x, bias = torch.zeros(6, requires_grad=True), torch.zeros(2, requires_grad=True)
    frozen = torch.zeros(1)

    def losses() -> tuple[Tensor, Tensor]:
        both = torch.cat([x, bias])
        return both @ a + 1.0, 1e-4 * (both @ b) + 2.0

    total = conflict_free(*losses(), [x, bias, frozen])
    assert total.item() == pytest.approx(3.0)
    total.backward()
    assert x.grad is not None
    assert bias.grad is not None
    g = torch.cat([x.grad, bias.grad])
    cosines = torch.nn.functional.cosine_similarity(torch.stack([a, b]), g[None])
    assert cosines[0] > 0.01
    assert float(cosines[0]) == pytest.approx(float(cosines[1]), abs=1e-5)


def test_conflict_free_is_the_other_gradient_where_one_is_missing_or_broken() -> None:
    x = torch.ones(3, requires_grad=True)
    for other in (torch.tensor(1.0), 0.0 * x.sum(), (x - 1).sum().sqrt()):
        x.grad = None
        conflict_free((2 * x).sum(), other, [x]).backward()
        assert x.grad is not None
        assert x.grad.tolist() == pytest.approx([2.0] * 3)
    x.grad = None
    conflict_free(x.sum(), -x.sum(), [x]).backward()
    assert x.grad is not None
    assert x.grad.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("first", "parameters", "named"), [((2,), True, "first"), ((), False, "parameters"), ((), None, "parameters")]
)
def test_conflict_free_refuses(first: tuple[int, ...], parameters: bool | None, named: str) -> None:
    x = torch.ones(2, requires_grad=True)
    trained = [] if parameters is None else [x if parameters else x.detach()]
    with pytest.raises(InvalidArgument) as error:
        conflict_free(x.expand(2) if first else x.sum(), x.sum(), trained)
    assert error.value.name == named
