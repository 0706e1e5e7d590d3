"""One list of constraints; each is put through the same laws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from markers import slow_except
from torch import Tensor

from physgen.constraints import (
    Constraint,
    Continuity,
    Kinetics,
    MassConservation,
    PhaseOrder,
    ReactionDiffusion,
    ReactionSystem,
)
from physgen.grid import Grid

SHAPE = (3, 2, 5, 6, 7)
GRID = Grid(spacing=(2.0, 0.5), dt=0.25)


@dataclass(frozen=True)
class Case:
    """A constraint in given units of concentration, length and time, and fields that it can be applied to.

    ``rounding`` is the residual that rounding of a projection to float32 may make. ``shown`` fields have a bright
    object in their noise, for laws that noise alone does not satisfy.
    """

    name: str
    build: Callable[[float, float, float], Constraint]
    low: float = -0.2
    high: float = 1.2
    rounding: float = 1e-6
    shown: bool = False

    def fields(self, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        fields = self.low + (self.high - self.low) * torch.rand(SHAPE, generator=generator, dtype=torch.float64)
        fields[..., 2:4, 2:5] += 20.0 * self.shown
        return fields


def mass(name: str, initial: float | None = None, inflow: float = 0.0, bleaching: str = "none") -> Case:
    def build(concentration: float, length: float, time: float) -> Constraint:
        amount = concentration * length**2
        return MassConservation(
            initial_mass=None if initial is None else initial * amount,
            inflow=inflow * amount / time,
            bleaching=bleaching,
            maximum=concentration,
        )

    return Case(name, build)


def filling(concentration: float, length: float, time: float) -> Constraint:
    flux = [rate * concentration * length**2 / time for rate in (1.0, 2.0, -3.0, 0.0, 4.0)]
    return MassConservation(inflow=flux, maximum=None)


def producing(concentration: float, length: float, time: float) -> Constraint:
    def source(fields: Tensor) -> Tensor:
        return torch.tensor(0.1 * concentration / time, dtype=torch.float64)

    return MassConservation(initial_mass=18.0 * concentration * length**2, maximum=None, source=source)


def flowing(concentration: float, length: float, time: float) -> Constraint:
    velocity = (0.3 * length / time, -0.2 * length / time)
    return Continuity(velocity, [0.1 * length**2 / time, 0.0], scale=3 * concentration / time)


TURNING = ReactionSystem(["a", "b"], ["k"], ["-k*a", "k*a"])


def turning(concentration: float, length: float, time: float) -> Constraint:
    start = {"a": 0.9 * concentration, "b": 0.1 * concentration}
    return Kinetics(TURNING, {"k": 0.7 / time}, start, [("b", 0.3 * time, 0.2 * concentration)])


def reacting(name: str, **options: Any) -> Case:
    """Diffusion and a first-order reaction, whose constants have dimensions of length and time alone."""

    def build(concentration: float, length: float, time: float) -> Constraint:
        area = length**2 / time
        given: dict[str, Any] = {"diffusivity": {"a": 0.2 * area, "b": 0.1 * area}, "parameters": {"k": 0.7 / time}}
        fixed = given if "fitted" not in options else {"diffusivity": {"b": 0.1 * area}}
        scale: dict[str, Any] = {} if "fitted" in options else {"scale": 0.5 * concentration}
        return ReactionDiffusion(TURNING, **fixed, **scale, **options)

    return Case(name, build, rounding=1e-3 if "fitted" in options else 1e-6)  # noise is fitted by a large D


CASES = [
    mass("mass, fixed", initial=18.0),
    mass("mass, fitted", initial=None),
    mass("mass, inflow", inflow=1.5),
    mass("mass, fixed and inflow", initial=15.0, inflow=2.0),
    mass("mass, bleaching", bleaching="exponential"),
    mass("mass, fixed and bleaching", initial=20.0, bleaching="exponential"),
    mass("mass, inflow and bleaching", inflow=-1.0, bleaching="exponential"),
    Case("mass, inflow series, no maximum", filling),
    Case("mass, source", producing),
    Case("continuity", flowing),
    Case("kinetics", turning),
    reacting("reaction-diffusion"),
    reacting("reaction-diffusion, fourth order", order=4),
    reacting("reaction-diffusion, fitted", fitted=["D_a", "k"]),
    reacting("reaction-diffusion, flow map", form="flow_map", substeps=4),
    Case("phase order", lambda concentration, length, time: PhaseOrder(), shown=True),
    Case("phase clock", lambda concentration, length, time: PhaseOrder(form="clock"), shown=True),
]

MARCHED = "reaction-diffusion, flow map"
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
projecting = pytest.mark.parametrize(
    "case", [case for case in CASES if case.build(1, 1, 1).projects], ids=lambda case: case.name
)


def positive(constraint: Constraint, residual: Tensor) -> Tensor:
    return residual.clamp(min=0) if constraint.kind == "inequality" else residual


@every_case
def test_residual_has_no_dimension(case: Case) -> None:
    fields = case.fields()
    expected = case.build(1, 1, 1).residual(fields, GRID)
    assert expected.shape[0] == SHAPE[0]
    assert expected.abs().max() > 1e-3
    for concentration, length, time in ((1e3, 1, 1), (1, 1e-3, 1), (1, 1, 60), (1e-6, 1e3, 1e-3)):
        dy, dx = GRID.spacing
        grid = Grid(spacing=(dy * length, dx * length), dt=GRID.dt * time, boundary=GRID.boundary)
        residual = case.build(concentration, length, time).residual(fields * concentration, grid)
        torch.testing.assert_close(residual, expected, rtol=1e-9, atol=1e-9)


@every_case
def test_loss_is_half_the_squared_norm(case: Case) -> None:
    constraint, fields = case.build(1, 1, 1), case.fields()
    residual = positive(constraint, constraint.residual(fields, GRID))
    torch.testing.assert_close(constraint.loss(fields, GRID), residual.flatten(1).square().sum(1) / 2)


@pytest.mark.parametrize(
    "case",
    slow_except(
        [case for case in CASES if case.name != MARCHED], [case for case in CASES if not case.build(1, 1, 1).fitted]
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
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


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
        [case for case in CASES if case.name != "mass, inflow and bleaching"],
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
