"""Fits against brute force, exact data and data that do not tell."""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from physgen.constraints.constants import Constants
from physgen.constraints.reaction_diffusion.constraint import ReactionDiffusion
from physgen.constraints.reaction_diffusion.denoise import without_noise
from physgen.constraints.reaction_diffusion.fit_flow_map import fit_flow_map
from physgen.constraints.reaction_diffusion.fit_linear import fit_differential, fit_integral
from physgen.dynamics.flow_map import FlowMap
from physgen.dynamics.spectral import eigenbasis, transform
from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import reaction_system
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.ops.reaction_diffusion import crank_nicolson_residual
from physgen.stencil import WALLS

GRID = Grid((1.0, 1.5), dt=0.2)
SCHNAKENBERG = reaction_system("schnakenberg")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one(species: int) -> Tensor:
    return torch.ones(species, dtype=torch.float64)


def movie(flow: FlowMap, start: Tensor, frames: int, substeps: int = 32) -> Tensor:
    frame = [start]
    for _ in range(frames - 1):
        frame.append(flow(frame[-1], substeps))
    return torch.cat(frame, 2)


@pytest.mark.parametrize("boundary", WALLS)
@pytest.mark.parametrize("order", [2, 4])
def test_diffusivity_of_crank_nicolson_data_is_exact(boundary: str, order: int) -> None:
    """Frames that obey the scheme itself: multiplied by (1 + z/2) / (1 - z/2), z = D dt lambda."""
    wall, true = 0.4, 1.7
    (rows, left), (columns, right) = (
        eigenbasis(n, h, boundary, order) for n, h in zip((6, 5), (1.0, 1.5), strict=True)
    )
    z = true * GRID.dt * (rows[:, None] + columns)
    modes = transform(random(1, 1, 1, 6, 5), [left.T, right.T])
    fields = torch.cat([transform(modes * ((1 + z / 2) / (1 - z / 2)) ** t, [left, right]) for t in range(4)], 2) + wall
    constants = Constants(reaction_system("diffusion"), {}, {}, ["D"])
    grid = Grid(GRID.spacing, GRID.dt, boundary)
    fit = fit_differential(fields, constants, grid, one(1), order=order, wall={"c": wall})
    assert fit.value[0] == pytest.approx(true, rel=1e-10)
    assert fit.error[0] < 1e-6
    assert fit.identifiable


@pytest.mark.parametrize("high", [np.inf, 0.05])
def test_normal_equations_agree_with_the_whole_design(high: float) -> None:
    """Two species, both diffusivities and two of three parameters, against residuals of unit changes of each."""
    fields, names = random(1, 2, 4, 5, 6), ["D_v", "a", "D_u", "b"]
    constants = Constants(SCHNAKENBERG, {}, {"gamma": 1.5}, dict.fromkeys(names, (-9.0, high)))
    low, top = np.array(list(constants.bounds.values())).T
    weight = torch.tensor([2.0, 0.5], dtype=torch.float64)
    fit = fit_differential(fields, constants, GRID, weight)

    def residual(theta: dict[str, float]) -> np.ndarray:
        r = crank_nicolson_residual(fields, SCHNAKENBERG, *constants.complete(theta), GRID)
        return (r * weight.view(-1, 1, 1, 1)).flatten().numpy()

    zero = residual(dict.fromkeys(names, 0.0))
    design = np.stack([zero - residual({**dict.fromkeys(names, 0.0), name: 1.0}) for name in names], 1)
    brute = scipy.optimize.lsq_linear(design, zero, (low, top)).x
    np.testing.assert_allclose(fit.value, brute, rtol=0, atol=1e-6)
    left = zero - design @ fit.value
    variance = left @ left / (design.shape[0] - 4)
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(design.T @ design) * variance, rtol=1e-9, atol=1e-12)
    scaled = design / np.linalg.norm(design, axis=0)
    assert fit.condition == pytest.approx(np.linalg.cond(scaled), rel=1e-6)


