"""Reaction-diffusion against exact solutions, manufactured solutions, finite differences and bad input."""

import math
from importlib.resources import files
from itertools import pairwise
from typing import Any

import hydra.utils
import jaxtyping
import pytest
import sympy as sp
import torch
from markers import slow_except
from omegaconf import OmegaConf
from torch import Tensor

from physgen.constraints.fit import Fit
from physgen.constraints.reaction_diffusion.constraint import ReactionDiffusion
from physgen.constraints.reaction_diffusion.equation import FORMS
from physgen.dynamics.flow_map import FlowMap
from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import SYSTEMS, reaction_system
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.stencil import WALLS

every_form = pytest.mark.parametrize("form", FORMS)
every_wall = pytest.mark.parametrize("boundary", WALLS)
every_order = pytest.mark.parametrize("order", [2, 4])

GRAY_SCOTT: dict = {"diffusivity": {"u": 0.36, "v": 0.18}, "parameters": {"F": 0.03, "k": 0.062}}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orders(errors: list[float]) -> list[float]:
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]


def near(measured: list[float], order: int) -> bool:
    """The last order is that declared."""
    return order - 0.1 < measured[-1] < order + 0.1 if order == 2 else 3.8 < measured[-1] < 4.2


@every_order
@every_form
def test_order_on_decaying_cosines(form: str, order: int) -> None:
    """exp(-D k^2 t) cos kx cos qy; for Crank-Nicolson dt shrinks with the error in space, h^(order / 2)."""
    errors = []
    for cells in (16, 32, 64):
        grid = Grid((2.0 / cells, 1.0 / cells), dt=0.02 if form == "flow_map" else 0.02 * (16 / cells) ** (order / 2))
        y, x = (
            (torch.arange(n, dtype=torch.float64) + 0.5) * h for n, h in zip((cells, cells), grid.spacing, strict=True)
        )
        k, q = math.pi / 2, 2 * math.pi
        t = torch.arange(3, dtype=torch.float64).view(-1, 1, 1) * grid.dt
        u = torch.exp(-0.5 * (k**2 + q**2) * t) * torch.cos(k * y)[:, None] * torch.cos(q * x)
        heat = ReactionDiffusion("diffusion", {"c": 0.5}, form=form, order=order, scale=grid.dt)
        errors.append(float(heat.residual(u[None, None], grid).abs().max()))
    assert near(orders(errors), order), orders(errors)


def test_order_in_time_of_crank_nicolson() -> None:
    """Logistic growth of uniform fields: no error in space."""
    errors = []
    for dt in (0.2, 0.1, 0.05):
        t = torch.arange(3, dtype=torch.float64) * dt
        u = (1 / (1 + 1.5 * torch.exp(-1.5 * t))).view(1, 1, 3, 1).expand(1, 1, 3, 4)
        growth = ReactionDiffusion("fisher_kpp", {"u": 1.0}, {"r": 1.5, "K": 1.0}, scale=dt)
        errors.append(float(growth.residual(u, Grid((1.0,), dt)).abs().max()))
    assert near(orders(errors), 2), orders(errors)


@every_order
@every_form
def test_order_on_a_travelling_fisher_wave(form: str, order: int) -> None:
    """u = (1 + exp(z / sqrt 6))^-2, z = x - 5 t / sqrt 6: Ablowitz and Zeppetella (1979)."""
    errors = []
    for cells in (64, 128, 256):
        h = 80.0 / cells
        grid = Grid((h,), dt=0.2 if form == "flow_map" else 0.4 * (64 / cells) ** (order / 2))
        x = (torch.arange(cells, dtype=torch.float64) + 0.5) * h - 55
        t = torch.arange(3, dtype=torch.float64)[:, None] * grid.dt
        u = (1 + torch.exp((x - 5 / math.sqrt(6) * t) / math.sqrt(6))) ** -2
        wave = ReactionDiffusion(
            "fisher_kpp", {"u": 1.0}, {"r": 1.0, "K": 1.0}, form=form, order=order, substeps=8, scale=grid.dt
        )
        errors.append(float(wave.residual(u[None, None], grid).abs().max()))
    assert near(orders(errors), order), orders(errors)


