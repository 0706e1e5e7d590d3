"""Compiled steps of the flow map against torch, finite differences and their own adjoint."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from markers import slow_except
from torch import Tensor

from physgen.dynamics import flow_map
from physgen.dynamics.flow_map import FlowMap
from physgen.equations.systems import reaction_system
from physgen.grid import Grid
from physgen.stencil import WALLS

GRAY_SCOTT: dict[str, Any] = {"diffusivity": {"u": 0.36, "v": 0.18}, "parameters": {"F": 0.037, "k": 0.06}}
STEPS = 7


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gray_scott(boundary: str, space: int = 2) -> FlowMap:
    grid = Grid((1.0,) * space, 10.0, boundary)
    return FlowMap(reaction_system("gray_scott"), **GRAY_SCOTT, grid=grid, order=4, wall={"u": 1.0, "v": 0.1})


def frames(*space: int) -> Tensor:
    return random(2, 2, 3, *space) * torch.tensor([1.0, 0.5], dtype=torch.float64).view(2, 1, *[1] * len(space))


@pytest.fixture
def everything_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_map, "FEW", 1)


@pytest.mark.parametrize("boundary", WALLS)
@pytest.mark.parametrize("space", [(9,), (6, 5)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_steps_and_their_derivative_are_those_of_torch(
    boundary: str, space: tuple[int, ...], dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, cotangent, found = gray_scott(boundary, len(space)), random(2, 2, 3, *space, seed=1), []
    for few in (1, 10**9):
        monkeypatch.setattr(flow_map, "FEW", few)
        u = frames(*space).to(dtype).requires_grad_()
        assert flow.compiled(u) == (few == 1)
        after = flow(u, STEPS)
        found.append((after, *torch.autograd.grad(after, u, cotangent.to(dtype))))
    for compiled, reference in zip(*found, strict=True):
        torch.testing.assert_close(compiled, reference, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("everything_compiled")
def test_segments_that_are_recomputed_give_the_same_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    flow, products = gray_scott("no-flux"), []
    for kept in (0, 2**24):
        monkeypatch.setattr("physgen.ops.lawson.KEPT", kept)
        u = frames(6, 5).requires_grad_()
        products.append(torch.autograd.grad(flow(u, STEPS).square().sum(), u)[0])
    assert torch.equal(*products)


@pytest.mark.slow
@pytest.mark.usefixtures("everything_compiled")
def test_second_derivatives_are_exact() -> None:
    flow = gray_scott("periodic")
    assert torch.autograd.gradgradcheck(lambda u: flow(u, STEPS), frames(2, 3)[:1, :, :1].requires_grad_())


@pytest.mark.parametrize("boundary", slow_except({"dirichlet"}, WALLS))
def test_tangents_approach_differences_in_first_order_and_their_adjoint_is_exact(boundary: str) -> None:
    flow, first, errors = gray_scott(boundary), frames(6, 5)[:1, :, :1], []
    change, nudge = random(*first.shape, seed=2) - 0.5, 1e-6
    moved, still = (flow.trajectory(u, 3, 48)[0] for u in (first + nudge * change, first))
    slope = (moved - still) / nudge
    for parts in (12, 24, 48):
        part, path = flow.part(parts), [first]
        for _ in range(2 * parts):
            path.append(part(path[-1], 2))
        tangent = flow.linearised(first, parts)(flow.system.jacobian(torch.cat(path, 2), flow.parameters))
        errors.append(float((tangent(change) - slope).norm() / slope.norm()))
    assert errors[-1] < 0.03
    assert all(1.7 < coarse / fine < 2.6 for coarse, fine in pairwise(errors)), errors
    weights = random(*slope.shape, seed=3)
    forward, backward = (tangent(change) * weights).sum(), (change * tangent.adjoint(weights)).sum()
    assert abs(float(forward - backward)) < 1e-5 * float(slope.norm() * weights.norm())