def test_standard_errors_are_those_of_repeated_noise() -> None:
    """A rate that is linear in a second species, with noise: estimates scatter as the errors say."""
    system, grid = ReactionSystem(["c", "x"], ["a", "b"], ["a + b*x", "0"]), Grid((1.0,), 0.2)
    constants = Constants(system, {"c": 0.0, "x": 0.0}, {}, ["a", "b"])
    x, scores = torch.linspace(0, 1, 20, dtype=torch.float64), []
    for seed in range(200):
        noise = torch.randn(20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        c = torch.stack([torch.zeros_like(x), grid.dt * (0.5 + 0.3 * x + 0.1 * noise)])
        fit = fit_differential(torch.stack([c, x.expand(2, -1)])[None], constants, grid, one(2))
        scores.append((fit.value - np.array([0.5, 0.3])) / fit.error)
    assert np.abs(np.mean(scores, axis=0)).max() < 0.25
    # the rows of x, which explain themselves, double the degrees of freedom
    spread = np.std(scores, axis=0) / 2**0.5
    assert ((spread > 0.85) & (spread < 1.2)).all(), spread


def test_what_data_do_not_tell_is_flagged() -> None:
    twice = ReactionSystem(["c"], ["a", "b"], ["a*c + b*c"])
    fit = fit_differential(random(1, 1, 3, 8), Constants(twice, {"c": 0.0}, {}, ["a", "b"]), Grid((1.0,), 0.1), one(1))
    assert not fit.identifiable
    assert fit.condition > 1e6
    uniform = torch.tensor([1.0, 1.1, 1.2], dtype=torch.float64).view(1, 1, 3, 1).expand(1, 1, 3, 8)
    heat = Constants(reaction_system("diffusion"), {}, {}, ["D"])
    for fitted in (
        fit_differential(uniform, heat, Grid((1.0,), 0.1), one(1)),
        fit_flow_map(uniform, heat, Grid((1.0,), 0.1), one(1)),
    ):
        assert not fitted.identifiable
        assert np.isinf(fitted.error[0]) or fitted.error[0] > 1e3


@pytest.mark.slow
def test_flow_map_recovers_what_made_the_video() -> None:
    system, true = reaction_system("gray_scott"), {"D_u": 0.36, "D_v": 0.18, "F": 0.03, "k": 0.062}
    constants = Constants(system, {}, {}, list(true))
    grid = Grid((1.0,), dt=20.0, boundary="periodic")
    smooth = FlowMap(reaction_system("diffusion"), {"c": 1.0}, {}, Grid((1.0,), 3.0, "periodic"))
    noise = smooth(random(1, 1, 1, 32)) - 0.5
    start = torch.cat([0.6 - noise, 0.25 + noise], 1)
    fields = movie(FlowMap(system, *constants.complete(true), grid), start, 5)
    fit = fit_flow_map(fields, constants, grid, one(2), substeps=32)
    np.testing.assert_allclose(fit.value, list(true.values()), rtol=1e-6)
    assert fit.identifiable


def test_flow_map_fits_what_is_not_linear() -> None:
    system, true = reaction_system("michaelis_menten"), {"Vmax": 1.2, "Km": 0.7}
    diffusivity, grid = {"S": 0.2, "P": 0.2}, Grid((1.0,), dt=0.5)
    start = torch.stack([0.2 + random(1, 1, 12), torch.zeros(1, 1, 12, dtype=torch.float64)], 1)
    fields = movie(FlowMap(system, diffusivity, true, grid), start, 6)
    bounded = dict.fromkeys(true, (0.1, 10.0))
    for given, fitted in (({}, bounded), ({"Vmax": 0.5, "Km": 2.0}, list(true))):
        fit = fit_flow_map(fields, Constants(system, diffusivity, given, fitted), grid, one(2))
        np.testing.assert_allclose(fit.value, list(true.values()), rtol=1e-2)
    with pytest.raises(InvalidArgument, match=r"fitted=\['Vmax', 'Km'\]: allowed: finite bounds"):
        fit_flow_map(fields, Constants(system, diffusivity, {}, list(true)), grid, one(2))
    with pytest.raises(InvalidArgument, match="enter linearly"):
        fit_differential(fields, Constants(system, diffusivity, {}, bounded), grid, one(2))


def excited() -> tuple[Tensor, dict[str, float], Grid]:
    """FitzHugh-Nagumo fields half a period apart, eps = 0.08; its other parameters; grid."""
    system, values = reaction_system("fitzhugh_nagumo"), {"a": 0.7, "b": 0.8, "I": 0.5}
    grid = Grid((1.0,), dt=20.0)
    flow = FlowMap(system, {"v": 1.0, "w": 0.0}, {**values, "eps": 0.08}, grid)
    return movie(flow, 2 * random(1, 2, 1, 4) - 1, 6, substeps=48), values, grid


@pytest.mark.slow
@pytest.mark.parametrize("start", [{}, {"eps": 0.3}])
def test_flow_map_finds_the_minimum_among_many(start: dict[str, float]) -> None:
    fields, values, grid = excited()
    constants = Constants(
        reaction_system("fitzhugh_nagumo"), {"v": 1.0, "w": 0.0}, values | start, {"eps": (0.01, 1.0)}
    )
    fit = fit_flow_map(fields, constants, grid, one(2), substeps=48)
    assert fit.value[0] == pytest.approx(0.08, rel=1e-6)
    assert fit.identifiable


@pytest.mark.slow
def test_constants_that_explain_nothing_are_not_identifiable() -> None:
    fields, values, grid = excited()
    constants = Constants(reaction_system("fitzhugh_nagumo"), {"v": 1.0, "w": 0.0}, values, {"eps": (0.01, 0.03)})
    assert not fit_flow_map(fields, constants, grid, one(2), substeps=48).identifiable


def test_bounds_hold_in_both_forms() -> None:
    heat, grid = reaction_system("diffusion"), Grid((1.0,), 0.5, "periodic")
    fields = movie(FlowMap(heat, {"c": 1.0}, {}, grid), random(1, 1, 1, 16), 4)
    for low, high, expected in ((2.0, 3.0, 2.0), (0.1, 0.4, 0.4)):
        constants = Constants(heat, {}, {}, {"D": (low, high)})
        assert fit_differential(fields, constants, grid, one(1)).value[0] == pytest.approx(expected)
        assert fit_flow_map(fields, constants, grid, one(1)).value[0] == pytest.approx(expected, rel=1e-4)


def test_noise_is_taken_out_and_signal_left() -> None:
    grid = Grid((1.0, 1.0), 0.5)
    y, x = torch.meshgrid(*2 * [torch.arange(32, dtype=torch.float64) - 16], indexing="ij")
    start = torch.exp(-(x**2 + y**2) / 32)[None, None, None]
    clean = movie(FlowMap(reaction_system("diffusion"), {"c": 1.0}, {}, grid), start, 12)
    noise = 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (without_noise(clean, grid) - clean).norm() < 1e-4 * clean.norm()
    assert (without_noise(clean + noise, grid) - clean).norm() < 0.35 * noise.norm()


@pytest.mark.parametrize("angle", [1.2, 1.6, 2.0, 2.8])
def test_fast_dynamics_are_not_noise(angle: float) -> None:
    """Cells at random phases that turn by an angle from frame to frame: clean, and beside a pattern that stands."""
    grid, phase = Grid((1.0,), 1.0), 2 * torch.pi * random(32)
    turning = torch.cos(phase + angle * torch.arange(16, dtype=torch.float64)[:, None])[None, None]
    pattern = 50 * torch.cos(torch.pi * (torch.arange(32, dtype=torch.float64) + 0.5) / 32)
    for fields in (turning, turning + pattern):
        torch.testing.assert_close(without_noise(fields, grid), fields)


@pytest.mark.slow
def test_fast_oscillator_is_fitted() -> None:
    system = ReactionSystem(["x", "y"], ["w"], ["-w*y", "w*x"])
    phase, angle = 2 * torch.pi * random(64), 2 * torch.arange(16, dtype=torch.float64)[:, None]
    fields = torch.stack([torch.cos(phase + angle), torch.sin(phase + angle)])[None]
    turning = ReactionDiffusion(
        system, {"x": 0.0, "y": 0.0}, {"w": 1.5}, {"w": (0.0, 3.0)}, form="flow_map", substeps=16
    )
    report = turning.fit(fields, Grid((1.0,), 1.0))
    assert report.values["w"][0] == pytest.approx(2.0, rel=1e-4)
    assert report.identifiable == [True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fitted": ["D_x"]}, "fitted='D_x': allowed: names of D_u, D_v, a, b, gamma"),
        ({"fitted": ["D"]}, "fitted='D'"),
        ({"fitted": {"a": (2.0, 1.0)}}, r"fitted=\{'a': \(2.0, 1.0\)\}: allowed: bounds"),
        ({"fitted": {"a": (-3.0, -1.0)}}, "fitted="),
        ({"diffusivity": {"u": 1.0}}, "diffusivity='without v'"),
        ({"diffusivity": {"u": 1.0, "v": 1.0, "w": 1.0}}, "diffusivity='unknown w'"),
        ({"diffusivity": {"u": 1.0, "v": -1.0}}, r"diffusivity=\{'v': -1.0\}"),
        ({"diffusivity": {"u": 1.0, "v": torch.tensor([1.0, torch.nan])}}, "diffusivity="),
        ({"parameters": {"a": 0.1, "b": 0.9}}, "parameters='without gamma'"),
        ({"parameters": {"a": 0.1, "b": 0.9, "gamma": 1.0, "c": 1.0}}, "parameters='unknown c'"),
        ({"parameters": {"a": 0.1, "b": -0.9, "gamma": 1.0}}, "b=-0.9"),
    ],
)
def test_constants_that_cannot_be(arguments: dict, message: str) -> None:
    given = {"diffusivity": {"u": 1.0, "v": 1.0}, "parameters": {"a": 0.1, "b": 0.9, "gamma": 1.0}, "fitted": []}
    with pytest.raises(InvalidArgument, match=message):
        Constants(SCHNAKENBERG, **{**given, **arguments})


