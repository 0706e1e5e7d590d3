import itertools
import math
import re
from collections.abc import Callable

import jaxtyping
import pytest
import torch
from torch import Tensor

from physgen.constraints import MassConservation
from physgen.constraints.mass.continuity import Continuity
from physgen.errors import InvalidArgument
from physgen.grid import Grid


def centres(cells: int, width: float) -> Tensor:
    return (torch.arange(cells, dtype=torch.float64) + 0.5) * width / cells


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def blob(y: Tensor, x: Tensor, centre: tuple[Tensor, Tensor], variance: Tensor) -> Tensor:
    """Gaussian of unit mass per area of ``2 pi`` at every time, ``[1, 1, T, H, W]``."""
    (a, b), v = (c.view(-1, 1, 1) for c in centre), variance.view(-1, 1, 1)
    return (torch.exp(-((y[:, None] - a) ** 2 + (x - b) ** 2) / (2 * v)) / v)[None, None]


def drifting(cells: int, frames: int) -> tuple[Continuity, Tensor, Grid]:
    """A blob that drifts and diffuses in a box that it does not reach the walls of: exact."""
    drift, diffusivity, time = (1.5, -2.0), 0.3, torch.linspace(0, 0.5, frames, dtype=torch.float64)
    y, x = centres(cells, 16.0), centres(cells, 12.0)
    centre = (7.0 + drift[0] * time, 7.0 + drift[1] * time)
    fields = blob(y, x, centre, 1.0 + 2 * diffusivity * time)
    grid = Grid((16.0 / cells, 12.0 / cells), 0.5 / (frames - 1))
    return Continuity(drift, diffusivity), fields, grid


def turning(cells: int, frames: int, turn: float = 2.0) -> tuple[Continuity, Tensor, Grid]:
    """A blob off the axis of a solid body that rotates, v = w (-(x - x0), y - y0) in order (y, x)."""
    time = torch.linspace(0, 0.5, frames, dtype=torch.float64)
    y = x = centres(cells, 16.0)
    centre = (8 + 2 * torch.sin(turn * time), 8 + 2 * torch.cos(turn * time))
    velocity = torch.stack([turn * (x - 8).expand(cells, cells), -turn * (y - 8)[:, None].expand(cells, cells)])
    fields = blob(y, x, centre, torch.ones_like(time))
    return Continuity(velocity), fields, Grid((16.0 / cells, 16.0 / cells), 0.5 / (frames - 1))


Problem = Callable[[int, int], tuple[Continuity, Tensor, Grid]]


def error(problem: Problem, cells: int, frames: int) -> float:
    constraint, fields, grid = problem(cells, frames)
    return rms(constraint.residual(fields, grid))


@pytest.mark.parametrize("problem", [drifting, turning], ids=["drift and diffusion", "rotation"])
def test_second_order_together(problem: Problem) -> None:
    errors = [error(problem, cells, frames) for cells, frames in ((40, 11), (80, 21), (160, 41))]
    orders = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert orders == pytest.approx([2, 2], abs=0.1)
    assert errors[-1] < 0.01


@pytest.mark.parametrize("problem", [drifting, turning], ids=["drift and diffusion", "rotation"])
def test_second_order_in_space(problem: Problem) -> None:
    """Over two frames that are so close that only the error in space is left."""

    def instant(cells: int) -> float:
        constraint, fields, grid = problem(cells, 2001)
        return rms(constraint.residual(fields[:, :, :2], grid))

    orders = [math.log2(instant(cells) / instant(2 * cells)) for cells in (40, 80)]
    assert orders == pytest.approx([2, 2], abs=0.1)


def test_second_order_in_time() -> None:
    """A wave that the differences in space carry exactly, at sin(k dx)/dx in place of k: no error in space is left."""
    cells, length, speed, diffusivity = 32, 0.5, 1.3, 0.05
    k = 2 * math.pi * 3 / (cells * length)
    turn = speed * math.sin(k * length) / length
    decay = diffusivity * (2 * math.sin(k * length / 2) / length) ** 2
    x = centres(cells, cells * length)

    def temporal(frames: int) -> float:
        time = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None]
        fields = 1 + torch.exp(-decay * time) * torch.cos(k * x - turn * time)
        grid = Grid((length,), 1 / (frames - 1), "periodic")
        return rms(Continuity([speed], diffusivity).residual(fields[None, None], grid))

    orders = [math.log2(temporal(frames) / temporal(2 * frames - 1)) for frames in (21, 41, 81)]
    assert orders == pytest.approx([2, 2, 2], abs=0.05)
    assert temporal(161) < 1e-4


