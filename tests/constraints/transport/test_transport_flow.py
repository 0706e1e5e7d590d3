"""Flows found in what they carry: exact solutions, the gradient, units, walls."""

import math
from typing import Any

import pytest
import torch
from carried_fields import Velocity, carried, drift, rotation, shear, taylor_green
from torch import Tensor

from physgen.constraints import Transport
from physgen.constraints.transport.motion import Motion
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import X0Gradient


def errors(velocity: Velocity, cells: int, dt: float, boundary: str, **options: Any) -> tuple[float, float]:
    """Relative error of v, away from the border, and what is left of the motion, root mean squares."""
    fields, truth, grid = carried(velocity, cells, 3, dt, boundary)
    law, edge = Transport(walls="periodic" if boundary == "periodic" else "free", **options), cells // 8
    found = law.velocity(fields, grid)[0].mean(0)
    error = (found - truth)[:, edge:-edge, edge:-edge].square().mean() / truth.square().mean()
    left = law.residual(fields, grid)[..., :-1].square().mean()
    return math.sqrt(error), math.sqrt(left)


@pytest.mark.parametrize(
    ("velocity", "boundary"),
    [(drift, "periodic"), (shear, "periodic"), (taylor_green, "periodic"), (rotation, "open")],
    ids=["drift", "shear", "Taylor-Green", "rotation"],
)
def test_velocity_and_residual_converge_in_space(velocity: Velocity, boundary: str) -> None:
    coarse, fine = (errors(velocity, cells, 0.04, boundary) for cells in (16, 32))
    orders = [math.log2(a / b) for a, b in zip(coarse, fine, strict=True)]
    assert min(orders) > 1.7, orders
    assert fine[0] < 0.07
    assert fine[1] < 0.04


@pytest.mark.slow
def test_velocity_and_residual_converge_in_time() -> None:
    slow, fast = (errors(taylor_green, 96, dt, "periodic") for dt in (0.15, 0.3))
    orders = [math.log2(b / a) for a, b in zip(slow, fast, strict=True)]
    assert min(orders) > 1.4, orders
    assert slow[0] < 0.02


