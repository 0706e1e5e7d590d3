"""Matrix-free projection against closed forms, SLSQP and what cannot be satisfied."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from physgen.constraints import Constraint, Equality, Inequality, Kinetics, MassConservation, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Projection
from physgen.guidance.problem import Problem
from physgen.guidance.solve.gauss_newton import nearest
from physgen.guidance.solve.least_norm import least_norm
from physgen.guidance.solve.linearisation import Linearisation

GRID = Grid((1.0, 1.0), dt=0.3)
REACTION: dict[str, Any] = {"diffusivity": {"u": 1.0, "v": 0.5}, "parameters": {"F": 0.04, "k": 0.06}, "scale": 1.0}
#: constraints without anything that is fitted or scaled by the fields, and their number of species
CONSTRAINTS: dict[str, tuple[Constraint, int]] = {
    "mass": (MassConservation(initial_mass=18.0), 1),
    "differential": (ReactionDiffusion("gray_scott", **REACTION), 2),
    "flow map": (ReactionDiffusion("gray_scott", **REACTION, form="flow_map", substeps=3), 2),
    "kinetics": (Kinetics("michaelis_menten", {"Vmax": 1.0, "Km": 0.5}, {"S": 0.8, "P": 0.1}), 2),
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_products_are_adjoint_and_those_of_differences(name: str) -> None:
    constraint, species = CONSTRAINTS[name]
    problem = Problem({name: constraint}, grid=GRID)
    x = 0.2 + 0.6 * random(2, species, 4, 6, 6)
    at = Linearisation(problem, x)
    v, w = random(*x.shape, seed=1) - 0.5, random(*at.residual.shape, seed=2) - 0.5
    image, pulled = at.jvp(v), at.vjp(w)
    torch.testing.assert_close((image * w).sum(1), (pulled * v).flatten(1).sum(1), rtol=1e-9, atol=1e-12)
    h = 1e-5
    ahead, behind = (Linearisation(problem, x + step * v).residual for step in (h, -h))
    torch.testing.assert_close(image, (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-8)


def test_multipliers_with_damping_are_the_dense_solution() -> None:
    J, b = random(5, 8) - 0.5, random(3, 5, seed=1)
    for damping in (0.0, 0.3):
        found = least_norm(
            lambda x: x @ J.T, lambda w: w @ J, b, steps=30, tolerance=1e-13, damping=damping
        )  # fmt: skip
        dense = torch.linalg.solve(J @ J.T + damping * torch.eye(5, dtype=J.dtype), b.T).T
        torch.testing.assert_close(found.values, dense)
        assert not found.stuck.any()


@pytest.mark.parametrize("damping", [1e-4, 1.0, 100.0])
def test_damped_multipliers_in_float32_stay_at_the_solution(damping: float) -> None:
    generator = torch.Generator().manual_seed(0)
    J, b = torch.randn(40, 12, 40, generator=generator), torch.randn(40, 12, generator=generator)
    found = least_norm(
        lambda x: (J @ x[..., None])[..., 0],
        lambda w: (w[:, None] @ J)[:, 0],
        b,
        steps=200,
        tolerance=1e-10,
        damping=damping,
    )
    dense = torch.linalg.solve(J.double() @ J.double().mT + damping * torch.eye(12, dtype=torch.float64), b.double())
    torch.testing.assert_close(found.values.double(), dense, rtol=1e-3, atol=1e-4 / damping**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_redundant_rows_that_contradict_each_other(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    J = torch.randn(12, 6, generator=generator, dtype=dtype) @ torch.randn(6, 40, generator=generator, dtype=dtype)
    b = torch.randn(40, 12, generator=generator, dtype=dtype)
    found = least_norm(lambda x: x @ J.T, lambda w: w @ J, b, steps=200, tolerance=1e-10)
    torch.testing.assert_close(found.values @ J, b @ torch.linalg.pinv(J, rtol=1e-4).T, rtol=1e-3, atol=1e-4)


def test_linear_constraints_take_one_step() -> None:
    W, b = random(4, 10) - 0.5, random(4, seed=1)
    x0 = random(3, 10, seed=2)
    found = nearest(Problem({"linear": Equality(lambda x: x @ W.T - b)}), x0, steps=1)
    exact = x0 - torch.linalg.solve(W @ W.T, (x0 @ W.T - b).T).T @ W
    torch.testing.assert_close(found.x, exact)


@pytest.mark.parametrize("seed", range(6))
def test_nearest_point_is_that_of_slsqp(seed: int) -> None:
    """Two equalities, two inequalities and bounds, all linear: the solution is unique."""
    W = random(4, 8, seed=seed) - 0.3
    x0 = 1.5 * random(1, 8, seed=seed + 100) - 0.25
    inside = random(8, seed=seed + 200)
    level = W @ inside
    laws = {
        "equal": Equality(lambda x: x @ W[:2].T - level[:2]),
        "below": Inequality(lambda x: x @ W[2:].T - level[2:]),
    }
    found = nearest(Problem(laws), x0, bounds=(0.0, 1.0))
    assert float(found.violation.max()) < 1e-9
    a, c = W.numpy(), level.numpy()
    best = scipy.optimize.minimize(
        lambda x: ((x - x0[0].numpy()) ** 2).sum(),
        inside.numpy(),
        jac=lambda x: 2 * (x - x0[0].numpy()),
        bounds=[(0, 1)] * 8,
        constraints=[
            {"type": "eq", "fun": lambda x: a[:2] @ x - c[:2], "jac": lambda x: a[:2]},
            {"type": "ineq", "fun": lambda x: c[2:] - a[2:] @ x, "jac": lambda x: -a[2:]},
        ],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(found.x[0].numpy(), best.x, atol=1e-5)


@pytest.mark.parametrize("seed", [22, 34])
def test_far_points_between_bounds(seed: int) -> None:
    """Where few values are free, all that is left of a linear system may be rounding."""
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(2, 6, generator=generator).double()
    level = A @ torch.rand(6, generator=generator).double()
    G = torch.randn(3, 6, generator=generator).double()
    most = G @ torch.full((6,), 0.5, dtype=torch.float64) + 0.1
    laws = {"equal": Equality(lambda x: x @ A.T - level), "below": Inequality(lambda x: x @ G.T - most)}
    found = nearest(Problem(laws), 2 * torch.randn(1, 6, generator=generator).double(), bounds=(0.0, 1.0))
    assert float(found.violation) < 1e-8


def test_a_curved_constraint_is_satisfied_near_by() -> None:
    x0 = random(4, 6) + 0.5
    found = nearest(Problem({"sphere": Equality(lambda x: x.square().sum(1) - 1)}), x0)
    assert float(found.violation.max()) < 1e-10
    torch.testing.assert_close(found.x, x0 / x0.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_hundred_thousand_constraints(dtype: torch.dtype) -> None:
    """A dense Jacobian would have 1e10 entries; nonlinear, and each of the unknowns in three constraints."""
    n = 100_000
    x0, target = (torch.randn(1, n, generator=torch.Generator().manual_seed(s), dtype=dtype) for s in (0, 1))
    law = Equality(lambda x: x * x.roll(1, 1) / 10 + x - x.roll(-1, 1) / 2 - target / 10)
    found = nearest(Problem({"chain": law}), x0)
    assert float(found.violation.max()) < (2e-6 if dtype == torch.float32 else 1e-10)


def test_samples_do_not_know_of_each_other() -> None:
    laws = {"curve": Equality(lambda x: x[:, :1] ** 2 + x[:, 1:].sum(1, keepdim=True) - 1)}
    x0 = random(3, 4)
    x0[1] = torch.nan
    together = nearest(Problem(laws), x0)
    assert together.x[1].isnan().all()
    for index in (0, 2):
        alone = nearest(Problem(laws), x0[index : index + 1])
        torch.testing.assert_close(together.x[index], alone.x[0], rtol=1e-8, atol=1e-9)


def test_a_sample_without_a_solution_stops_by_itself() -> None:
    """Of x^2 + 1 there is no root; the one of (x - 10)^3 takes many steps."""
    law = Equality(lambda x: torch.where(x < 5, x.square() + 1, (x - 10) ** 3))
    x0 = torch.tensor([[1.5], [12.0]], dtype=torch.float64)
    together = nearest(Problem({"law": law}), x0)
    for index in range(2):
        torch.testing.assert_close(together.x[index], nearest(Problem({"law": law}), x0[index : index + 1]).x[0])


def test_equalities_that_contradict_each_other_are_refused() -> None:
    one, two = Equality(lambda x: x.flatten(1).sum(1) - 1, "one"), Equality(lambda x: x.flatten(1).sum(1) - 2, "two")
    with pytest.raises(InvalidArgument, match="constraints='one, two'"):
        Projection([one, two]).correct(random(2, 3), x_t=random(2, 3), sigma=0.5)


def test_redundant_equalities_are_not_contradictions() -> None:
    law = Equality(lambda x: torch.stack([x.sum(1) - 1, 2 * x.sum(1) - 2], 1))
    x0 = Projection([law]).correct(random(2, 3), x_t=random(2, 3), sigma=0.5)
    torch.testing.assert_close(x0.sum(1), torch.ones(2, dtype=x0.dtype))


def test_closed_forms_that_undo_each_other_end_in_a_common_point() -> None:
    """Mass by projection, a bound without one: both hold at the end."""
    fields = random(2, 1, 3, 4, 4)
    bound = Inequality(lambda x: x.flatten(1) - 0.9)
    projected = Projection([MassConservation(initial_mass=9.0), bound]).project(fields, GRID)
    torch.testing.assert_close(projected.sum((3, 4)), torch.full((2, 1, 3), 9.0, dtype=torch.float64))
    assert float(projected.max()) <= 0.9 + 1e-9