@pytest.mark.parametrize("boundary", ["no-flux", "periodic"])
@pytest.mark.parametrize("space", [(7,), (6, 5), (3, 4, 5)], ids=["line", "frame", "volume"])
def test_sum_is_the_budget_of_mass(space: tuple[int, ...], boundary: str) -> None:
    """sum r dA dt = m[t+1] - m[t] - what is made, for any fields, and any velocity in time and space."""
    generator = torch.Generator().manual_seed(0)
    fields = torch.rand(2, 3, 4, *space, generator=generator, dtype=torch.float64)
    velocity = torch.randn(2, len(space), 4, *space, generator=generator, dtype=torch.float64)
    grid = Grid((2.0, 0.5, 0.3)[: len(space)], 0.25, boundary)
    constraint = Continuity(velocity, [0.1, 0.0, 2.0], lambda c: 0.3 * c[:, :1] * c, scale=1)
    residual = constraint.residual(fields, grid).flatten(3).sum(-1) * grid.cell_area * grid.dt
    mass, made = (x.flatten(3).sum(-1) * grid.cell_area for x in (fields, 0.3 * fields[:, :1] * fields))
    torch.testing.assert_close(residual, mass.diff(dim=2) - grid.dt * (made[:, :, 1:] + made[:, :, :-1]) / 2)


