import math
import re
from collections.abc import Callable
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from physgen.constraints import MassConservation
from physgen.constraints.mass.balance import MassBalance
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.guidance import Projection
from physgen.observables import ColourMap

GRID = Grid(spacing=(2.0, 0.5), dt=0.1)
FRAMES, SIZE = 21, 16
TIME = GRID.dt * torch.arange(FRAMES, dtype=torch.float64)


def cosine_modes(diffusivity: float = 1.5) -> Tensor:
    """Exact no-flux heat flow: 0.5 + sum of decaying cosines, sampled at cell centres."""
    y, x = (torch.pi * (torch.arange(SIZE, dtype=torch.float64) + 0.5) / SIZE for _ in range(2))
    height, width = (SIZE * spacing for spacing in GRID.spacing)
    field = torch.full((FRAMES, SIZE, SIZE), 0.5, dtype=torch.float64)
    for amplitude, j, i in ((0.2, 1, 0), (0.1, 2, 3), (-0.15, 0, 1)):
        rate = diffusivity * ((math.pi * j / height) ** 2 + (math.pi * i / width) ** 2)
        field += amplitude * torch.exp(-rate * TIME)[:, None, None] * torch.cos(j * y)[:, None] * torch.cos(i * x)
    return field[None, None]


def mass(fields: Tensor) -> Tensor:
    return fields.sum((-2, -1), dtype=torch.float64) * GRID.cell_area


def test_heat_flow_without_flux_conserves_mass() -> None:
    fields = cosine_modes()
    assert fields.std() > 0.1
    assert MassConservation().residual(fields, GRID).abs().max() < 1e-12
    assert MassConservation(initial_mass=0.5 * SIZE**2).residual(fields, GRID).abs().max() < 1e-12


def test_leak_of_a_tenth_is_seen() -> None:
    fields = cosine_modes() * (1 - 0.1 * TIME / TIME[-1]).view(-1, 1, 1)
    known = MassConservation(initial_mass=0.5 * SIZE**2).residual(fields, GRID).flatten()
    torch.testing.assert_close(known, -0.1 * TIME / TIME[-1], rtol=0, atol=1e-12)
    fitted = MassConservation().residual(fields, GRID).flatten()
    torch.testing.assert_close(fitted, (0.05 - 0.1 * TIME / TIME[-1]) / 0.95, rtol=0, atol=1e-12)
    estimate = MassConservation().fit(fields, GRID)
    assert estimate.values["initial_mass"][0][0] == pytest.approx(0.95 * 0.5 * SIZE**2)


@pytest.mark.parametrize("spacing", [(0.5,), (2.0, 0.5), (3.0, 2.0, 0.5)])
def test_line_frame_and_volume(spacing: tuple[float, ...]) -> None:
    """A rank is that of the grid: the size of a cell is a length, an area or a volume."""
    grid, size = Grid(spacing, dt=1.0), (4, 5, 6)[: len(spacing)]
    fields = torch.rand(1, 2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    constraint = MassConservation(initial_mass=0.5 * math.prod(size) * math.prod(spacing))
    expected = fields.flatten(3).mean(3) / 0.5 - 1
    torch.testing.assert_close(constraint.residual(fields, grid), expected, rtol=0, atol=1e-12)
    projected = constraint.project(fields, grid)
    assert projected.shape == fields.shape
    assert constraint.residual(projected, grid).abs().max() < 1e-12


def test_scale_is_that_of_the_largest_species() -> None:
    """A species that is hardly there is measured against the one that is."""
    fields = torch.cat([cosine_modes(), 1e-6 * cosine_modes() * torch.exp(-TIME).view(-1, 1, 1)], dim=1)
    residual = MassConservation().residual(fields, GRID)
    assert residual[:, 0].abs().max() < 1e-12
    assert 1e-8 < residual[:, 1].abs().max() < 1e-6


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.3, 4.0])
def test_bleaching_recovers_the_rate(rate: float) -> None:
    fields = cosine_modes() * torch.exp(-rate * TIME).view(-1, 1, 1)
    constraint = MassConservation(bleaching="exponential")
    assert constraint.residual(fields, GRID).abs().max() < 1e-12
    estimate = constraint.fit(fields, GRID)
    assert estimate.values["bleaching_rate"][0][0] == pytest.approx(rate, rel=1e-9, abs=1e-12)
    assert estimate.values["initial_mass"][0][0] == pytest.approx(0.5 * SIZE**2)
    if rate > 0:
        assert MassConservation().residual(fields, GRID).abs().max() > 0.9 * rate * TIME[-1] / 2 / (1 + rate * TIME[-1])