def test_a_uniform_field_says_nothing_of_diffusion() -> None:
    generator = torch.Generator().manual_seed(0)
    level = torch.rand(1, 1, 6, 1, 1, generator=generator) + 1e-7 * torch.rand(1, 1, 6, 8, 8, generator=generator)
    assert ReactionDiffusion("diffusion", fitted=["D"]).fit(level, Grid((1.0, 1.0), 0.1)).measured == [False]


GROWTH = ReactionDiffusion("fisher_kpp", parameters={"K": 1.0}, fitted=["D_u", "r"])


def front() -> tuple[Tensor, Grid]:
    """A front that grows and spreads, D = 0.4 and r = 0.25."""
    y, x = torch.meshgrid(*2 * [torch.arange(24, dtype=torch.float64)], indexing="ij")
    start = torch.sigmoid(8 + 2 * torch.sin(y / 4) - x)[None, None, None]
    grid = Grid((1.0, 1.0), 1.0)
    return movie(FlowMap(GROWTH.system, {"u": 0.4}, {"r": 0.25, "K": 1.0}, grid), start, 13, substeps=8), grid


@pytest.mark.parametrize("form", ["differential", pytest.param("flow_map", marks=pytest.mark.slow)])
def test_constants_of_a_clean_front_are_within_their_errors(form: str) -> None:
    """Steps of time that are not small are in the error of the closed form; the flow map has none."""
    law = ReactionDiffusion("fisher_kpp", parameters={"K": 1.0}, fitted=["D_u", "r"], form=form)
    found = law.fit(*front())
    for name, true in (("D_u", 0.4), ("r", 0.25)):
        assert abs(found.values[name][0] - true) < 3 * found.errors[name][0] + 1e-5
        assert found.values[name][0] == pytest.approx(true, rel=5e-3)