@every_order
def test_turing_mode_grows_as_its_eigenvalue_says(order: int) -> None:
    """Schnakenberg about its steady state: exp(sigma t), sigma the largest eigenvalue of J - k^2 D."""
    known = SYSTEMS["schnakenberg"]
    a, b, gamma = known.values.values()
    steady = torch.tensor([a + b, b / (a + b) ** 2], dtype=torch.float64)
    u, v = steady.tolist()
    jacobian = gamma * torch.tensor([[2 * u * v - 1, u**2], [-2 * u * v, -(u**2)]], dtype=torch.float64)
    diffusivity = torch.tensor(list(known.diffusivity.values()), dtype=torch.float64)
    k, errors = math.sqrt(0.3), []
    rates, vectors = torch.linalg.eig(jacobian - k**2 * torch.diag(diffusivity))
    sigma, mode = rates.real.max(), vectors.real[:, rates.real.argmax()]
    assert sigma > 0.05
    for cells in (8, 16, 32):
        grid = Grid((math.pi / k / cells,), dt=1.0)
        shape = torch.cos(k * (torch.arange(cells, dtype=torch.float64) + 0.5) * grid.spacing[0])
        flow = FlowMap(reaction_system("schnakenberg"), dict(known.diffusivity), known.values, grid, order=order)
        before = 1e-5 * mode.view(1, 2, 1, 1) * shape
        after = flow(steady.view(1, 2, 1, 1) + before, 64) - steady.view(1, 2, 1, 1)
        growth = ((after * shape).sum((0, 2, 3)) / (before * shape).sum((0, 2, 3))).log()
        errors.append(float((growth - sigma).abs().max()))
    assert near(orders(errors), order), orders(errors)


X, Y, Z, TIME = sp.symbols("x y z t")
WALL = 0.3


def manufactured(boundary: str, axes: tuple[sp.Symbol, ...]) -> sp.Expr:
    """Even about the walls (``no-flux``), odd about the walls but for their value (``dirichlet``), or periodic.

    That is what ghost cells assume: at order 4 the third derivative has to vanish at a no-flux wall and the second and
    fourth at a Dirichlet wall, which they do by symmetry.
    """
    shapes = {
        "no-flux": lambda x: sp.exp(sp.cos(sp.pi * x) / 2),
        "periodic": lambda x: sp.exp(sp.sin(2 * sp.pi * x) / 2),
        "dirichlet": lambda x: sp.sin(sp.pi * x) * sp.exp(sp.cos(2 * sp.pi * x) / 4),
    }
    return WALL + sp.Rational(1, 2) * (1 + sp.sin(TIME) / 4) * sp.prod([shapes[boundary](x) for x in axes])


def sampled(expression: sp.Expr, axes: tuple[sp.Symbol, ...], cells: int, times: Tensor) -> Tensor:
    line = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    points = torch.meshgrid(times, *[line] * len(axes), indexing="ij")
    values = sp.lambdify((TIME, *axes), expression, "numpy")(*(point.numpy() for point in points))
    return (torch.as_tensor(values, dtype=torch.float64) + torch.zeros_like(points[0]))[None, None]