def test_growing_mass_is_not_bleaching() -> None:
    fields = cosine_modes() * torch.exp(0.1 * TIME).view(-1, 1, 1)
    estimate = MassConservation(bleaching="exponential").fit(fields, GRID)
    assert estimate.values["bleaching_rate"] == [[0.0]]
    assert estimate.values["initial_mass"][0][0] == pytest.approx(float(mass(fields).mean()))


@pytest.mark.parametrize("inflow", [0.0, 30.0])
def test_fit_is_least_squares(inflow: float) -> None:
    rng = np.random.default_rng(0)
    balance = MassBalance(torch.full((FRAMES,), inflow, dtype=torch.float64), GRID.dt)
    noisy = balance.at(torch.full((1, 1), 100.0).double(), torch.full((1, 1), 0.8).double()).numpy().ravel()
    noisy = noisy + 5 * rng.standard_normal(FRAMES)

    def misfit(parameters: np.ndarray) -> np.ndarray:
        initial, rate = torch.from_numpy(parameters)
        return (balance.at(initial, rate) - torch.from_numpy(noisy)).numpy()

    found = scipy.optimize.least_squares(misfit, [50.0, 0.1], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    initial, rate = balance.fit(torch.from_numpy(noisy).view(1, 1, -1), lossy=True)
    assert initial.item() == pytest.approx(found.x[0], rel=1e-6)
    assert rate.item() == pytest.approx(found.x[1], rel=1e-6)


def test_inflow_that_bleaches() -> None:
    """dm/dt = J - k m from m0 = J/k stays there; the trapezoid rule is second order in dt."""
    error = []
    for frames in (11, 21, 41):
        balance = MassBalance(torch.full((frames,), 6.0, dtype=torch.float64), dt=2.0 / (frames - 1))
        error.append(float((balance.at(torch.tensor(3.0).double(), torch.tensor(2.0).double()) - 3.0).abs().max()))
    assert error[0] / error[1] == pytest.approx(4, rel=0.1)
    assert error[1] / error[2] == pytest.approx(4, rel=0.1)


def test_known_boundary_flux() -> None:
    """c = 0.2 + q t: what a constant flux brings to a well-mixed frame."""
    q, area = 0.3, SIZE**2 * GRID.cell_area
    fields = (0.2 + q * TIME).view(1, 1, -1, 1, 1).expand(1, 1, FRAMES, SIZE, SIZE)
    opened = Grid(GRID.spacing, GRID.dt, "open")
    for grid in (GRID, opened):
        assert MassConservation(inflow=q * area).residual(fields, grid).abs().max() < 1e-12
        assert MassConservation(inflow=[q * area] * FRAMES).residual(fields, grid).abs().max() < 1e-12
    assert MassConservation().residual(fields, GRID).abs().max() > 0.5
    assert MassConservation(inflow=-q * area).residual(fields, opened).abs().max() > 1


def test_inflow_series_is_integrated_over_frames() -> None:
    """A flux linear in time is integrated exactly: m = m0 + t^2 for J = 2 t."""
    fields = ((50 + TIME**2) / (SIZE**2 * GRID.cell_area)).view(1, 1, -1, 1, 1).expand(1, 1, FRAMES, SIZE, SIZE)
    constraint = MassConservation(inflow=(2 * TIME).tolist())
    assert constraint.residual(fields, GRID).abs().max() < 1e-12
    estimate = constraint.fit(fields, GRID)
    assert estimate.values["initial_mass"][0][0] == pytest.approx(50)


def test_inflow_of_each_species() -> None:
    """What one species gains, another loses, at one rate or at one per frame."""
    area = SIZE**2 * GRID.cell_area
    fields = torch.cat([cosine_modes() + 0.1 * TIME.view(-1, 1, 1), cosine_modes() - 0.1 * TIME.view(-1, 1, 1)], dim=1)
    for inflow in ([[0.1 * area], [-0.1 * area]], [[0.1 * area] * FRAMES, [-0.1 * area] * FRAMES]):
        assert MassConservation(inflow=inflow).residual(fields, GRID).abs().max() < 1e-12
        assert MassConservation(inflow=inflow).residual(fields.flip(1), GRID).abs().max() > 0.3
    assert MassConservation(inflow=0.1 * area).residual(fields, GRID)[0, 0].abs().max() < 1e-12


def test_given_map_of_production() -> None:
    """dc/dt = q(x): a linear rise in time, which the trapezoid rule integrates exactly."""
    q = torch.linspace(-0.1, 0.3, SIZE, dtype=torch.float64)
    fields = cosine_modes() + TIME.view(-1, 1, 1) * q
    constraint = MassConservation(source=lambda _: q)
    assert constraint.residual(fields, GRID).abs().max() < 1e-12
    assert MassConservation().residual(fields, GRID).abs().max() > 0.1
    leak = fields * (1 - 0.1 * TIME / TIME[-1]).view(-1, 1, 1)
    assert constraint.residual(leak, GRID).abs().max() > 0.04
    assert constraint.residual(constraint.project(leak, GRID), GRID).abs().max() < 1e-12


def test_reaction_as_a_source_is_second_order_in_time() -> None:
    """Species that turn into each other, 2 c0 - c1 per second, from an exact solution."""
    error = []
    for frames in (11, 21, 41):
        time = torch.linspace(0, 2, frames, dtype=torch.float64)
        first = (1 + 2 * torch.exp(-3 * time)) / 3
        fields = torch.stack([first, 1 - first])[None, ..., None, None].expand(1, 2, frames, 4, 4)
        constraint = MassConservation(
            source=lambda c: (2 * c[:, :1] - c[:, 1:]) * torch.tensor([-1, 1]).view(2, 1, 1, 1)
        )
        grid = Grid((1.0, 1.0), 2 / (frames - 1))
        error.append(float(constraint.residual(fields, grid).abs().max()))
        assert MassConservation().residual(fields, grid).abs().max() > 0.4
    assert error[0] / error[1] == pytest.approx(4, rel=0.15)
    assert error[1] / error[2] == pytest.approx(4, rel=0.05)


def test_gradient_goes_through_the_source() -> None:
    """m - m0 - 0.3 int m: a trapezoid rule that is written out here."""
    fields = torch.rand(1, 1, 5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    residual = MassConservation(initial_mass=6, source=lambda c: 0.3 * c).residual(fields, GRID)
    amount = mass(fields)
    expected = amount - 6 - 0.3 * torch.cumulative_trapezoid(torch.cat([amount[..., :1], amount], 2), dx=GRID.dt)
    expected = expected + 0.3 * GRID.dt * amount[..., :1]
    scale = (expected / residual).detach()
    torch.testing.assert_close(scale, scale.mean().expand_as(scale))
    weight = torch.randn(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, wanted = (torch.autograd.grad((r * weight).sum(), fields)[0] for r in (residual * scale, expected))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("bleaching", ["none", "exponential"])
def test_loss_has_the_exact_gradient(bleaching: str) -> None:
    """And it is that of the law with its constants held (envelope theorem)."""
    fields = (
        cosine_modes() * torch.exp(-0.4 * TIME).view(-1, 1, 1) + 0.05 * torch.sin(9 * TIME).view(-1, 1, 1)
    ).detach()
    fields.requires_grad_()
    constraint = MassConservation(bleaching=bleaching)

    @torch.no_grad()
    def misfit(x: Tensor) -> float:
        balance = MassBalance(torch.zeros(FRAMES, dtype=torch.float64), GRID.dt)
        return float((mass(x) - balance.at(*balance.fit(mass(x), bleaching == "exponential"))).square().sum() / 2)

    loss = constraint.loss(fields, GRID)
    (gradient,) = torch.autograd.grad(loss.sum(), fields)
    scale = misfit(fields) / float(loss.detach())
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        direction = torch.randn((FRAMES, 1, 1), generator=generator, dtype=torch.float64).expand_as(fields)
        step = 1e-5 * direction
        slope = (misfit(fields + step) - misfit(fields - step)) / 2e-5
        assert scale * float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-5)
    held = constraint.with_constants(constraint.fit(fields, GRID)).loss(fields, GRID)
    torch.testing.assert_close(torch.autograd.grad(held.sum(), fields)[0], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("growth", [-0.5, 0.5])
@pytest.mark.parametrize(("made", "capacity"), [(0.1, math.inf), (0.0, 6.0)])
def test_fitted_constants_follow_the_mass(lossy: bool, growth: float, made: float, capacity: float) -> None:
    """What is left after the fit, of masses that bleach or grow, and that fit into the frame or not."""
    time = 0.5 * torch.arange(5, dtype=torch.float64)
    noise = torch.rand(2, 1, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    amount = (8 * torch.exp(growth * time) + noise).requires_grad_()

    def left(amount: Tensor) -> Tensor:
        balance = MassBalance(made * amount + 1, dt=0.5, capacity=capacity)
        return amount - balance.at(*balance.fit(amount, lossy))

    assert torch.autograd.gradcheck(left, (amount,))


def test_fitted_is_fixed_at_the_estimate() -> None:
    fields = torch.rand(1, 1, FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimate = MassConservation().fit(fields, GRID)
    fixed = MassConservation(initial_mass=estimate.values["initial_mass"][0][0])
    torch.testing.assert_close(fixed.residual(fields, GRID), MassConservation().residual(fields, GRID))


def test_projection_stays_in_bounds_and_keeps_float32_mass() -> None:
    generator = torch.Generator().manual_seed(0)
    for maximum in (1.0, 0.1, 37.0):
        for power in (0.1, 1, 30):
            fields = maximum * (1.3 * torch.rand(2, 3, 9, 64, 64, generator=generator).pow(power) - 0.1)
            constraint = MassConservation(maximum=maximum)
            projected = constraint.project(fields, GRID)
            assert projected.dtype == torch.float32
            assert projected.min() >= 0
            assert projected.max() <= torch.tensor(maximum)
            measured = mass(projected)
            expected = mass(fields.double().clamp(0, maximum)).mean(2, keepdim=True)
            assert (measured / expected - 1).abs().max() < 6e-8


def test_projection_of_zero_and_full_frames() -> None:
    empty = torch.zeros(1, 1, 3, 8, 8)
    assert torch.equal(MassConservation().project(empty, GRID), empty)
    assert MassConservation().residual(empty, GRID).abs().max() == 0
    assert torch.equal(MassConservation().project(empty + 1, GRID), empty + 1)
    assert torch.equal(MassConservation(initial_mass=64).project(empty, GRID), empty + 1)
    assert MassConservation(initial_mass=0).project(empty + 0.5, GRID).abs().max() == 0
    assert MassConservation(initial_mass=32).project(empty, GRID).unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("inflow", "bleaching"),
    [(0.0, "none"), (100.0, "none"), (-100.0, "none"), (0.0, "exponential"), (100.0, "exponential")],
)
def test_fitted_mass_fits_into_the_frame(inflow: float, bleaching: str) -> None:
    """Fields far outside the bounds, or full and then empty, still have a projection."""
    generator = torch.Generator().manual_seed(0)
    wild = 5 * torch.randn(2, 2, FRAMES, SIZE, SIZE, generator=generator, dtype=torch.float64)
    dropping = (TIME < 0.5).double().view(1, 1, -1, 1, 1).expand_as(wild).clone()
    for fields in (wild, wild - 3, wild + 3, dropping, 1 - dropping):
        constraint = MassConservation(inflow=inflow, bleaching=bleaching, maximum=1.0)
        projected = constraint.project(fields, GRID)
        assert projected.min() >= 0
        assert projected.max() <= 1
        assert constraint.residual(projected, GRID).abs().max() < 1e-9


def test_absent_mass_is_measured_against_what_is_there() -> None:
    """Nothing is expected, or next to nothing: the residual stays bounded."""
    fields = torch.rand(1, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for initial in (0.0, 1e-30):
        residual = MassConservation(initial_mass=initial).residual(fields, GRID)
        assert 100 < residual.abs().max() < 2000
    assert MassConservation().residual(-fields, GRID).abs().max() < 2000


def test_video_through_the_colour_map() -> None:
    """What the demo claims: the float32 video, measured again, has constant mass."""
    generator = torch.Generator().manual_seed(0)
    dye = ColourMap([(0.05, 0.88, 0.15)], (0.04, 0.04, 0.04), ("dye",))
    leak = torch.linspace(1, 0.7, FRAMES).view(-1, 1, 1)
    raw = dye.embed(torch.rand(1, 3, FRAMES, SIZE, SIZE, generator=generator), cosine_modes() * leak).float()
    raw = raw + 0.05 * torch.randn(raw.shape, generator=generator)
    constraint = MassConservation(maximum=dye.maximum)
    before = constraint.residual(dye(raw), GRID).abs().max()
    video = dye.embed(raw, constraint.project(dye(raw), GRID))
    after = constraint.residual(dye(video), GRID).abs().max()
    assert before > 0.1
    assert after < 1e-7


def test_real_movie_of_a_growing_culture(shared: Path) -> None:
    """Nuclei enter and divide (9 to 17 of them): not a closed domain, and no bleaching either; both are seen."""
    tifffile = pytest.importorskip("tifffile")
    movie = tifffile.imread(shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif").astype(np.float32)
    fields = torch.from_numpy(movie)[None, None]
    grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    residual = MassConservation().residual(fields, grid).flatten()
    assert 0.1 < residual.square().mean().sqrt() < 0.3
    assert residual[:10].mean() < -0.1
    assert residual[-10:].mean() > 0.1
    assert MassConservation(bleaching="exponential", maximum=None).fit(fields, grid).values["bleaching_rate"] == [[0.0]]


FIELDS = torch.rand(1, 1, 3, 4, 4)


def broken(value: float) -> Tensor:
    fields = FIELDS.clone()
    fields[0, 0, 1, 2, 3] = value
    return fields


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MassConservation(initial_mass=-1), "initial_mass=-1: allowed: None or a finite number >= 0"),
        (lambda: MassConservation(initial_mass=math.nan), "initial_mass=nan"),
        (lambda: MassConservation(maximum=0), "maximum=0: allowed: None or a finite number > 0"),
        (lambda: MassConservation(maximum=-1.0), "maximum=-1.0: allowed"),
        (lambda: MassConservation(inflow=math.inf), "inflow=inf: allowed: finite numbers"),
        (lambda: MassConservation(inflow=[1.0, math.nan]), "inflow=[1.0, nan]: allowed: finite numbers"),
        (lambda: MassConservation(inflow="much"), "inflow='much': allowed"),  # type: ignore[arg-type]
        (lambda: MassConservation(bleaching="linear"), "bleaching='linear': allowed: none, exponential"),
        (lambda: MassConservation().residual(FIELDS[0], GRID), "fields=torch.float32 (1, 3, 4, 4): allowed"),
        (lambda: MassConservation().residual(FIELDS[..., 0], GRID), "allowed: floating point [B, S, T, H, W]"),
        (lambda: MassConservation().residual(FIELDS.long(), GRID), "torch.int64"),
        (lambda: MassConservation().residual(FIELDS[:, :, :1], GRID), "at least 2 frames"),
        (lambda: MassConservation().residual(FIELDS[:, :0], GRID), "fields=torch.float32 (1, 0, 3, 4, 4)"),
        (lambda: MassConservation().residual(broken(math.nan), GRID), "fields='NaN or Inf': allowed: finite values"),
        (lambda: MassConservation().project(broken(math.inf), GRID), "fields='NaN or Inf': allowed: finite values"),
        (lambda: MassConservation().fit(broken(-math.inf), GRID), "fields='NaN or Inf': allowed: finite values"),
        (
            lambda: MassConservation().residual(FIELDS, Grid((2, 2, 2), 1)),
            "fields=torch.float32 (1, 1, 3, 4, 4): allowed: floating point [B, S, T, Z, H, W] on this grid",
        ),
        (lambda: MassConservation().residual(FIELDS, None), "grid=None: allowed: a Grid"),
        (lambda: MassConservation().residual(FIELDS, Grid((1, 1), 1, "open")), "boundary='open': allowed: no-flux"),
        (lambda: MassConservation().project(FIELDS, Grid((1, 1), 1, "dirichlet")), "boundary='dirichlet': allowed"),
        (
            lambda: MassConservation(inflow=[1.0]).residual(FIELDS, GRID),
            "inflow='[1] values': allowed: one, one per frame, 3",
        ),
        (lambda: MassConservation(inflow=[[1.0], [2.0, 3.0]]), "inflow=[[1.0], [2.0, 3.0]]: allowed: finite numbers"),
        (
            lambda: MassConservation(inflow=[[1.0], [2.0]]).residual(FIELDS, GRID),
            "inflow='[2, 1] values': allowed: one, one per frame, 3, or nested lists [1][1] or [1][3]",
        ),
        (
            lambda: MassConservation(source=lambda _: torch.ones(2, 4, 4)).residual(FIELDS, GRID),
            "source='torch.float32 (2, 4, 4)': allowed: finite values that broadcast to (1, 1, 3, 4, 4)",
        ),
        (
            lambda: MassConservation(source=lambda c: c / 0).residual(FIELDS, GRID),
            "source='torch.float32 (1, 1, 3, 4, 4)': allowed: finite values",
        ),
        (
            lambda: MassConservation(initial_mass=17, maximum=1).project(FIELDS, GRID),
            "expected mass=(17.0, 17.0): allowed: 0 to 16",
        ),
        (lambda: MassConservation(inflow=-1e3, maximum=1).project(FIELDS, GRID), "expected mass="),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        call()


def test_a_sample_that_is_negative_everywhere_costs_no_other() -> None:
    fields = torch.rand(2, 1, 3, 4, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    fields[1] -= 2
    law = MassConservation()
    with pytest.raises(NoSolution, match="negative everywhere"):
        law.project(fields, GRID)
    projected = Projection(law).projection(fields, GRID).fields
    torch.testing.assert_close(projected[:1], law.project(fields[:1], GRID))
    assert bool(projected[1].isnan().all())
    assert mass(MassConservation(initial_mass=3.0).project(fields, GRID)).allclose(torch.tensor(3.0).double())


def test_two_frames_tell_no_bleaching_rate() -> None:
    fading = torch.tensor([1.0, 0.99]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)
    assert MassConservation(bleaching="exponential").fit(fading, GRID).measured == [False]


def test_error_of_a_rate_is_that_of_what_is_fitted() -> None:
    generator, time = torch.Generator().manual_seed(0), torch.arange(8, dtype=torch.float64)
    noise = 0.01 * torch.randn(200, 1, 8, generator=generator, dtype=torch.float64)
    amount = (torch.exp(-0.1 * time) + noise)[..., None, None].expand(200, 1, 8, 2, 2)
    law = MassConservation(initial_mass=4.0, bleaching="exponential")
    found = law.fit(amount, Grid((1.0, 1.0), 1.0))
    spread = torch.tensor(found.values["bleaching_rate"]).std()
    assert torch.tensor(found.errors["bleaching_rate"]).mean() == pytest.approx(float(spread), rel=0.15)


def test_other_species_are_left_alone() -> None:
    """Residual, projection and constants are those of the one species by itself, and its gradient is of it alone."""
    fields = torch.rand(2, 3, 4, 5, 5, dtype=torch.float64, generator=torch.manual_seed(0))
    one, law = fields[:, 2:], MassConservation(species=[2])
    for options in ({}, {"bleaching": "exponential"}, {"inflow": [[0.5]]}):
        torch.testing.assert_close(
            MassConservation(species=[2], **options).residual(fields, GRID),
            MassConservation(**options).residual(one, GRID),
        )
    projected = law.project(fields, GRID)
    torch.testing.assert_close(projected[:, :2], fields[:, :2], rtol=0, atol=0)
    torch.testing.assert_close(projected[:, 2:], MassConservation().project(one, GRID))
    assert law.fit(fields, GRID).values == MassConservation().fit(one, GRID).values
    held = law.with_constants(law.fit(fields, GRID)).keep_samples(torch.tensor([False, True]))
    torch.testing.assert_close(held.residual(fields[1:], GRID), law.residual(fields[1:], GRID))
    differentiable = fields.requires_grad_()
    (gradient,) = torch.autograd.grad(law.loss(differentiable, GRID).sum(), differentiable)
    assert float(gradient[:, :2].abs().max()) == 0 < float(gradient[:, 2].abs().max())


def test_a_source_of_one_species_may_depend_on_another() -> None:
    """c0 is constant and makes c1, whose mass is then known in advance."""
    c0 = torch.full((1, 1, FRAMES, SIZE, SIZE), 0.3, dtype=torch.float64)
    c1 = (0.3 * TIME).view(1, 1, -1, 1, 1).expand_as(c0)
    law = MassConservation(source=lambda c: torch.stack([0 * c[:, 0], c[:, 0]], 1), species=[1])
    assert float(law.residual(torch.cat([c0, c1], 1), GRID).abs().max()) < 1e-12


@pytest.mark.parametrize("species", [[], [0, 0], [-1], [1.0], "0", 0, [True]])
def test_species_that_are_none_are_refused(species: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=r"species=.*numbers of species, from 0, each once"):
        MassConservation(species=species)  # type: ignore[arg-type]


def test_species_that_the_fields_do_not_have_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=re.escape("species=[2]: allowed: numbers, from 0, of 2 species")):
        MassConservation(species=[2]).residual(torch.ones(1, 2, 3, 4, 4), GRID)


def test_nan_in_another_species_is_refused() -> None:
    fields = torch.ones(1, 2, 3, 4, 4)
    fields[0, 0, 1, 2, 2] = torch.nan
    with pytest.raises(InvalidArgument, match="NaN or Inf"):
        MassConservation(species=[1]).residual(fields, GRID)
