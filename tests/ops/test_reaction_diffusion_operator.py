"""The numba backend and the operator's plumbing against the float64 reference, which autograd differentiates."""

from typing import Any

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from markers import slow_except
from random_systems import random_system
from torch import Tensor

from physgen.equations.systems import SYSTEMS, reaction_system
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.ops.generated import kernel_source
from physgen.ops.reaction_diffusion import crank_nicolson_residual, reaction_diffusion_loss
from physgen.stencil import WALLS

SHAPES = [(2, 3, 5, 7), (1, 2, 1, 9), (3, 4, 17, 1), (1, 2, 2, 2), (2, 3, 33, 65), (1, 5, 1, 1)]
GRAY_SCOTT = reaction_system("gray_scott")
D, FK = {"u": 0.16, "v": 0.08}, {"F": 0.037, "k": 0.06}

every_wall = pytest.mark.parametrize("boundary", WALLS)


def fields(system: Any, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    full = (shape[0], len(system.species), *shape[1:])
    return torch.rand(full, generator=generator, dtype=torch.float64).to(dtype)


def options(system: Any, batch: int) -> dict[str, Any]:
    """Values that differ between species and samples."""
    names = system.species
    generator = torch.Generator().manual_seed(batch)
    return {
        "diffusivity": {s: 0.1 + torch.rand(batch, generator=generator, dtype=torch.float64) for s in names},
        "wall": {s: 0.2 + 0.1 * i for i, s in enumerate(names)},
        "weight": 0.5 + torch.rand(batch, len(names), generator=generator, dtype=torch.float64),
    }


def loss_and_gradient(u: Tensor, system: Any, backend: str, grid: Grid, **other: Any) -> tuple[Tensor, Tensor]:
    u = u.clone().requires_grad_()
    loss = reaction_diffusion_loss(u, system, grid=grid, backend=backend, **other)
    (gradient,) = torch.autograd.grad(loss.sum(), u)
    return loss.detach(), gradient


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


@every_wall
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numba_agrees_in_float64(shape: tuple[int, ...], boundary: str) -> None:
    u, grid = fields(GRAY_SCOTT, shape), Grid((1.3, 0.7), 0.5, boundary)
    other = options(GRAY_SCOTT, shape[0]) | {"parameters": FK}
    expected, gradient = loss_and_gradient(u, GRAY_SCOTT, "reference", grid, **other)
    loss, found = loss_and_gradient(u, GRAY_SCOTT, "numba", grid, **other)
    assert relative(loss, expected) < 1e-13
    assert relative(found, gradient) < 1e-13


@pytest.mark.parametrize("name", slow_except({"gray_scott", "michaelis_menten"}, SYSTEMS))
def test_numba_agrees_on_every_system_in_float32(name: str) -> None:
    system = reaction_system(name)
    values, grid = SYSTEMS[name].values, Grid((1.3, 0.7), 0.5, "no-flux")
    u, other = fields(system, (2, 4, 19, 21)), options(system, 2)
    expected, gradient = loss_and_gradient(u, system, "reference", grid, parameters=values, **other)
    loss, found = loss_and_gradient(u.float(), system, "numba", grid, parameters=values, **other)
    assert loss.dtype == found.dtype == torch.float32
    assert relative(loss, expected) < 2e-7
    assert relative(found, gradient) < 4e-7


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10**6))
def test_numba_agrees_on_random_systems(seed: int) -> None:
    system, values = random_system(seed)
    u, grid = fields(system, (2, 3, 6, 7)), Grid((1.3, 0.7), 0.5, "dirichlet")
    other = options(system, 2) | {"parameters": values}
    expected, gradient = loss_and_gradient(u, system, "reference", grid, **other)
    loss, found = loss_and_gradient(u, system, "numba", grid, **other)
    assert relative(loss, expected) < 1e-11
    assert relative(found, gradient) < 1e-11


@every_wall
def test_lines_are_frames_of_one_row(boundary: str) -> None:
    u, grid = fields(GRAY_SCOTT, (2, 4, 13)), Grid((0.7,), 0.5, boundary)
    other = options(GRAY_SCOTT, 2) | {"parameters": FK}
    expected, gradient = loss_and_gradient(u, GRAY_SCOTT, "reference", grid, **other)
    loss, found = loss_and_gradient(u, GRAY_SCOTT, "numba", grid, **other)
    assert relative(loss, expected) < 1e-13
    assert relative(found, gradient) < 1e-13


def test_volumes_take_the_reference() -> None:
    u, grid = fields(GRAY_SCOTT, (1, 3, 4, 5, 6)), Grid((0.7, 1.0, 1.3), 0.5)
    arguments = (u, GRAY_SCOTT, D, FK, grid)
    residual = crank_nicolson_residual(*arguments)
    torch.testing.assert_close(reaction_diffusion_loss(*arguments), residual.square().sum((1, 2, 3, 4, 5)) / 2)
    with pytest.raises(InvalidArgument, match="backend='numba'"):
        reaction_diffusion_loss(*arguments, backend="numba")


@every_wall
def test_reference_gradient(boundary: str) -> None:
    u, grid = fields(GRAY_SCOTT, (1, 3, 3, 4)).requires_grad_(), Grid((1.3, 0.7), 0.5, boundary)
    torch.autograd.gradcheck(lambda x: crank_nicolson_residual(x, GRAY_SCOTT, D, FK, grid), (u,))
    torch.autograd.gradcheck(lambda x: reaction_diffusion_loss(x, GRAY_SCOTT, D, FK, grid, backend="numba"), (u,))