@every_wall
@every_order
@pytest.mark.parametrize(("axes", "finest"), [((X,), 128), ((X, Y), 96), ((X, Y, Z), 56)])
def test_residual_of_a_manufactured_solution_is_its_forcing(
    boundary: str, order: int, axes: tuple[sp.Symbol, ...], finest: int
) -> None:
    d, r = 0.3, 1.2
    u = manufactured(boundary, axes)
    forcing = sp.diff(u, TIME) - d * sum(sp.diff(u, x, 2) for x in axes) - r * u * (1 - u)
    growth = ReactionDiffusion("fisher_kpp", {"u": d}, {"r": r, "K": 1.0}, order=order, wall={"u": WALL}, scale=1.0)
    errors = []
    for cells in (finest // 4, finest // 2, finest):
        dt = 0.4 / cells if order == 2 else 3.2 / cells**2
        times = torch.arange(2, dtype=torch.float64) * dt + 0.2
        grid = Grid((1.0 / cells,) * len(axes), dt, boundary)
        force = sampled(forcing, axes, cells, times)
        residual = growth.residual(sampled(u, axes, cells, times), grid) / dt
        errors.append(float((residual - (force[:, :, 1:] + force[:, :, :-1]) / 2).abs().max()))
    assert near(orders(errors), order), orders(errors)


def gray_scott(**changes: Any) -> ReactionDiffusion:
    given: dict[str, Any] = {**GRAY_SCOTT, "substeps": 3, "scale": {"u": 0.1, "v": 0.05}, **changes}
    return ReactionDiffusion("gray_scott", **given)


@every_form
@pytest.mark.parametrize("boundary", slow_except({"dirichlet"}, WALLS))
@pytest.mark.parametrize("order", slow_except({2}, [2, 4]))
def test_gradient_of_residual_and_loss(form: str, boundary: str, order: int) -> None:
    constraint = gray_scott(form=form, order=order, wall={"u": 0.5, "v": 0.1})
    grid, fields = Grid((1.0, 2.0), 0.5, boundary), random(1, 2, 2, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: constraint.residual(x, grid), (fields,))
    if form == "differential":
        longer = random(1, 2, 3, 3, 2).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: constraint.loss(x, grid), (longer,))


@every_form
@pytest.mark.parametrize("space", slow_except({(4,)}, [(4,), (2, 2, 2)]))
def test_gradient_on_lines_and_volumes(form: str, space: tuple[int, ...]) -> None:
    grid, fields = Grid((1.0,) * len(space), 0.5), random(1, 2, 2, *space).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gray_scott(form=form).residual(x, grid), (fields,))
    assert torch.autograd.gradcheck(lambda x: gray_scott(form=form).loss(x, grid), (fields,))


@every_form
def test_gradient_is_the_adjoint_of_the_tangent(form: str) -> None:
    """<J v, w> = <v, J^T w>, J v by a central difference."""
    constraint, grid = gray_scott(form=form), Grid((1.0, 1.5), 0.5, "periodic")
    u, v = (random(2, 2, 4, 6, 5, seed=seed) for seed in (0, 1))
    tangent = (constraint.residual(u + 1e-5 * v, grid) - constraint.residual(u - 1e-5 * v, grid)) / 2e-5
    w = random(*tangent.shape, seed=2) - 0.5
    leaf = u.clone().requires_grad_()
    (adjoint,) = torch.autograd.grad(constraint.residual(leaf, grid), leaf, w)
    torch.testing.assert_close((tangent * w).sum(), (v * adjoint).sum(), rtol=1e-8, atol=0)


@every_form
@every_order
@pytest.mark.parametrize("scale", [None, 0.1])
@pytest.mark.parametrize("fitted", slow_except([()], [(), ("D_u", "F")]))
def test_loss_is_half_the_squared_norm_and_its_gradient_that_of_a_given_scale(
    form: str, order: int, scale: float | None, fitted: tuple[str, ...]
) -> None:
    grid, fields = Grid((1.0, 1.0), 0.5), random(2, 2, 3, 4, 3).requires_grad_()
    constraint = gray_scott(form=form, order=order, scale=scale, fitted=fitted)
    loss, half_square = constraint.loss(fields, grid), constraint.residual(fields, grid).flatten(1).square().sum(1) / 2
    torch.testing.assert_close(loss, half_square)
    gradients = [torch.autograd.grad(value.sum(), fields)[0] for value in (loss, half_square)]
    torch.testing.assert_close(*gradients)


