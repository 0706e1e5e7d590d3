"""Projections onto trajectories against their own residual, brute force and exact solutions."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from markers import slow_except
from torch import Tensor

from physgen.constraints import MassConservation
from physgen.constraints.reaction_diffusion.constraint import ReactionDiffusion
from physgen.constraints.reaction_diffusion.equation import FORMS
from physgen.constraints.reaction_diffusion.nearest_trajectory import is_linear, lowest_values
from physgen.dynamics.crank_nicolson import CrankNicolson
from physgen.dynamics.flow_map import FlowMap
from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import SYSTEMS, reaction_system
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.stencil import WALLS

every_form = pytest.mark.parametrize("form", FORMS)

HEAT: dict[str, Any] = {"system": "diffusion", "diffusivity": {"c": 0.4}}
FISHER: dict[str, Any] = {"system": "fisher_kpp", "diffusivity": {"u": 0.4}, "parameters": {"r": 0.3, "K": 1.0}}
GRAY_SCOTT: dict[str, Any] = {
    "system": "gray_scott",
    "diffusivity": {"u": 0.36, "v": 0.18},
    "parameters": {"F": 0.037, "k": 0.06},
}
SCHNAKENBERG: dict[str, Any] = {
    "system": "schnakenberg",
    "diffusivity": {"u": 0.2, "v": 1.0},
    "parameters": {"a": 0.1, "b": 0.9, "gamma": 1.0},
    "wall": {"u": 1.0, "v": 0.9},
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def violation(law: ReactionDiffusion, fields: Tensor, grid: Grid) -> float:
    """Largest change that the law does not explain, as a part of the largest value."""
    unit = ReactionDiffusion.residual(_with_scale(law, 1.0), fields, grid)
    return float(unit.abs().max() / fields.abs().max())


def _with_scale(law: ReactionDiffusion, scale: float) -> ReactionDiffusion:
    copy = law.with_constants({})
    copy.equation = replace(law.equation, scale=dict.fromkeys(law.system.species, scale))
    return copy


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).double().square().sum().sqrt())


@every_form
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), pytest.param(torch.float32, 1e-6, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("law", "grid", "space"),
    [
        (HEAT, Grid((1.0, 2.0), 0.5), (8, 7)),
        (HEAT, Grid((1.0,) * 3, 0.5, "periodic"), (5, 4, 6)),
        ({**FISHER, "order": 4}, Grid((1.0, 1.0), 1.0), (8, 7)),
        (FISHER, Grid((1.0,), 1.0, "periodic"), (16,)),
        (GRAY_SCOTT, Grid((1.0, 1.0), 2.0, "periodic"), (6, 6)),
        (SCHNAKENBERG, Grid((1.0, 1.0), 0.2, "dirichlet"), (6, 7)),
        ({**FISHER, "scheme": "explicit"}, Grid((1.0,), 1.0), (16,)),
    ],
)
def test_projected_fields_satisfy_the_law(
    form: str, dtype: torch.dtype, tolerance: float, law: dict[str, Any], grid: Grid, space: tuple[int, ...]
) -> None:
    """Sub-steps are chosen anew by the residual; every sample is near its video."""
    grid = replace(grid, dt=grid.dt / 4) if form == "differential" else grid
    constraint = ReactionDiffusion(**law, form=form)
    fields = random(2, len(constraint.system.species), 5, *space).to(dtype)
    projected = constraint.project(fields.clone().requires_grad_(), grid)
    assert projected.dtype == dtype
    assert not projected.requires_grad
    assert violation(constraint, projected, grid) <= tolerance
    start = FlowMap(
        constraint.system, law["diffusivity"], law.get("parameters", {}), grid, wall=law.get("wall"), order=2
    )
    for video, near in zip(fields.split(1), projected.split(1), strict=True):
        rolled, _ = start.trajectory(video[:, :, :1].double(), 5)
        assert distance(near, video) < distance(rolled, video)


@every_form
@pytest.mark.parametrize("law", [HEAT, FISHER, {**GRAY_SCOTT, "wall": {"u": 1.0, "v": 0.0}}])
@pytest.mark.parametrize("boundary", slow_except({"no-flux"}, WALLS))
def test_trajectories_stay_what_they_are(form: str, law: dict[str, Any], boundary: str) -> None:
    constraint, grid = ReactionDiffusion(**law, form=form), Grid((1.0, 1.0), 1.0, boundary)
    once = constraint.project(random(1, len(constraint.system.species), 4, 6, 5), grid)
    torch.testing.assert_close(constraint.project(once, grid), once, rtol=0, atol=1e-12)


def test_one_mode_in_closed_form() -> None:
    """u(k) = sum_t e^{-a t} y(k, t) / sum_t e^{-2 a t}, about a constant."""
    grid, cells, mode = Grid((0.5,), 0.3), 16, 2
    x = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    shape, rate = torch.cos(mode * math.pi * x), 0.4 * (2 - 2 * math.cos(mode * math.pi / cells)) / 0.25
    amplitudes = random(6) + 0.5
    kept = torch.exp(-rate * grid.dt * torch.arange(6, dtype=torch.float64))
    first = float((kept * amplitudes).sum() / kept.square().sum())
    fields = 5 + (amplitudes[:, None] * shape)[None, None]
    nearest = ReactionDiffusion(**HEAT, form="flow_map").project(fields, grid)
    torch.testing.assert_close(nearest, 5 + (first * kept[:, None] * shape)[None, None], rtol=0, atol=1e-12)


@every_form
@pytest.mark.parametrize("boundary", WALLS)
def test_diffusion_against_linear_least_squares(form: str, boundary: str) -> None:
    grid, fields = Grid((1.0, 1.5), 0.5, boundary), random(1, 1, 5, 4, 3) + 1.0
    constraint = ReactionDiffusion(**HEAT, form=form, wall=0.2)
    cells = 12
    law: Callable[[Tensor], Tensor] = CrankNicolson(constraint.system, {"c": 0.4}, {}, grid, wall={"c": 0.2})
    if form == "flow_map":
        law = FlowMap(constraint.system, {"c": 0.4}, {}, grid, wall={"c": 0.2}).march(fields, 1)
    units = torch.cat([torch.zeros(1, cells, dtype=torch.float64), torch.eye(cells, dtype=torch.float64)])
    frames = [units.view(1, 1, -1, 4, 3)]
    for _ in range(4):
        frames.append(law(frames[-1]))
    rolled = torch.stack([frame.view(-1, cells) for frame in frames], 1).flatten(1)
    offset, columns = rolled[0], rolled[1:] - rolled[0]
    first = torch.linalg.lstsq(columns.T, (fields.flatten() - offset)[:, None]).solution[:, 0]
    assert first.min() > 0.2
    nearest = constraint.project(fields, grid)
    torch.testing.assert_close(nearest.flatten(), offset + first @ columns, rtol=0, atol=1e-10)


@every_form
@pytest.mark.parametrize(("law", "dt"), [(FISHER, 1.5), pytest.param(GRAY_SCOTT, 4.0, marks=pytest.mark.slow)])
def test_as_near_as_brute_force(form: str, law: dict[str, Any], dt: float) -> None:
    """A noisy trajectory of 6 cells."""
    constraint, grid = ReactionDiffusion(**law, form=form), Grid((1.0,), dt)
    species = len(constraint.system.species)
    true = constraint.project(0.5 * random(1, species, 5, 6, seed=1), grid)
    fields = true + 0.05 * (random(*true.shape, seed=2) - 0.5)
    equation = (constraint.system, law["diffusivity"], law["parameters"], grid)
    step: Callable[[Tensor], Tensor] = CrankNicolson(*equation)
    if form == "flow_map":
        step = FlowMap(*equation).march(fields, 4)

    def misfit(first: np.ndarray) -> np.ndarray:
        frames = [torch.from_numpy(first).view(1, species, 1, 6)]
        for _ in range(4):
            frames.append(step(frames[-1]))
        return (torch.cat(frames, 2) - fields).flatten().numpy()

    start = true[:, :, 0].flatten().clamp(min=1e-6).numpy()
    brute = scipy.optimize.least_squares(misfit, start, bounds=(0, np.inf), xtol=1e-6, ftol=1e-8)
    nearest = distance(constraint.project(fields, grid), fields)
    assert nearest == pytest.approx(math.sqrt(2 * brute.cost), rel=2e-2)
    assert nearest < distance(true, fields)


@pytest.mark.parametrize("law", [HEAT, FISHER, GRAY_SCOTT])
def test_projections_of_what_is_positive_are_positive(law: dict[str, Any]) -> None:
    constraint, grid = ReactionDiffusion(**law, form="flow_map"), Grid((1.0, 1.0), 1.0)
    fields = (2 * random(1, len(constraint.system.species), 5, 8, 8) - 1.2).clamp(min=0)
    assert constraint.project(fields, grid).min() >= -1e-12


def test_lowest_values() -> None:
    fields = torch.full((1, 2, 3, 4), -0.5, dtype=torch.float64)
    linear = ReactionSystem(["a", "b"], ["k"], ["-k*a", "k*a"])
    expected = [(linear, {"k": 0.7}, -0.5), (linear, {"k": -0.7}, -math.inf)]
    expected += [(reaction_system(name), SYSTEMS[name].values, 0.0) for name in ("gray_scott", "hill_activation")]
    for system, values, lowest in expected:
        assert lowest_values(system, values, fields).tolist() == [lowest] * 2
    assert is_linear(linear)


@every_form
def test_constants_of_each_sample_given_and_fitted(form: str) -> None:
    """Fitted once, then kept: exact for the constants of the video that was projected."""
    grid, d = Grid((1.0, 1.0), 0.5), torch.tensor([0.2, 0.5], dtype=torch.float64)
    true = ReactionDiffusion("diffusion", {"c": d}, form=form).project(random(2, 1, 6, 8, 8), grid)
    fields = true + 0.01 * random(*true.shape, seed=1)
    fitting = ReactionDiffusion("diffusion", fitted=["D"], form=form)
    found = fitting.fit(fields, grid)
    fixed = fitting.with_constants(found)
    assert fixed.fitted == ()
    assert fitting.fitted == ("D_c",)
    projected = fitting.project(fields, grid)
    assert fitting.residual(projected, grid).abs().max() < 1e-4
    if form == "differential":  # projects with the constants of the least residual, and measures others
        return
    torch.testing.assert_close(fixed.project(fields, grid), projected, rtol=0, atol=0)
    assert violation(fixed, projected, grid) < 1e-12
    alone = [
        ReactionDiffusion("diffusion", {"c": found.values["D_c"][i]}, form=form).project(fields[i : i + 1], grid)
        for i in range(2)
    ]
    torch.testing.assert_close(torch.cat(alone), projected, rtol=0, atol=1e-12)


def test_substeps_are_those_that_the_residual_chooses() -> None:
    """Frames whose stiffness, and so whose sub-steps, are not those of the trajectory."""
    grid, law = Grid((1.0, 1.0), 4.0, "periodic"), ReactionDiffusion(**GRAY_SCOTT, form="flow_map")
    fields = random(1, 2, 3, 6, 6)
    flow = FlowMap(law.system, GRAY_SCOTT["diffusivity"], GRAY_SCOTT["parameters"], grid)
    for factor in (0.5, 1.0, 1.5):
        projected = law.project(factor * fields, grid)
        assert violation(law, projected, grid) < 1e-12
    assert flow.substeps(1.5 * fields[:, :, :-1]) != flow.substeps(projected[:, :, :-1])
    given = ReactionDiffusion(**GRAY_SCOTT, form="flow_map", substeps=9)
    assert violation(given, given.project(fields, grid), grid) < 1e-12


@every_form
def test_tangent_by_double_backward(form: str) -> None:
    """J v as the gradient in w of <J^T w, v>, against central differences."""
    constraint, grid = ReactionDiffusion(**GRAY_SCOTT, form=form, substeps=9, scale=0.1), Grid((1.0, 1.5), 2.0)
    fields, v = random(2, 2, 3, 5, 6).requires_grad_(), random(2, 2, 3, 5, 6, seed=1) - 0.5
    residual = constraint.residual(fields, grid)
    w = torch.zeros_like(residual, requires_grad=True)
    (adjoint,) = torch.autograd.grad(residual, fields, w, create_graph=True)
    (tangent,) = torch.autograd.grad(adjoint, w, v)
    ahead, behind = (constraint.residual(fields.detach() + e * v, grid) for e in (1e-5, -1e-5))
    torch.testing.assert_close(tangent, (ahead - behind) / 2e-5, rtol=0, atol=1e-7)


def test_values_that_cannot_be_fixed() -> None:
    law = ReactionDiffusion("fisher_kpp", fitted=["D", "r"], parameters={"K": 1.0})
    with pytest.raises(InvalidArgument, match="constants='without r': allowed: a list of values of each of"):
        law.with_constants({"D_u": [1.0], "r_error": [0.1]})
    with pytest.raises(InvalidArgument, match="diffusivity="):
        law.with_constants({"D": [-1.0], "r": [0.1]})
    with pytest.raises(InvalidArgument, match=r"D_u='\[2\] values'"):
        law.with_constants({"D": [1.0, 1.0], "r": [0.1, 0.1]}).residual(random(3, 1, 3, 4), Grid((1.0,), 1.0))
    assert MassConservation().with_constants({"initial_mass": [[1.0]]}).fitted == ()


@every_form
@pytest.mark.parametrize(
    ("fields", "grid", "message"),
    [
        (random(1, 1, 1, 8), Grid((1.0,), 1.0), "at least 2 frames"),
        (random(1, 2, 3, 8), Grid((1.0,), 1.0), "fields='2 species'"),
        (random(1, 1, 3, 8) * math.nan, Grid((1.0,), 1.0), "fields='NaN or Inf'"),
        (random(1, 1, 3, 8), None, "grid=None"),
        (random(1, 1, 3, 8), Grid((1.0,), 1.0, "open"), "boundary='open'"),
    ],
)
def test_fields_that_cannot_be_projected(form: str, fields: Tensor, grid: Grid | None, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ReactionDiffusion(**FISHER, form=form).project(fields, grid)


@every_form
def test_laws_that_blow_up_are_refused(form: str) -> None:
    """du/dt = u^2 is infinite at t = 1 / u."""
    explosion = ReactionDiffusion(ReactionSystem(["u"], [], ["u**2"]), {"u": 0.0}, form=form)
    with pytest.raises(NoSolution, match="no trajectory nearby; needed"):
        explosion.project(random(1, 1, 6, 4) + 1.0, Grid((1.0,), 0.4))


def test_steps_of_crank_nicolson_that_are_not_found_are_nan() -> None:
    step = CrankNicolson(ReactionSystem(["u"], [], ["u**2"]), {"u": 0.0}, {}, Grid((1.0,), 2.0))
    assert step(random(1, 1, 1, 4) + 1.0).isnan().all()