def test_velocity_in_all_its_forms() -> None:
    fields = torch.rand(2, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    grid = Grid((2.0, 0.5), 0.25)
    steady = torch.tensor([0.7, -0.2]).view(2, 1, 1).expand(2, 5, 6)
    unsteady = steady[:, None].expand(2, 4, 5, 6)
    expected = Continuity([0.7, -0.2]).residual(fields, grid)
    for velocity in (steady, unsteady, unsteady[None].expand(2, 2, 4, 5, 6)):
        torch.testing.assert_close(Continuity(velocity).residual(fields, grid), expected)
    assert not torch.allclose(Continuity([-0.2, 0.7]).residual(fields, grid), expected)


@pytest.mark.parametrize("boundary", ["no-flux", "periodic"])
def test_gradient(boundary: str) -> None:
    generator = torch.Generator().manual_seed(0)
    fields = torch.rand(2, 2, 3, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    velocity = torch.randn(2, 3, 3, 4, generator=generator, dtype=torch.float64)
    grid = Grid((2.0, 0.5), 0.25, boundary)
    constraint = Continuity(velocity, 0.4, lambda c: c * (1 - c), scale=3.0)
    assert torch.autograd.gradcheck(lambda x: constraint.residual(x, grid), (fields,))
    own = Continuity(velocity, 0.4, lambda c: c * (1 - c))
    scale = (constraint.residual(fields, grid) * 3 / own.residual(fields, grid)).detach()
    expected, found = (
        torch.autograd.grad(loss.sum(), fields)[0]
        for loss in (
            (constraint.residual(fields, grid) * 3 / scale).square() / 2,
            own.residual(fields, grid).square() / 2,
        )
    )
    torch.testing.assert_close(found, expected)


def test_residual_has_no_dimension_and_samples_are_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    fields = torch.rand(3, 2, 4, 5, 6, generator=generator, dtype=torch.float64)
    velocity = torch.randn(2, 5, 6, generator=generator, dtype=torch.float64)
    expected = Continuity(velocity, 0.4).residual(fields, Grid((2.0, 0.5), 0.25))
    assert 0.5 < rms(expected) < 2
    for concentration, length, time in ((1e3, 1, 1), (1, 1e-3, 1), (1, 1, 60), (1e-6, 1e3, 1e-3)):
        constraint = Continuity(velocity * length / time, 0.4 * length**2 / time)
        residual = constraint.residual(fields * concentration, Grid((2.0 * length, 0.5 * length), 0.25 * time))
        torch.testing.assert_close(residual, expected)
    scaled = fields * torch.tensor([1.0, 1e6, 1e-6]).view(3, 1, 1, 1, 1)
    torch.testing.assert_close(Continuity(velocity, 0.4).residual(scaled, Grid((2.0, 0.5), 0.25)), expected)


def test_still_and_empty_fields_satisfy() -> None:
    grid = Grid((1.0, 1.0), 1.0)
    for value in (0.0, 0.5):
        still = torch.full((1, 1, 3, 4, 4), value, requires_grad=True)
        loss = Continuity([0.0, 0.0], 1.0).loss(still, grid)
        assert loss.item() == 0
        assert torch.autograd.grad(loss, still)[0].abs().max() == 0
    flicker = 0.5 + 1e-6 * torch.randn(1, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert rms(Continuity([0.0, 0.0]).residual(flicker, grid)) < 0.01


def leak(fields: Tensor) -> Tensor:
    return fields * torch.linspace(1, 0.9, fields.shape[2]).view(-1, 1, 1)


def jump(fields: Tensor) -> Tensor:
    """A tenth of the mass of the later frames is somewhere else, so that the frame's mass is right."""
    moved = fields.clone()
    later = fields.shape[2] // 2
    moved[:, :, later:] = 0.9 * fields[:, :, later:] + 0.1 * fields[:, :, later:].roll(20, -1)
    return moved


@pytest.mark.parametrize("violate", [leak, jump, lambda fields: fields.flip(2)], ids=["leak", "jump", "reversed"])
@pytest.mark.parametrize("problem", [drifting, turning], ids=["drift and diffusion", "rotation"])
def test_violations_stand_out(problem: Problem, violate: Callable[[Tensor], Tensor]) -> None:
    constraint, fields, grid = problem(80, 21)
    truth, planted = (rms(constraint.residual(x, grid)) for x in (fields, violate(fields)))
    assert truth < 0.02
    assert planted > 3 * truth


def test_global_budget_misses_what_continuity_sees() -> None:
    constraint, fields, grid = turning(80, 21)
    budget = MassConservation()
    assert rms(budget.residual(jump(fields), grid)) < 1e-3
    assert rms(constraint.residual(jump(fields), grid)) > 10 * rms(constraint.residual(fields, grid))


FIELDS, GRID = torch.rand(1, 2, 3, 4, 5), Grid((1.0, 1.0), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Continuity([0.0, math.nan]), "velocity=[0.0, nan]: allowed: finite"),
        (lambda: Continuity("fast"), "velocity='fast': allowed: finite"),  # type: ignore[arg-type]
        (lambda: Continuity([0, 0], -1.0), "diffusivity=-1.0: allowed: finite numbers >= 0"),
        (lambda: Continuity([0, 0], math.inf), "diffusivity=inf: allowed"),
        (lambda: Continuity([0, 0], scale=0), "scale=0: allowed: None or a number > 0"),
        (lambda: Continuity([0, 0, 0]).residual(FIELDS, GRID), "velocity=(3,): allowed: (2,) or (2, 4, 5)"),
        (lambda: Continuity(torch.zeros(2, 5, 4)).residual(FIELDS, GRID), "velocity=(2, 5, 4): allowed"),
        (lambda: Continuity([0, 0], [1, 2, 3]).residual(FIELDS, GRID), "diffusivity=[1.0, 2.0, 3.0]: allowed: one"),
        (lambda: Continuity([0, 0], source=lambda c: c[..., :3]).residual(FIELDS, GRID), "source='torch.float32"),
        (lambda: Continuity([0, 0]).residual(FIELDS[0], GRID), "fields=torch.float32 (2, 3, 4, 5): allowed"),
        (lambda: Continuity([0, 0]).residual(FIELDS[:, :, :1], GRID), "at least 2 frames"),
        (lambda: Continuity([0, 0]).residual(FIELDS / 0, GRID), "fields='NaN or Inf': allowed: finite values"),
        (lambda: Continuity([0, 0]).residual(FIELDS, None), "grid=None: allowed: a Grid"),
        (lambda: Continuity([0, 0]).residual(FIELDS, Grid((1, 1), 1, "open")), "boundary='open': allowed: no-flux"),
        (lambda: Continuity([0, 0]).residual(FIELDS, Grid((1, 1), 1, "dirichlet")), "boundary='dirichlet': allowed"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        call()