def test_fitted_constants_minimise_the_loss() -> None:
    """Envelope theorem: on fields without noise the loss, at a given scale, is least at the estimate."""
    grid = Grid((1.0, 1.0), 0.5)
    y, x = torch.meshgrid(*2 * [torch.arange(16, dtype=torch.float64) - 8], indexing="ij")
    size = torch.linspace(6, 10, 5, dtype=torch.float64).view(-1, 1, 1)
    spread = (torch.exp(-(x**2 + y**2) / (2 * size)) / size)[None, None]
    fitted = float(ReactionDiffusion("diffusion", fitted=["D"], scale=1.0).loss(spread, grid))
    losses = [
        float(ReactionDiffusion("diffusion", {"c": given}, scale=1.0).loss(spread, grid))
        for given in torch.linspace(0.5, 1.5, 201).tolist()
    ]
    assert fitted <= min(losses) < 1.01 * fitted
    assert fitted < 0.5 * min(losses[0], losses[-1])


@every_form
@every_order
@pytest.mark.parametrize("boundary", ["no-flux", "periodic"])
def test_residual_of_diffusion_sums_to_the_change_of_mass(form: str, order: int, boundary: str) -> None:
    fields, grid = random(2, 1, 4, 6, 7), Grid((1.0, 2.0), 0.3, boundary)
    heat = ReactionDiffusion("diffusion", {"c": 3.0}, form=form, order=order, scale=2.0)
    change = fields.sum((-2, -1)).diff(dim=-1) / 2.0
    torch.testing.assert_close(heat.residual(fields, grid).sum((-2, -1)), change, rtol=0, atol=1e-12)


@every_form
def test_residual_is_the_part_of_the_motion_that_is_not_explained(form: str) -> None:
    grid = Grid((1.0, 1.0), 1.0, "periodic")
    flow = FlowMap(reaction_system("diffusion"), {"c": 0.2}, {}, grid)
    moving = flow(torch.cat([random(1, 1, 1, 12, 12)] * 2, 2), 1)
    moving[:, :, 1] = flow(moving[:, :, :1], 1)[:, :, 0]

    def size(d: float, fields: Tensor) -> float:
        heat = ReactionDiffusion("diffusion", {"c": d}, form=form)
        return float(heat.residual(fields, grid).square().mean().sqrt())

    assert size(0.2, moving) < (1e-6 if form == "flow_map" else 0.1)
    assert size(0.0, moving) == pytest.approx(1.0)
    assert size(0.2, moving[:, :, :1].expand(-1, -1, 2, -1, -1)) == pytest.approx(1.0)
    assert 1.3 < size(0.2, moving.flip(2)) < 2.0
    assert size(0.2, torch.zeros_like(moving)) == 0.0
    assert size(0.2, torch.ones_like(moving)) < 1e-9


@every_form
@pytest.mark.parametrize("scaled", [True, False])
def test_residual_has_no_dimension_and_samples_do_not_see_each_other(form: str, scaled: bool) -> None:
    """Length x 3, time x 5, concentration x 7; a video alone and in a batch; D and r of each sample."""
    fields, grid = 0.5 * random(2, 1, 3, 5, 6), Grid((1.0, 2.0), 0.5)
    d, r = torch.tensor([[0.4, 0.8], [0.3, 0.6]], dtype=torch.float64)

    def residual(fields: Tensor, d: Tensor, r: Tensor, capacity: float, grid: Grid) -> Tensor:
        constants: dict = {"diffusivity": {"u": d}, "parameters": {"r": r, "K": capacity}}
        growth = ReactionDiffusion("fisher_kpp", **constants, form=form, scale=0.1 * capacity if scaled else None)
        return growth.residual(fields, grid)

    expected = residual(fields, d, r, 1.0, grid)
    stretched = Grid((3.0, 6.0), 2.5)
    torch.testing.assert_close(residual(7 * fields, d * 9 / 5, r / 5, 7.0, stretched), expected, rtol=1e-6, atol=1e-9)
    alone = [residual(fields[i : i + 1], d[i], r[i : i + 1], 1.0, grid) for i in range(2)]
    torch.testing.assert_close(torch.cat(alone), expected, rtol=0, atol=1e-12)