def test_gradient_of_a_weighted_sum_of_losses() -> None:
    u, grid = fields(GRAY_SCOTT, (3, 3, 6, 5)).requires_grad_(), Grid((1.0, 1.0), 1.0, "periodic")
    factors = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    for retain in (True, False):  # the same saved gradient twice
        (expected,) = torch.autograd.grad(
            (reaction_diffusion_loss(u, GRAY_SCOTT, D, FK, grid, backend="reference") * factors).sum(), u
        )
        (found,) = torch.autograd.grad(
            (reaction_diffusion_loss(u, GRAY_SCOTT, D, FK, grid, backend="numba") * factors).sum(),
            u,
            retain_graph=retain,
        )
        torch.testing.assert_close(found, expected)


def test_bfloat16_is_computed_in_float32() -> None:
    u, grid = fields(GRAY_SCOTT, (2, 3, 9, 8), torch.bfloat16), Grid((1.0, 1.0), 1.0)
    other = {"diffusivity": D, "parameters": FK}
    expected, gradient = loss_and_gradient(u.double(), GRAY_SCOTT, "reference", grid, **other)
    loss, found = loss_and_gradient(u, GRAY_SCOTT, "numba", grid, **other)
    assert (loss.dtype, found.dtype) == (torch.float32, torch.bfloat16)
    assert relative(loss, expected) < 1e-6
    assert relative(found, gradient) < 2**-8


def test_repeats_bit_for_bit_on_any_number_of_threads() -> None:
    u, grid = fields(GRAY_SCOTT, (2, 4, 50, 30), torch.float32), Grid((1.0, 1.0), 1.0)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results += [loss_and_gradient(u, GRAY_SCOTT, "numba", grid, diffusivity=D, parameters=FK) for _ in range(2)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(loss, results[0][0]) and torch.equal(g, results[0][1]) for loss, g in results)


def test_non_contiguous_fields() -> None:
    grid = Grid((1.3, 0.7), 0.5)
    u = fields(GRAY_SCOTT, (2, 5, 7, 3)).transpose(-1, -3)
    other: dict[str, Any] = {"diffusivity": D, "parameters": FK, "grid": grid}
    expected, gradient = loss_and_gradient(u, GRAY_SCOTT, "reference", **other)
    loss, found = loss_and_gradient(u, GRAY_SCOTT, "numba", **other)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, gradient)


def test_operator_is_well_registered() -> None:
    coefficients = torch.tensor([[0.16, 0.08, 1, 1, 0, 0, 0.037, 0.06]] * 2, dtype=torch.float64)
    u = fields(GRAY_SCOTT, (2, 3, 5, 4), torch.float32).requires_grad_()
    arguments = (u, coefficients, kernel_source(GRAY_SCOTT, "numba"), [1.0, 1.0], 1.0, "periodic", "numba")
    torch.library.opcheck(torch.ops.physgen.reaction_diffusion_loss.default, arguments)


def test_compiles_into_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    u, grid = fields(GRAY_SCOTT, (2, 3, 5, 4), torch.float32).requires_grad_(), Grid((1.0, 1.0), 1.0)

    def objective(x: Tensor) -> Tensor:
        return 2 * reaction_diffusion_loss(x.square(), GRAY_SCOTT, D, FK, grid, backend="numba").sum()

    compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
    (found,) = torch.autograd.grad(compiled(u), u)
    (expected,) = torch.autograd.grad(objective(u), u)
    torch.testing.assert_close(found, expected)


def test_second_derivatives_raise_and_the_reference_has_them() -> None:
    u, grid = fields(GRAY_SCOTT, (1, 2, 3, 3)).requires_grad_(), Grid((1.0, 1.0), 1.0)
    loss = reaction_diffusion_loss(u, GRAY_SCOTT, D, FK, grid, backend="numba").square().sum()
    (gradient,) = torch.autograd.grad(loss, u, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(gradient.sum(), u)
    torch.autograd.gradgradcheck(
        lambda x: reaction_diffusion_loss(x, GRAY_SCOTT, D, FK, grid, backend="reference"), (u,)
    )


U = torch.rand(2, 2, 3, 4, 4)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"u": U[0]}, "u"),
        ({"u": U[:, :, :1]}, "u"),
        ({"u": U[:, :1]}, "u"),
        ({"u": U.int()}, "u"),
        ({"u": U[..., :0]}, "u"),
        ({"grid": Grid((1.0, 1.0), 1.0, "open")}, "boundary"),
        ({"grid": Grid((1.0,), 1.0)}, "u"),
        ({"diffusivity": {"u": 1.0}}, "diffusivity"),
        ({"diffusivity": {"u": 1.0, "v": -1.0}}, "diffusivity"),
        ({"diffusivity": {"u": 1.0, "v": float("nan")}}, "diffusivity"),
        ({"parameters": {"F": 0.1}}, "parameters"),
        ({"parameters": {"F": 0.1, "k": -0.1}}, "k"),
        ({"wall": {"u": 0.0}}, "wall"),
        ({"weight": torch.ones(2)}, "weight"),
        ({"backend": "cuda"}, "backend"),
        ({"backend": "triton"}, "backend"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], name: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    arguments: dict[str, Any] = {
        "u": U,
        "system": GRAY_SCOTT,
        "diffusivity": D,
        "parameters": FK,
        "grid": Grid((1.0, 1.0), 1.0),
    }
    with pytest.raises(InvalidArgument) as caught:
        reaction_diffusion_loss(**(arguments | changes))
    assert caught.value.name == name
