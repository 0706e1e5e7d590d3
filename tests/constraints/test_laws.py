"""One list of constraints; each is put through the same laws. That of units is in `test_units`."""

import pytest
import torch
from law_cases import CASES, GRID, SHAPE, Case
from markers import slow_except
from torch import Tensor

from physgen.constraints import Constraint, MassConservation
from physgen.errors import InvalidArgument
from physgen.grid import Grid

MARCHED = "reaction-diffusion, flow map"
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
projecting = pytest.mark.parametrize(
    "case", [case for case in CASES if case.build(1, 1, 1).projects], ids=lambda case: case.name
)


def positive(constraint: Constraint, residual: Tensor) -> Tensor:
    return residual.clamp(min=0) if constraint.kind == "inequality" else residual


@every_case
def test_residual_is_of_each_sample(case: Case) -> None:
    residual = case.build(1, 1, 1).residual(case.fields(), GRID)
    assert residual.shape[0] == SHAPE[0]
    assert residual.abs().max() > 1e-3


@every_case
def test_loss_is_half_the_squared_norm(case: Case) -> None:
    constraint, fields = case.build(1, 1, 1), case.fields()
    residual = positive(constraint, constraint.residual(fields, GRID))
    torch.testing.assert_close(constraint.loss(fields, GRID), residual.flatten(1).square().sum(1) / 2)


@pytest.mark.parametrize(
    "case",
    slow_except(
        [case for case in CASES if case.name not in (MARCHED, "kinetics")],
        [case for case in CASES if not case.build(1, 1, 1).fitted],
    ),
    ids=lambda case: case.name,
)
def test_gradient(case: Case) -> None:
    constraint = case.build(1, 1, 1)
    fields = case.fields()[:2, :, :, :2, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: constraint.residual(x, GRID), (fields,))


@every_case
def test_gradient_reaches_fields_of_any_dtype(case: Case) -> None:
    constraint = case.build(1, 1, 1)
    exact = case.fields().requires_grad_()
    (expected,) = torch.autograd.grad(constraint.loss(exact, GRID).sum(), exact)
    single = case.fields().float().requires_grad_()
    residual = constraint.residual(single, GRID)
    (gradient,) = torch.autograd.grad(constraint.loss(single, GRID).sum(), single)
    assert residual.dtype == gradient.dtype == torch.float32
    assert expected.abs().max() > 0
    size = case.single / 100 * float(expected.abs().max())
    torch.testing.assert_close(gradient.double(), expected, rtol=case.single, atol=size)


@pytest.mark.parametrize(
    "case", slow_except([case for case in CASES if case.name != MARCHED], CASES), ids=lambda case: case.name
)
def test_samples_do_not_see_each_other(case: Case) -> None:
    constraint, fields = case.build(1, 1, 1), case.fields()
    alone = torch.cat([constraint.residual(sample, GRID) for sample in fields.split(1)])
    torch.testing.assert_close(constraint.residual(fields, GRID), alone, rtol=0, atol=1e-12)
    if constraint.projects:
        alone = torch.cat([constraint.project(sample, GRID) for sample in fields.split(1)])
        torch.testing.assert_close(constraint.project(fields, GRID), alone, rtol=0, atol=1e-12)


@every_case
def test_zero_and_uniform_fields_have_finite_residuals(case: Case) -> None:
    constraint = case.build(1, 1, 1)
    for value in (0.0, 0.5, 1.0, -1.0):
        fields = torch.full(SHAPE, value, requires_grad=True)
        loss = constraint.loss(fields, GRID)
        (gradient,) = torch.autograd.grad(loss.sum(), fields)
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


@every_case
def test_what_is_fitted_can_be_given_back(case: Case) -> None:
    constraint = case.build(1, 1, 1)
    found = constraint.fit(case.fields(), GRID)
    assert tuple(found.values) == constraint.fitted
    held = constraint.with_constants(found)
    assert held.fitted == ()
    given, fitted = (law.residual(case.fields(), GRID) for law in (held, constraint))
    if case.name == "reaction-diffusion, fitted":  # its fit measures, its residual takes the constants of the least
        assert given.square().mean() < 1.2 * fitted.square().mean()
    else:
        torch.testing.assert_close(given, fitted)


@projecting
def test_projection_satisfies(case: Case) -> None:
    constraint = case.build(1, 1, 1).with_constants(case.build(1, 1, 1).fit(case.fields(), GRID))
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, case.rounding)):
        projected = constraint.project(case.fields().to(dtype), GRID)
        assert projected.dtype == dtype
        assert constraint.satisfied(projected.double(), GRID, tolerance).all()


@projecting
def test_projection_is_idempotent(case: Case) -> None:
    constraint = case.build(1, 1, 1)
    once = constraint.project(case.fields(), GRID)
    torch.testing.assert_close(constraint.project(once, GRID), once, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "case",
    slow_except(
        [case for case in CASES if "bleaching" not in case.name],
        [case for case in CASES if case.name.startswith("mass")],
    ),
    ids=lambda case: case.name,
)
def test_projection_is_nearest(case: Case) -> None:
    """<x - Px, y - Px> <= 0 for all feasible y: pixels of Px in another order, and mixtures of these."""
    constraint, fields = case.build(1, 1, 1), case.fields()
    projected = constraint.project(fields, GRID)
    flat = projected.flatten(-2)
    generator = torch.Generator().manual_seed(1)
    smallest = torch.inf
    for _ in range(200):
        orders = [torch.randperm(flat.shape[-1], generator=generator) for _ in range(2)]
        weight = torch.rand((), generator=generator, dtype=torch.float64) ** 4
        feasible = ((1 - weight) * flat[..., orders[0]] + weight * flat[..., orders[1]]).view_as(fields)
        swapped = torch.where(torch.rand((), generator=generator) < 0.5, feasible, 0.99 * projected + 0.01 * feasible)
        assert positive(constraint, constraint.residual(swapped, GRID)).abs().max() < 1e-10
        product = ((fields - projected) * (swapped - projected)).sum((-2, -1))
        assert product.max() <= 1e-12
        smallest = min(smallest, float(product.min()))
    assert smallest < -1e-3


def test_refuses_to_measure_in_half_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(InvalidArgument, match="autocast='on'"):
        MassConservation().loss(torch.rand(1, 1, 3, 4, 4), Grid((1.0, 1.0), 1.0))