@every_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_dtypes(form: str, dtype: torch.dtype) -> None:
    grid, exact = Grid((1.0, 1.0), 0.5), random(1, 2, 3, 4, 5).to(dtype)
    low = exact.clone().requires_grad_()
    residual = gray_scott(form=form).residual(low, grid)
    assert residual.dtype == torch.float32
    torch.testing.assert_close(
        residual.double(), gray_scott(form=form).residual(exact.double(), grid), rtol=1e-4, atol=1e-4
    )
    gray_scott(form=form).loss(low, grid).sum().backward()
    assert low.grad is not None
    assert low.grad.dtype == dtype


def test_estimates_are_reported_for_every_sample() -> None:
    grid = Grid((1.0,), 0.5)
    x = (torch.arange(32, dtype=torch.float64) + 0.5) / 32
    k, rates = math.pi / 32, torch.tensor([2.0, 5.0]).view(2, 1, 1, 1)
    fields = 1 + torch.exp(-rates * k**2 * grid.dt * torch.arange(6).view(1, 1, 6, 1)) * torch.cos(math.pi * x)
    for form in FORMS:
        heat = ReactionDiffusion("diffusion", fitted={"D": (0.0, 9.0)}, form=form)
        report = heat.fit(fields, grid)
        assert heat.fitted == ("D_c",)
        assert set(report.values) == set(report.errors) == {"D_c"}
        assert min(report.explained) > 0.99
        assert report.values["D_c"] == pytest.approx([2.0, 5.0], rel=2e-3)
        assert report.identifiable == [True, True]
        assert heat.residual(fields, grid).abs().max() < 0.01
    assert ReactionDiffusion("diffusion", {"c": 1.0}).fit(fields, grid) == Fit()


@pytest.mark.parametrize("name", ["diffusion", "fisher_kpp", "gray_scott"])
def test_shipped_configurations(name: str) -> None:
    config = OmegaConf.create((files("physgen.conf") / "constraint" / f"{name}.yaml").read_text())
    config._target_ = "physgen.constraints.reaction_diffusion.constraint.ReactionDiffusion"
    constraint = hydra.utils.instantiate(config)
    assert isinstance(constraint, ReactionDiffusion)
    species = len(constraint.system.species)
    assert constraint.residual(random(1, species, 3, 6, 6), Grid((50.0, 50.0), 1.0, "periodic")).isfinite().all()


def test_a_system_of_ones_own_from_text() -> None:
    config = OmegaConf.create(
        {
            "_target_": "physgen.constraints.reaction_diffusion.constraint.ReactionDiffusion",
            "system": {"species": ["a"], "parameters": {"k": [0.0, 5.0]}, "rates": {"a": "-k*a**2"}},
            "diffusivity": {"a": 0.1},
            "fitted": {"k": [0.1, 2.0]},
        }
    )
    constraint = hydra.utils.instantiate(config)
    fields, grid = random(1, 1, 3, 6), Grid((1.0,), 0.1)
    same = ReactionDiffusion(ReactionSystem(["a"], ["k"], ["-k*a**2"]), {"a": 0.1}, fitted={"k": (0.1, 2.0)})
    torch.testing.assert_close(constraint.residual(fields, grid), same.residual(fields, grid))


@pytest.mark.parametrize("name", ["D", "D_c"])
def test_one_name_alone(name: str) -> None:
    assert list(ReactionDiffusion("diffusion", fitted=name).constants.bounds) == ["D_c"]


