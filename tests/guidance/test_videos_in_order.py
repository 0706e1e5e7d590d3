"""Videos of the embedded world end with their phases in order."""

import numpy as np
import torch

from physgen import guide, load_world
from physgen.constraints import MassConservation, PhaseOrder
from physgen.guidance import X0Gradient
from physgen.guidance.problem import Problem
from physgen.guidance.solve.feasible import feasible
from physgen.simulators.mitosis import GRID, simulate

PROMPT = "mitosis of a human cell with red dna, vertical division"


def test_a_guided_video_ends_in_order() -> None:
    world, order = load_world("micro"), PhaseOrder()
    observable, grid = world.observable(PROMPT), world.grid(PROMPT)
    assert not order.satisfied(observable(world.sample(PROMPT, seed=2, steps=2)), grid).any()
    early = X0Gradient([order], stop=0.4, terminal=True)  # the last step leaves the order to the projection
    with guide(world.pipe, early, observable=observable, grid=grid) as log:
        video = world.sample(PROMPT, seed=2, steps=2)
    assert video.dtype == torch.float32
    assert 0 <= video.min() <= video.max() <= 1
    assert order.violations(observable(video), grid)[0].illegal == []
    assert order.satisfied(observable(video), grid).all()
    assert log.terminal
    assert 0 < log.terminal.moved_rms < 0.02
    assert log.dropped == 0


def test_order_and_mass_hold_together() -> None:
    fields = torch.from_numpy(simulate(1, rng=np.random.default_rng(3)).fields[:, :1])
    fields[:, :, [6, 12]] = fields[:, :, [12, 6]]
    mass, order = MassConservation(), PhaseOrder()
    found = feasible(Problem({"order": order, "mass": mass}, grid=GRID), fields.double())
    assert order.satisfied(found, GRID).all()
    assert mass.residual(found, GRID).abs().max() < 1e-9


def test_a_sample_that_cannot_be_repaired_is_left_alone() -> None:
    fields = torch.from_numpy(simulate(2, rng=np.random.default_rng(4)).fields[:, :1, ::3])
    fields[1] = 0
    order = PhaseOrder(start="prometaphase")
    found = feasible(Problem({"order": order}, grid=GRID), fields)
    assert order.satisfied(found[:1], GRID).all()
    assert found[1].isnan().all()
