import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from markers import slow_except
from scipy.optimize import curve_fit
from scipy.special import lambertw
from torch import Tensor

from physgen.constraints.fit import Fit
from physgen.constraints.kinetics.compartments import LONG, Compartments
from physgen.constraints.kinetics.constraint import FLOOR, Kinetics
from physgen.constraints.kinetics.fitted_constants import FittedConstants
from physgen.constraints.kinetics.unknown import Unknown
from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import reaction_system
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid

FRAMES = 25
GRID = Grid(spacing=(2.0, 0.5), dt=0.25)
TIME = GRID.dt * torch.arange(FRAMES, dtype=torch.float64)

DECAY = ReactionSystem(["c"], {"k": (-10.0, 10.0)}, ["-k*c"])
LOGISTIC = ReactionSystem(["u"], {"r": (0.0, 100.0), "K": (0.0, 100.0)}, ["r*u*(1 - u/K)"])
INERT = ReactionSystem(["left", "right"], [], ["0", "0"])


def video(*means: Tensor, size: int = 4) -> Tensor:
    """Uniform fields ``[1, S, T, H, W]``."""
    return torch.stack(means)[None, :, :, None, None].expand(1, len(means), len(means[0]), size, size)


def logistic(r: float = 1.3, capacity: float = 2.0, start: float = 0.1, time: Tensor = TIME) -> Tensor:
    grown = start * torch.exp(r * time)
    return grown / (1 + (grown - start) / capacity)


def michaelis_menten(vmax: float = 0.8, km: float = 0.5, start: float = 2.0) -> tuple[Tensor, Tensor]:
    """Schnell and Mendoza (1997): S = Km W(S0/Km exp((S0 - Vmax t)/Km))."""
    substrate = km * lambertw(start / km * np.exp((start - vmax * TIME.numpy()) / km)).real
    return torch.from_numpy(substrate), torch.from_numpy(start - substrate)


def decay_with_boluses(k: float = 0.7) -> Tensor:
    """One between frames, one at the time of frame 12, which shows it, one at the start."""
    boluses = [(0.6, 2.0), (3.0, 0.5), (0.0, 0.25)]
    c = torch.exp(-k * TIME)
    for time, amount in boluses:
        c = c + torch.where(time <= TIME, amount * torch.exp(-k * (TIME - time)), 0.0)
    return c


def exchanging(k: float = 0.6, volumes: tuple[float, float] = (1.0, 3.0)) -> tuple[Tensor, Tensor]:
    """From 0 and 1: the difference decays at k (1/V + 1/W), the total V c + W d stays."""
    v, w = volumes
    difference = torch.exp(-k * (1 / v + 1 / w) * TIME)
    left = w / (v + w) * (1 - difference)
    return left, left + difference


BOLUSES = [("c", 0.6, 2.0), ("c", 3.0, 0.5), ("c", 0.0, 0.25)]
MICHAELIS_MENTEN = {"Vmax": 0.8, "Km": 0.5}
TRUTH: dict[str, tuple[Callable[[], Kinetics], Callable[[], Tensor]]] = {
    "logistic": (lambda: Kinetics(LOGISTIC, {"r": 1.3, "K": 2.0}, {"u": 0.1}), lambda: video(logistic())),
    "Michaelis-Menten": (
        lambda: Kinetics("michaelis_menten", MICHAELIS_MENTEN, {"S": 2.0, "P": 0.0}),
        lambda: video(*michaelis_menten()),
    ),
    "decay with boluses": (
        lambda: Kinetics(DECAY, {"k": 0.7}, {"c": 1.0}, BOLUSES),
        lambda: video(decay_with_boluses()),
    ),
    "exchange": (
        lambda: Kinetics(
            INERT, None, {"left": 0.0, "right": 1.0}, (), [("left", "right", 0.6)], {"left": 1.0, "right": 3.0}
        ),
        lambda: video(*exchanging()),
    ),
}
truths = pytest.mark.parametrize("name", TRUTH)