@pytest.mark.parametrize("walls", ["free", "no-slip", "periodic"])
def test_stream_function_has_no_divergence(walls: str) -> None:
    fields = torch.rand(1, 2, 3, 12, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid = Grid((1.0, 1.5), 0.1, "periodic" if walls == "periodic" else "open")
    v = Transport(walls=walls).velocity(fields, grid)[0]
    along_y = (v[:, 0, 2:, 1:-1] - v[:, 0, :-2, 1:-1]) / (2 * 1.0)
    along_x = (v[:, 1, 1:-1, 2:] - v[:, 1, 1:-1, :-2]) / (2 * 1.5)
    assert v.abs().max() > 0.1
    assert (along_y + along_x).abs().max() < 1e-12 * v.abs().max()


def test_vorticity_of_a_solid_body_and_dilation_of_a_source() -> None:
    fields, _, grid = carried(rotation, 32, 3, 0.1, "open")
    read = Transport().describe(fields, grid)
    assert read["vorticity"][0] == pytest.approx(2.0, rel=0.15)
    assert read["divergence"][0] < 0.15
    assert read["explained"][0] > 0.99
    y, x = torch.meshgrid(*[torch.arange(32.0, dtype=torch.float64) - 15.5] * 2, indexing="ij")

    def spread(t: int) -> Tensor:
        part = math.exp(-0.05 * t)
        return part**2 * (2 + torch.sin(0.6 * part * x) * torch.cos(0.5 * part * y))

    growing = torch.stack([spread(t) for t in range(3)])[None, None]
    grid = Grid((1.0, 1.0), 1.0, "open")
    found = Transport("general").velocity(growing, grid)[0, 0]
    assert (Motion(False, "free", 32, 32, (1.0, 1.0)).dilation(found[None])[0, 6:-6, 6:-6] - 0.1).abs().mean() < 0.02
    assert Transport("general").describe(growing, grid)["explained"][0] > 0.99
    assert Transport("stream").describe(growing, grid)["explained"][0] < 0.5


@pytest.mark.parametrize(
    "options",
    [{}, {"steady": True}, {"walls": "no-slip"}, {"velocity": "general", "steady": True, "gain": True}],
    ids=["stream", "steady", "no-slip", "general with gain"],
)
def test_gradient_is_that_of_the_least_loss(options: dict[str, Any]) -> None:
    """Envelope theorem: differences of the loss, the flow found anew for each, agree with the gradient at one flow."""
    fields, _, grid = carried(taylor_green, 24, 3, 0.1, species=2)
    check_gradient(Transport(**options), noisy(fields, 0.05), grid, 2e-4)


def test_gradient_of_the_nearest_steady_flow() -> None:
    fields, _, grid = carried(shear, 24, 6, 0.1, species=2)
    check_gradient(Transport(form="steady"), noisy(fields, 0.05), grid, 1e-6)


def noisy(fields: Tensor, size: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return fields + size * torch.randn(fields.shape, generator=generator, dtype=fields.dtype)


def check_gradient(law: Transport, fields: Tensor, grid: Grid, tolerance: float) -> None:
    seen, step = fields.clone().requires_grad_(), 1e-5
    (gradient,) = torch.autograd.grad(law.loss(seen, grid).sum(), seen)
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        way = torch.randn(fields.shape, generator=generator, dtype=fields.dtype)
        difference = (law.loss(fields + step * way, grid) - law.loss(fields - step * way, grid)).sum() / (2 * step)
        assert float(difference) == pytest.approx(float((gradient * way).sum()), rel=tolerance)


def test_guidance_descends_and_does_not_fade_the_video() -> None:
    fields, _, grid = carried(taylor_green, 24, 4, 0.05, species=1)
    law, seen = Transport(steady=True), noisy(fields, 0.5)
    guided = X0Gradient({"flow": law}).correct(seen, x_t=seen, sigma=0.5, grid=grid)
    assert law.loss(guided, grid) < 0.8 * law.loss(seen, grid)
    x = seen.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(law.loss(x, grid).sum(), x)
    assert abs(float((gradient * seen).sum())) < 1e-6 * float(gradient.norm() * seen.norm())


def test_gain_explains_flicker() -> None:
    fields, truth, grid = carried(taylor_green, 32, 4, 0.05)
    bright = (fields + 5) * torch.tensor([1.0, 1.1, 0.95, 1.0], dtype=torch.float64).view(4, 1, 1)
    plain, gained = (Transport(walls="periodic", gain=gain) for gain in (False, True))
    assert gained.describe(bright, grid)["explained"][0] > 0.99
    assert plain.describe(bright, grid)["explained"][0] < 0.5
    assert (gained.velocity(bright, grid)[0] - truth).square().mean() < 0.01 * truth.square().mean()


def test_walls() -> None:
    fields, _, grid = carried(taylor_green, 32, 3, 0.1)
    edges = {}
    for walls in ("free", "no-slip"):
        v = Transport(walls=walls).velocity(fields, grid)[0, 0]
        edges[walls] = float(torch.cat([v[1, 0], v[1, -1], v[0, :, 0], v[0, :, -1]]).abs().mean())
        crossing = float(torch.cat([v[0, 0], v[0, -1]]).abs().max())
    assert crossing == 0
    assert edges["no-slip"] < 0.8 * edges["free"]


def test_adjoints() -> None:
    generator = torch.Generator().manual_seed(0)
    for stream in (True, False):
        for walls in ("free", "no-slip", "periodic"):
            motion = Motion(stream, walls, 7, 6, (2.0, 0.5))
            z, d, q = (
                torch.randn(*shape, generator=generator, dtype=torch.float64)
                for shape in ((2, motion.unknowns), (2, 2, 7, 6), (2, 7, 6))
            )
            torch.testing.assert_close((motion.displacement(z) * d).sum(), (z * motion.transposed(d)).sum())
            torch.testing.assert_close((motion.dilation(d) * q).sum(), (d * motion.transposed_dilation(q)).sum())


FIELDS, GRID = torch.rand(1, 1, 3, 6, 6), Grid((1.0, 1.0), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Transport("curl"), "velocity='curl': allowed: stream, general"),
        (lambda: Transport(walls="open"), "walls='open': allowed: free, no-slip, periodic"),
        (lambda: Transport(form="slow"), "form='slow': allowed: frames, steady"),
        (lambda: Transport(direction="east"), "direction='east': allowed: None, down, up, right, left"),
        (lambda: Transport(smoothness=0), "smoothness=0: allowed: a number > 0"),
        (lambda: Transport(form="steady").residual(FIELDS, GRID), "boundary='no-flux': allowed: periodic"),
        (lambda: Transport().residual(FIELDS[..., :3], GRID), "at least four cells"),
        (lambda: Transport().residual(FIELDS[:, :, :1], GRID), "at least 2 frames"),
        (lambda: Transport().residual(FIELDS / 0, GRID), "fields='NaN or Inf'"),
        (lambda: Transport().residual(FIELDS, None), "grid=None"),
    ],
)
def test_refuses(call: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        call()
    assert message in str(refused.value)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (4.0, 1.0), (1.0, 4.0)])
@pytest.mark.parametrize("speed", [1.5, 4.5, 11.0])
def test_pixels_that_are_no_squares_alias_nothing(spacing: tuple[float, float], speed: float) -> None:
    x, t = torch.arange(64, dtype=torch.float64), torch.arange(6, dtype=torch.float64)[:, None]
    wave = torch.sin(2 * torch.pi * (x - speed * t) / 16)[None, None, :, None].expand(1, 1, 6, 64, 64)
    found = Transport(form="steady").fit(wave + 2, Grid(spacing, 1.0, "periodic"))
    assert found.measured == [speed < 8]
