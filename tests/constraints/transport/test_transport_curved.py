"""The nearest flow along curved paths: of exact flows, of vessels that bend, and where there is none."""

import math

import numpy as np
import pytest
import torch
from carried_fields import Velocity, carried, rotation, taylor_green

from physgen.constraints import Transport
from physgen.constraints.transport.characteristics import along_paths, traced
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.simulators import blood, mitosis, vessel

LAW = Transport(form="curved")


def distances(velocity: Velocity, cells: int, boundary: str) -> tuple[float, float, float]:
    """Of an exact solution from its projection, by the true flow and by the one found; and the error of the latter."""
    dt, inner = 0.05, (..., slice(cells // 8, -cells // 8), slice(cells // 8, -cells // 8))
    fields, v, grid = carried(velocity, cells, 9, dt, boundary, species=2)
    pixels = v * dt * cells
    near = along_paths(fields[0], traced(pixels, 8, boundary == "periodic"), boundary == "periodic")[None]
    found, flow = LAW.project(fields, grid), LAW.velocity(fields, grid)[0, 0]
    rms = [float((x - fields)[inner].square().mean().sqrt() / fields.std()) for x in (near, found)]
    return rms[0], rms[1], float((flow - v)[inner].square().mean().sqrt() / v.square().mean().sqrt())


@pytest.mark.parametrize(("velocity", "boundary"), [(rotation, "open"), (taylor_green, "periodic")])
def test_projection_converges(velocity: Velocity, boundary: str) -> None:
    coarse, fine = (distances(velocity, cells, boundary) for cells in (24, 48))
    orders = [math.log2(a / b) for a, b in zip(coarse, fine, strict=True)]
    assert min(orders) > 2, orders
    assert fine[0] < 0.005
    assert fine[1] < 0.007
    assert fine[2] < 0.01


def test_rotation_is_read_and_half_of_it_turned_round_is_not() -> None:
    fields, _, grid = carried(rotation, 32, 9, 0.05, "open")
    assert LAW.describe(fields, grid)["vorticity"][0] == pytest.approx(2.0, rel=0.1)
    assert LAW.satisfied(fields, grid, 0.0).all()
    back = torch.cat([fields[:, :, :4], fields[:, :, 4:].flip(2)], 2)
    assert not LAW.satisfied(back, grid, 0.0).any()


def test_projection_is_nearly_idempotent_and_takes_noise_away() -> None:
    fields, _, grid = carried(rotation, 32, 9, 0.05, "open")
    generator = torch.Generator().manual_seed(0)
    noisy = fields + 0.3 * torch.randn(fields.shape, generator=generator, dtype=fields.dtype)
    once = LAW.project(noisy, grid)
    assert (LAW.project(once, grid) - once).square().mean() < 0.1 * (once - noisy).square().mean()
    assert (once - fields).square().mean() < 0.5 * (noisy - fields).square().mean()


def test_gradient_descends() -> None:
    """The gradient holds the paths, differences find the flow anew: equal if it made the loss least."""
    fields, _, grid = carried(rotation, 24, 5, 0.05, "open", species=2)
    generator = torch.Generator().manual_seed(0)
    fields = fields + 0.2 * torch.randn(fields.shape, generator=generator, dtype=fields.dtype)
    x = fields.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(LAW.loss(x, grid).sum(), x)
    step = 1e-4 * gradient / gradient.norm()
    change = float((LAW.loss(fields + step, grid) - LAW.loss(fields - step, grid)).sum() / 2e-4)
    assert change == pytest.approx(float(gradient.norm()), rel=0.03)


def test_vessels_that_bend_and_split() -> None:
    clips = vessel.simulate(6, rng=np.random.default_rng(0))
    assert {attribute["shape"] for attribute in clips.attributes} == {"straight", "curved", "branching"}
    fields = torch.from_numpy(clips.fields[:, :1])
    assert LAW.satisfied(fields, clips.grid, 0.0).all()
    assert min(LAW.describe(fields, clips.grid)["explained"]) > 0.98
    half = torch.cat([fields[:, :, :12], fields[:, :, 12:].flip(2)], 2)
    assert not LAW.satisfied(half, clips.grid, 0.0).any()


def test_agrees_with_rows_where_a_vessel_is_straight() -> None:
    clips = blood.simulate(1, rng=np.random.default_rng(11))
    fields = torch.from_numpy(clips.fields[:, :1])
    rows, curves = (Transport(form=form).project(fields, clips.grid) for form in ("steady", "curved"))
    assert (rows - curves).square().mean().sqrt() < 0.01
    fits = [Transport(form=form).fit(fields, clips.grid) for form in ("steady", "curved")]
    assert fits[1].measured == [True]
    assert fits[1].values["speed"][0] == pytest.approx(fits[0].values["speed"][0], rel=0.1)


def test_refuses_where_there_is_none() -> None:
    noise = torch.rand(1, 1, 25, 32, 32, generator=torch.Generator().manual_seed(0))
    cell = torch.from_numpy(mitosis.simulate(1, rng=np.random.default_rng(0)).fields[:, :1])
    for fields in (noise, cell):
        with pytest.raises(NoSolution, match="steady flow explains"):
            LAW.project(fields, Grid((1.0, 1.0), 1.0))
    still = torch.rand(1, 1, 1, 8, 8).expand(1, 1, 5, 8, 8)
    torch.testing.assert_close(LAW.project(still, Grid((1.0, 1.0), 1.0)), still)
    with pytest.raises(InvalidArgument, match="velocity='general': allowed: stream"):
        Transport("general", form="curved")