@pytest.mark.parametrize("videos", [12, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("names", [("D_c",), ("D_u", "r")])
def test_noise_moves_constants_by_no_more_than_their_errors(names: tuple[str, ...], videos: int) -> None:
    """They are off by half an error or less in the mean, and spread as the errors say, or less."""
    fields, grid = front()
    law, true = GROWTH, {"D_u": 0.4, "r": 0.25, "D_c": 0.4}
    if names == ("D_c",):
        law = ReactionDiffusion("diffusion", fitted=["D"])
        fields = movie(FlowMap(law.system, {"c": 0.4}, {}, grid), fields[:, :, :1], 13, substeps=1)
    noise = torch.randn(videos, *fields.shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = law.fit(fields + 0.03 * noise, grid)
    assert found.measured == [True] * videos
    for name in names:
        value, error = (np.array(x[name]) for x in (found.values, found.errors))
        score = (value - true[name]) / error
        assert abs(score.mean()) < 0.5 + 1.5 / videos**0.5
        assert 0.4 < score.std() < 1.5
        inside = [low <= true[name] <= high for low, high in found.intervals[name]]
        assert sum(inside) >= 0.9 * videos - 1


def test_integrals_agree_with_the_whole_design() -> None:
    """Two species and a bound, against sums of rates by hand: straight lines between two frames."""
    fields, names = random(1, 2, 2, 5, 6), ["D_v", "a", "D_u", "b"]
    constants = Constants(SCHNAKENBERG, {}, {"gamma": 1.5}, dict.fromkeys(names, (-9.0, 0.05)))
    weight = torch.tensor([2.0, 0.5], dtype=torch.float64)
    fits = [fit(fields, constants, GRID, weight) for fit in (fit_differential, fit_integral)]
    np.testing.assert_allclose(fits[0].value, fits[1].value, rtol=1e-9)