FIELDS, GRID = random(1, 2, 3, 4, 4), Grid((1.0, 1.0), 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"system": "grey_scott"}, "system='grey_scott': allowed: diffusion, "),
        ({"system": {"species": ["u"], "rates": ["u"]}}, r"system=\['species', 'rates'\]"),
        ({"form": "weak"}, "form='weak': allowed: differential, flow_map"),
        ({"order": 3}, "order=3: allowed: 2, 4"),
        ({"scheme": "euler"}, "scheme='euler': allowed: exponential, explicit"),
        ({"substeps": 0}, "substeps=0"),
        ({"scale": 0.0}, "scale=0.0"),
        ({"scale": {"u": 1.0}}, r"scale=\{'u': 1.0\}: allowed: a number, or one of each species, u, v"),
        ({"wall": {"w": 1.0}}, "wall="),
        ({"wall": math.nan}, "wall=nan"),
        ({"diffusivity": None}, "diffusivity='without u'"),
        ({"parameters": {"F": 0.03}}, "parameters='without k'"),
        ({"parameters": {"F": 0.03, "k": -0.1}}, "k=-0.1: allowed:"),
        ({"parameters": {"F": 0.03, "k": math.inf}}, "k=inf"),
        ({"system": None}, "system=None: allowed: a name, a ReactionSystem, or species, parameters and rates"),
        ({"diffusivity": 1.0}, "diffusivity=1.0: allowed: a mapping from names to values"),
        ({"diffusivity": 0}, "diffusivity=0: allowed: a mapping"),
        ({"parameters": 0.03}, "parameters=0.03: allowed: a mapping"),
        ({"fitted": ["r"]}, "fitted='r': allowed: names of D_u, D_v, F, k"),
        ({"fitted": "D"}, "fitted='D': allowed: names of D_u, D_v, F, k"),
        ({"fitted": 5.0}, "fitted=5.0: allowed: names of D_u, D_v, F, k"),
        ({"fitted": {"k": 5.0}}, r"fitted=\{'k': 5.0\}: allowed: bounds \(lowest, highest\)"),
        ({"fitted": {"k": (1.0,)}}, r"fitted=\{'k': \(1.0,\)\}: allowed: bounds"),
        ({"fitted": {"k": ("a", "b")}}, "fitted=.*: allowed: bounds"),
        ({"fitted": {"k": (math.nan, 1.0)}}, r"fitted=\{'k': \(nan, 1.0\)\}: allowed: bounds"),
        ({"fitted": {"k": (0.0, math.nan)}}, "fitted=.*: allowed: bounds"),
        ({"fitted": {"k": (-2.0, -1.0)}}, "fitted=.*: allowed: bounds .* within 0 to inf"),
    ],
)
def test_arguments_that_cannot_be(monkeypatch: pytest.MonkeyPatch, arguments: dict, message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=message):
        ReactionDiffusion(**{"system": "gray_scott", **GRAY_SCOTT, **arguments})


@every_form
@pytest.mark.parametrize(
    ("fields", "grid", "message"),
    [
        (FIELDS[:, :, 0], GRID, r"fields=torch.float64 \(1, 2, 4, 4\)"),
        (FIELDS, Grid((1.0,), 0.5), "fields="),
        (FIELDS[:, :1], GRID, "fields='1 species': allowed: one of each species, u, v"),
        (FIELDS[:, :, :1], GRID, "at least 2 frames"),
        (FIELDS.log() * 0 / 0, GRID, "fields='NaN or Inf'"),
        (FIELDS, None, "grid=None"),
        (FIELDS, Grid((1.0, 1.0), 0.5, "open"), "boundary='open': allowed: periodic, no-flux, dirichlet"),
        (FIELDS[..., :1], GRID, r"fields=\(1, 2, 3, 4, 1\): allowed: at least 2 cells"),
        (FIELDS.expand(3, -1, -1, -1, -1), GRID, r"k='\[2\] values': allowed: a number, or one per sample, \[3\]"),
    ],
)
def test_fields_that_cannot_be(form: str, fields: Tensor, grid: Grid | None, message: str) -> None:
    parameters = {"F": 0.03, "k": torch.tensor([0.06, 0.06]) if len(fields) == 3 else 0.06}
    constraint = gray_scott(form=form, order=4, parameters=parameters)
    for method in (constraint.residual, constraint.loss):
        with pytest.raises(InvalidArgument, match=message):
            method(fields, grid)


def test_substeps_that_are_not_stable() -> None:
    constraint = gray_scott(form="flow_map", scheme="explicit", substeps=1)
    with pytest.raises(InvalidArgument, match=r"substeps=1: allowed: at least 22: "):
        constraint.residual(FIELDS, Grid((1.0, 1.0), 10.0))