@truths
def test_exact_solutions_satisfy(name: str) -> None:
    build, fields = TRUTH[name]
    constraint = build()
    assert not constraint.fitted
    assert constraint.fit(fields(), GRID) == Fit()
    residual = constraint.residual(fields(), GRID)
    assert residual.shape == fields().shape[:3]
    assert residual.abs().max() < 1e-6
    assert constraint.residual(1.1 * fields(), GRID).abs().max() > 0.1


def test_mean_of_a_patterned_field_counts() -> None:
    """Decay is linear, so the mean of any pattern follows it."""
    pattern = torch.rand(1, 1, 1, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fields = pattern / pattern.mean() * video(torch.exp(-0.7 * TIME), size=1)
    assert Kinetics(DECAY, {"k": 0.7}, {"c": 1.0}).residual(fields, GRID).abs().max() < 1e-6


def test_line_and_volume() -> None:
    for shape in ((1, 1, FRAMES, 7), (1, 1, FRAMES, 2, 3, 4)):
        fields = logistic().view(1, 1, -1, *[1] * (len(shape) - 3)).expand(shape)
        grid = Grid((1.0,) * (len(shape) - 3), GRID.dt)
        assert TRUTH["logistic"][0]().residual(fields, grid).abs().max() < 1e-6


@pytest.mark.slow
def test_regions_are_compartments() -> None:
    """One dye, two halves of a cell that exchange, and a background that belongs to neither."""
    left, right = exchanging()
    fields = torch.full((1, 1, FRAMES, 4, 9), 7.0, dtype=torch.float64)
    fields[..., :4], fields[..., 4:8] = left.view(-1, 1, 1), right.view(-1, 1, 1)
    regions = torch.zeros(2, 4, 9)
    regions[0, :, :4], regions[1, :, 4:8] = 1, 2
    constraint = Kinetics(
        INERT, exchange=[("left", "right", (0.01, 10.0))], volumes={"left": 1, "right": 3}, regions=regions
    )
    assert constraint.residual(fields, GRID).abs().max() < 1e-5
    estimate = constraint.fit(fields, GRID)
    assert estimate.values["exchange_left_right"][0] == pytest.approx(0.6, rel=1e-4)


def test_exchange_conserves_mass() -> None:
    """Of a ring of three, whatever the volumes, with reactions besides."""
    turning = ReactionSystem(["a", "b", "c"], ["k"], ["-k*a", "k*a", "0"])
    ring = Compartments(turning, [("a", "b"), ("b", "c"), ("c", "a")])
    volumes = torch.tensor([1.0, 2.0, 0.3], dtype=torch.float64)
    x = torch.tensor([1.0, 0.2, 0.0, 0.0, 0.5, 0.1, 0.2, *volumes], dtype=torch.float64)
    amount = ring.trajectory(x, TIME) @ volumes
    torch.testing.assert_close(amount, amount[:1].expand_as(amount), rtol=1e-12, atol=0)
    x[3] = 0.4
    assert (ring.trajectory(x, TIME) @ volumes).diff().abs().min() > 1e-4


def test_sensitivities_are_derivatives() -> None:
    """Of the logistic solution, which is known, in r, K and u(0)."""
    compartments = Compartments(LOGISTIC)
    x = torch.tensor([0.1, 1.3, 2.0], dtype=torch.float64)
    solved, sensitive = compartments.sensitivities(x, torch.eye(3, dtype=torch.float64), TIME)
    torch.testing.assert_close(solved[:, 0], logistic(), rtol=1e-6, atol=1e-8)

    def exact(start: Tensor, r: Tensor, capacity: Tensor) -> Tensor:
        grown = start * torch.exp(r * TIME)
        return grown / (1 + (grown - start) / capacity)

    expected = torch.autograd.functional.jacobian(exact, tuple(x))
    for found, wanted in zip(sensitive, expected, strict=True):
        torch.testing.assert_close(found[:, 0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frames", [9, LONG + 9], ids=["steps", "adjoint"])
def test_gradient_goes_on_to_fixed_tensors(frames: int) -> None:
    """Of the loss of a leaking field, in k and c(0): through the steps, and over a long span by the adjoint."""
    time = torch.linspace(0, 2, frames, dtype=torch.float64)
    grid = Grid((1.0, 1.0), 2 / (frames - 1))
    fields = video(torch.exp(-0.9 * time))
    k, start = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.7, 1.1))
    residual = Kinetics(DECAY, {"k": k}, {"c": start}).residual(fields, grid)
    c = start * torch.exp(-k * time)
    expected = ((torch.exp(-0.9 * time) - c) / c.detach().square().mean().sqrt()).view_as(residual)
    torch.testing.assert_close(residual, expected, rtol=0, atol=1e-6)
    found, wanted = (torch.autograd.grad(r.square().sum(), (k, start)) for r in (residual, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@truths
def test_gradient(name: str) -> None:
    build, fields = TRUTH[name]
    constraint = build()
    small = fields()[:, :, :4, :1, :1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: constraint.residual(x, GRID), (small,))


def noisy(means: Tensor, noise: float, seed: int, samples: int = 1) -> Tensor:
    """Means of which each has an error relative to the largest, as uniform fields."""
    generator = torch.Generator().manual_seed(seed)
    error = torch.randn(samples, *means.shape, generator=generator, dtype=torch.float64)
    measured = means + noise * means.amax(-1, keepdim=True) * error
    return measured[..., None, None].expand(samples, *means.shape, 2, 2)


FITS: dict[str, tuple[Callable[[], Kinetics], Callable[[], Tensor], dict[str, float]]] = {
    "decay": (
        lambda: Kinetics(DECAY, {"k": (0.01, 10.0)}, None, BOLUSES),
        lambda: decay_with_boluses()[None],
        {"k": 0.7, "initial_c": 1.0},
    ),
    "logistic": (
        lambda: Kinetics(LOGISTIC, {"r": (0.01, 10.0), "K": (0.1, 10.0)}),
        lambda: logistic()[None],
        {"r": 1.3, "K": 2.0},
    ),
    "Michaelis-Menten": (
        lambda: Kinetics("michaelis_menten", {"Vmax": (0.01, 10.0), "Km": 0.5}, {"P": 0.0}),
        lambda: torch.stack(michaelis_menten()),
        {"Vmax": 0.8, "initial_S": 2.0},
    ),
    "exchange": (
        lambda: Kinetics(
            INERT, None, {"left": 0.0}, (), [("left", "right", (0.01, 10.0))], {"left": 1.0, "right": (0.1, 30.0)}
        ),
        lambda: torch.stack(exchanging()),
        {"exchange_left_right": 0.6, "volume_right": 3.0, "initial_right": 1.0},
    ),
}


@pytest.mark.parametrize("name", slow_except({"logistic", "Michaelis-Menten"}, FITS))
def test_clean_parameters_are_recovered(name: str) -> None:
    build, means, expected = FITS[name]
    constraint, fields = build(), noisy(means(), 0, 0)
    assert constraint.fitted
    estimate = constraint.fit(fields, GRID)
    for key, value in expected.items():
        assert estimate.values[key][0] == pytest.approx(value, rel=1e-4)
    assert estimate.identifiable == [True]
    assert constraint.residual(fields, GRID).abs().max() < 1e-4


@pytest.mark.parametrize("name", slow_except({"exchange"}, FITS))
def test_noisy_parameters_are_recovered_with_their_errors(name: str) -> None:
    """5 % noise on every mean: the middle of three fits is within a tenth, the errors are those seen."""
    build, means, expected = FITS[name]
    estimate = build().fit(noisy(means(), 0.05, 1, samples=3), GRID)
    for key, value in expected.items():
        found, error = np.array(estimate.values[key]), np.array(estimate.errors[key])
        assert np.median(found) == pytest.approx(value, rel=0.1)
        assert (np.abs(found - value) < 5 * error).all()
        assert (error < 0.4 * value).all()


def test_both_constants_of_an_enzyme_from_one_curve() -> None:
    constraint = Kinetics("michaelis_menten", {"Vmax": (0.01, 10.0), "Km": (0.01, 10.0)}, {"P": 0.0})
    estimate = constraint.fit(video(*michaelis_menten()), GRID)
    assert estimate.values["Vmax"][0] == pytest.approx(0.8, rel=1e-3)
    assert estimate.values["Km"][0] == pytest.approx(0.5, rel=1e-3)
    assert estimate.identifiable == [True]


@pytest.mark.slow
def test_fixed_constants_where_the_rate_has_no_derivative() -> None:
    """The derivative of c^n in n at c = 0, and of sqrt(k) at k = 0, do not matter to a fit of another constant."""
    decaying = torch.exp(-0.7 * TIME)
    hill = {"beta": 1.0, "K": 0.5, "n": 2.0, "alpha": 0.1}
    root = ReactionSystem(["c"], ["k", "delta"], ["sqrt(k) - delta*c"])
    for system, fixed, initial in (("hill_activation", hill, {"A": 0.0, "P": 1.0}), (root, {"k": 0.0}, {"c": 1.0})):
        fields = torch.stack([0 * TIME, decaying][-len(initial) :])[None, :, :, None, None]
        estimate = Kinetics(system, fixed | {"delta": (0.1, 10.0)}, initial).fit(fields, GRID)
        assert estimate.values["delta"][0] == pytest.approx(0.7, rel=1e-5)
        assert estimate.identifiable == [True]


@pytest.mark.slow
def test_constants_that_the_data_do_not_tell_apart_are_reported() -> None:
    """Far from saturation only Vmax/Km counts; without exchange over equal halves, no volume does."""
    scarce = torch.exp(-0.8 * TIME)
    enzyme = Kinetics("michaelis_menten", {"Vmax": (10.0, 1e5), "Km": (10.0, 1e5)}, {"S": 1.0, "P": 0.0})
    estimate = enzyme.fit(video(scarce, 1 - scarce), GRID)
    assert estimate.identifiable == [False]
    assert estimate.values["Vmax"][0] / estimate.values["Km"][0] == pytest.approx(0.8, rel=0.01)
    even = Kinetics(INERT, exchange=[("left", "right", (0.01, 10.0))]).fit(video(scarce * 0 + 1, scarce * 0 + 1), GRID)
    assert even.identifiable == [False]
    assert math.isinf(even.errors["exchange_left_right"][0])


def test_loss_has_the_exact_gradient() -> None:
    """And it is that of the law with its constants held (envelope theorem)."""
    fields = noisy(torch.exp(-0.7 * TIME[:9])[None], 0.1, 2).clone().requires_grad_()
    constraint = Kinetics(DECAY, {"k": (0.1, 10.0)}, {"c": 1.0})
    loss = constraint.loss(fields, GRID)
    (gradient,) = torch.autograd.grad(loss.sum(), fields)

    @torch.no_grad()
    def misfit(x: Tensor) -> float:
        scale = x.mean((3, 4)).square().mean().sqrt() / fields.mean((3, 4)).square().mean().sqrt()
        return float(constraint.loss(x, GRID) * scale**2)

    direction = torch.randn((9, 1, 1), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope = (misfit(fields + 1e-3 * direction) - misfit(fields - 1e-3 * direction)) / 2e-3
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-3)
    held = constraint.with_constants(constraint.fit(fields, GRID)).loss(fields, GRID)
    torch.testing.assert_close(torch.autograd.grad(held.sum(), fields)[0], gradient, rtol=1e-4, atol=1e-7)


ANY, RATE = Unknown(0.0, math.inf), Unknown(0.01, 10.0)
FOLLOWED: dict[str, tuple[FittedConstants, Tensor]] = {
    "decay": (
        FittedConstants(Compartments(DECAY, boluses=[(0.6, "c", 2.0)]), [ANY, RATE]),
        torch.where(TIME < 0.6, 1.0, 3.0) * torch.exp(-0.7 * TIME),
    ),
    "logistic": (FittedConstants(Compartments(LOGISTIC), [ANY, RATE, RATE]), logistic()),
    "enzyme": (
        FittedConstants(Compartments(reaction_system("michaelis_menten")), [ANY, 0.0, RATE, 0.5]),
        torch.stack(michaelis_menten()),
    ),
    "exchange": (
        FittedConstants(Compartments(INERT, [("left", "right")]), [0.0, ANY, RATE, 1.0, RATE]),
        torch.stack(exchanging()),
    ),
    "at a bound": (FittedConstants(Compartments(DECAY), [ANY, Unknown(0.9, 10.0)]), torch.exp(-0.7 * TIME)),
    "not told apart": (
        FittedConstants(Compartments(ReactionSystem(["c"], ["k", "j"], ["-k*j*c"])), [ANY, RATE, RATE]),
        torch.exp(-0.7 * TIME),
    ),
    "many frames": (
        FittedConstants(Compartments(DECAY), [1.0, RATE]),
        torch.exp(-torch.linspace(0, 2, LONG + 9, dtype=torch.float64)),
    ),
}


@pytest.mark.parametrize("name", slow_except({"logistic", "at a bound"}, FOLLOWED))
def test_fitted_constants_follow_the_means(name: str) -> None:
    """Along a direction: derivatives of the trajectory, and trajectories fitted to means a little to either side."""
    constants, exact = FOLLOWED[name]
    exact = exact.reshape(-1, exact.shape[-1])
    times = torch.linspace(0, float(TIME[-1]), exact.shape[1], dtype=torch.float64)
    scale = exact.square().mean(1).sqrt()
    generator = torch.Generator().manual_seed(3)
    noise, direction = torch.randn(2, *exact.shape, generator=generator, dtype=torch.float64) * scale[:, None]
    means = (exact + 0.05 * noise).requires_grad_()
    fitted = constants.trajectory(means, times, scale)
    rows = [torch.autograd.grad(one, means, retain_graph=True)[0] for one in fitted.flatten()]
    found = torch.stack([(row * direction).sum() for row in rows]).view_as(fitted)
    with torch.no_grad():
        above, below = (constants.trajectory(means + step * direction, times, scale) for step in (1e-3, -1e-3))
    torch.testing.assert_close(found, (above - below) / 2e-3, rtol=0, atol=1e-3)
    assert found.abs().max() > 0.01


def auroc(truth: Tensor, planted: Tensor) -> float:
    """Share of pairs in the right order."""
    return float((truth[:, None] < planted).double().mean())


VIOLATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "wrong sign of the rate": lambda c: c[0] ** 2 / c,
    "time reversed": lambda c: c.flip(0),
    "leak of a tenth": lambda c: c * torch.linspace(1, 0.9, len(c), dtype=torch.float64),
}


@pytest.mark.parametrize(
    ("violation", "start", "samples"),
    [
        *((violation, 1.0, 40) for violation in VIOLATIONS),
        pytest.param("leak of a tenth", (0.0, 10.0), 8, marks=pytest.mark.slow),
    ],
)
def test_violations_are_told_from_truth(violation: str, start: Any, samples: int) -> None:
    """Noisy videos of a pattern that decays: 10 % noise in each pixel, 1 % in each frame."""
    generator = torch.Generator().manual_seed(0)
    constraint = Kinetics(DECAY, {"k": 0.3}, {"c": start})

    def scores(means: Tensor) -> Tensor:
        pattern = torch.rand(samples, 1, 1, 16, 16, generator=generator, dtype=torch.float64)
        flicker = 1 + 0.01 * torch.randn(samples, 1, len(means), 1, 1, generator=generator, dtype=torch.float64)
        noise = 1 + 0.1 * torch.randn(samples, 1, len(means), 16, 16, generator=generator, dtype=torch.float64)
        fields = means.view(-1, 1, 1) * pattern / pattern.mean((3, 4), keepdim=True) * flicker * noise
        return constraint.loss(fields, GRID)

    means = torch.exp(-0.3 * TIME)
    assert auroc(scores(means), scores(VIOLATIONS[violation](means))) >= 0.99


@pytest.mark.slow
def test_residual_has_no_dimension_and_samples_are_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    fields = torch.rand(2, 1, 5, 2, 2, generator=generator, dtype=torch.float64)
    for build in (
        lambda c, t: Kinetics(DECAY, {"k": 0.7 / t}, {"c": 0.8 * c}, [("c", 0.6 * t, 0.3 * c)]),
        lambda c, t: Kinetics(LOGISTIC, {"r": 1.2 / t, "K": 2.0 * c}),
    ):
        expected = build(1, 1).residual(fields, GRID)
        assert expected.abs().max() > 0.1
        for concentration, time in ((10.0, 1.0), (1.0, 4.0), (0.1, 0.25)):
            residual = build(concentration, time).residual(fields * concentration, Grid((1.0, 1.0), GRID.dt * time))
            torch.testing.assert_close(residual, expected, rtol=0, atol=1e-5)
        alone = torch.cat([build(1, 1).residual(sample, GRID) for sample in fields.split(1)])
        torch.testing.assert_close(build(1, 1).residual(fields, GRID), alone, rtol=0, atol=1e-12)


def test_absent_species_have_finite_residuals() -> None:
    for value in (0.0, 1.0):
        fields = torch.full((1, 1, 4, 3, 3), value, requires_grad=True)
        for constraint in (Kinetics(DECAY, {"k": 0.7}, {"c": 0.0}), Kinetics(DECAY, {"k": (0.1, 1.0)})):
            residual = constraint.residual(fields, GRID)
            assert residual.abs().max() <= 1 / FLOOR + 1
            assert torch.autograd.grad(residual.sum(), fields)[0].isfinite().all()
            assert value > 0 or residual.abs().max() < 1e-9


def poles(shared: Path, cell: int) -> Tensor:
    """Bleached and unbleached half of a cell after the bleach, as far as both are there, ``[1, 2, T, 1]``."""
    files = (shared / "microscopy" / f"Example_{half}_pole.csv" for half in ("bleached", "unbleached"))
    tables = np.stack([np.genfromtxt(file, delimiter=",", skip_header=1) for file in files])
    curves = tables[:, tables[0, :, 0] >= 0, cell]
    there = np.isfinite(curves).all(0).cumprod().astype(bool)
    return torch.from_numpy(curves[:, there])[None, :, :, None]


HALVES = ReactionSystem(["bleached", "unbleached"], [], ["0", "0"])
FRAP_GRID = Grid((1.0,), 10.0)


def frap(volume: Any) -> Kinetics:
    flow = [("bleached", "unbleached", (1e-4, 1.0))]
    return Kinetics(HALVES, exchange=flow, volumes={"unbleached": volume})


def test_exchange_of_real_bacteria_after_bleaching_a_pole(shared: Path) -> None:
    """Mean of twelve cells: 0.0089 +- 0.0004 per second. The other pole hardly darkens, as if it were far larger."""
    fields = poles(shared, 13)
    assert fields.shape == (1, 2, 12, 1)
    constraint = frap((0.1, 100.0))
    estimate = constraint.fit(fields, FRAP_GRID)
    rate, error = (part["exchange_bleached_unbleached"][0] for part in (estimate.values, estimate.errors))
    assert rate == pytest.approx(0.0089, abs=1e-4)
    assert error == pytest.approx(0.0004, abs=1e-4)
    bleached, unbleached = fields[0, :, :, 0].numpy()

    def filling(time: Any, k: float, start: float) -> Any:
        """From a reservoir that is as bright as the other pole is on average."""
        return unbleached.mean() + (start - unbleached.mean()) * np.exp(-k * time)

    (closed, _), _ = curve_fit(filling, FRAP_GRID.dt * np.arange(len(bleached)), bleached, (0.01, 0.0))
    assert abs(rate - closed) < error
    assert estimate.values["volume_unbleached"][0] > 5
    assert estimate.identifiable == [True]
    residual = constraint.residual(fields, FRAP_GRID).square().mean(2).sqrt()[0]
    assert residual[0] < 0.04
    assert residual[1] < 0.08
    equal = frap(1.0).residual(fields, FRAP_GRID).square().mean(2).sqrt()[0]
    assert (equal > 2 * residual).all()


@pytest.mark.slow
def test_exchange_of_single_bacteria(shared: Path) -> None:
    """One normalised half of a cell is noisy: the rate is known to a tenth to a quarter."""
    constraint = frap(1e6)
    estimates = [constraint.fit(poles(shared, cell), FRAP_GRID) for cell in range(1, 13)]
    rates = np.array([estimate.values["exchange_bleached_unbleached"][0] for estimate in estimates])
    errors = np.array([estimate.errors["exchange_bleached_unbleached"][0] for estimate in estimates])
    assert 0.009 < np.median(rates) < 0.012
    assert rates.min() > 0.004
    assert rates.max() < 0.016
    assert 0.1 < np.median(errors / rates) < 0.25


@pytest.mark.slow
def test_import_loads_no_solver() -> None:
    code = "import sys, physgen.constraints; print(sorted({'torchdiffeq', 'scipy', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


FIELDS = torch.rand(1, 1, 3, 4, 4)
FIXED = {"k": 0.7}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Kinetics("enzyme"), "system='enzyme': allowed: diffusion"),
        (lambda: Kinetics({"species": ["u"]}, {}), "system=['species']: allowed: a name, a ReactionSystem, or species"),
        (lambda: Kinetics(None), "system=None: allowed: a name"),  # type: ignore[arg-type]
        (lambda: Kinetics(DECAY, 0.7), "parameters=0.7: allowed: a mapping"),  # type: ignore[arg-type]
        (lambda: Kinetics(DECAY, FIXED, 1.0), "initial=1.0: allowed: a mapping"),  # type: ignore[arg-type]
        (lambda: Kinetics(INERT, volumes=1), "volumes=1: allowed: a mapping"),  # type: ignore[arg-type]
        (lambda: Kinetics(DECAY), "parameters='without k': allowed: a value of each of: k"),
        (lambda: Kinetics(DECAY, {"k": 0.7, "j": 1}), "parameters='unknown j': allowed: a value of each of: k"),
        (lambda: Kinetics(DECAY, {"k": math.nan}), "k=nan: allowed: a finite number (fixed) or (lowest, highest)"),
        (lambda: Kinetics(DECAY, {"k": 11}), "k=11.0: allowed: -10.0 to 10.0"),
        (lambda: Kinetics(DECAY, {"k": (1, 11)}), "k=11.0: allowed: -10.0 to 10.0"),
        (lambda: Kinetics(DECAY, {"k": (1, 0.5)}), "k=(1, 0.5): allowed"),
        (lambda: Kinetics(DECAY, {"k": (1, math.inf)}), "k=(1, inf): allowed"),
        (lambda: Kinetics(DECAY, {"k": [1, 2, 3]}), "k=[1, 2, 3]: allowed"),
        (lambda: Kinetics(DECAY, {"k": "fast"}), "k='fast': allowed"),  # type: ignore[dict-item]
        (lambda: Kinetics(DECAY, FIXED, {"d": 1}), "initial='unknown d': allowed: a value of each of: c"),
        (lambda: Kinetics(DECAY, FIXED, boluses=[("c", -1, 2)]), "boluses=-1: allowed: (species, time >= 0 s, amount)"),
        (lambda: Kinetics(DECAY, FIXED, boluses=[("d", 1, 2)]), "boluses=('d', 1, 2): allowed"),
        (lambda: Kinetics(DECAY, FIXED, boluses=[("c", 1, math.inf)]), "boluses=inf: allowed"),
        (lambda: Kinetics(INERT, exchange=[("left", "left", 1)]), "exchange=('left', 'left', 1): allowed: (species, a"),
        (lambda: Kinetics(INERT, exchange=[("left", "top", 1)]), "exchange=('left', 'top', 1): allowed"),
        (
            lambda: Kinetics(INERT, exchange=[("left", "right", -1)]),
            "exchange left, right=-1: allowed: a finite number",
        ),
        (lambda: Kinetics(INERT, volumes={"left": 1}), "volumes='unknown left': allowed"),
        (
            lambda: Kinetics(INERT, exchange=[("left", "right", 1)], volumes={"left": 0}),
            "left=0: allowed: a finite number (fixed) or (lowest, highest) (fitted), at least 1e-06",
        ),
        (lambda: Kinetics(DECAY, FIXED, regions=torch.zeros(1, 4, 4)), "regions=(1, 4, 4): allowed: [R, *space] of w"),
        (
            lambda: Kinetics(DECAY, FIXED, regions=torch.ones(1, 4, 5)).residual(FIELDS, GRID),
            "regions=(1, 4, 5): allow",
        ),
        (lambda: Kinetics(INERT).residual(FIELDS, GRID), "fields='1 means': allowed: one of each species, left, right"),
        (lambda: Kinetics(DECAY, FIXED).residual(FIELDS[0], GRID), "fields=torch.float32 (1, 3, 4, 4): allowed"),
        (lambda: Kinetics(DECAY, FIXED).residual(FIELDS[:, :, :1], GRID), "at least 2 frames"),
        (lambda: Kinetics(DECAY, FIXED).residual(FIELDS / 0, GRID), "fields='NaN or Inf': allowed: finite values"),
        (lambda: Kinetics(DECAY, FIXED).residual(FIELDS, None), "grid=None: allowed: a Grid"),
        (lambda: Kinetics(DECAY, FIXED).residual(FIELDS, Grid((1, 1), 1, "open")), "boundary='open': allowed: no-flux"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        call()


def test_concentrations_that_blow_up_have_no_solution() -> None:
    law = Kinetics(ReactionSystem(["u"], [], ["u**2"]), None, {"u": 1.0})
    with pytest.raises(NoSolution, match=r"not solved at \{'u': 1.0\}; needed: values at which 5000 steps"):
        law.residual(FIELDS, Grid((1, 1), 2))


@pytest.mark.parametrize(("dt", "frame"), [(0.3, 3), (0.7, 3), (1.2, 6), (1.4, 11)])
@pytest.mark.parametrize("last", [0, 2])
def test_a_bolus_is_there_in_the_frame_at_its_time(dt: float, frame: int, last: int) -> None:
    time = float(f"{dt * frame:.6g}")
    law = Kinetics(ReactionSystem(["c"], [], ["0"]), {}, {"c": 0.0}, boluses=[("c", time, 1.0)])
    true = torch.zeros(1, 1, frame + 1 + last, 4, 4)
    true[:, :, frame:] = 1
    assert law.residual(true, Grid(spacing=(1.0, 1.0), dt=dt)).abs().max() == 0
