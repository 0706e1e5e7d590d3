"""Closed forms where the constraints act on the sample itself, Newton steps through a decoder."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import MassConservation, ReactionDiffusion
from physgen.equations.reaction_system import ReactionSystem
from physgen.errors import NoSolution
from physgen.grid import Grid
from physgen.guidance import Projection, X0Gradient

GRID = Grid(spacing=(0.5, 0.5), dt=1.0)


def test_without_a_decoder_it_is_the_closed_form_without_a_cap(hyperplane: Any, x0_hat: Tensor) -> None:
    hyperplane.offset = 1e3
    x0 = Projection([hyperplane]).correct(x0_hat, x_t=x0_hat, sigma=0.01)
    torch.testing.assert_close(x0, hyperplane.project(x0_hat, None))


def test_through_a_decoder_it_is_the_x0_gradient(hyperplane: Any, x0_hat: Tensor) -> None:
    arguments: dict[str, Any] = {"x_t": x0_hat, "sigma": 0.5, "decode": torch.tanh}
    projected = Projection([hyperplane], steps=2).correct(x0_hat, **arguments)
    assert torch.equal(projected, X0Gradient([hyperplane], steps=2).correct(x0_hat, **arguments))


def test_terminal_projection_conserves_mass_within_bounds() -> None:
    fields = torch.rand(2, 2, 5, 16, 16, generator=torch.Generator().manual_seed(0)) ** 3
    projected = Projection([MassConservation()]).project(fields, GRID, (0.0, 1.0))
    assert MassConservation().residual(projected, GRID).abs().max() < 1e-6
    assert 0 <= projected.min() <= projected.max() <= 1


def test_terminal_projection_leaves_samples_that_are_not_finite() -> None:
    fields = torch.rand(2, 1, 3, 4, 4)
    fields[1, 0, 0, 0, 0] = math.nan
    projected = Projection([MassConservation()]).project(fields, GRID)
    assert torch.equal(projected[1].nan_to_num(), fields[1].nan_to_num())
    assert MassConservation().residual(projected[:1], GRID).abs().max() < 1e-6


def test_a_sample_without_a_solution_is_named() -> None:
    """du/dt = u^2 is infinite at t = 1 / u."""
    explosion = ReactionDiffusion(ReactionSystem(["u"], [], ["u**2"]), {"u": 0.0}, form="flow_map")
    fields = torch.tensor([0.01, 1.5], dtype=torch.float64).view(2, 1, 1, 1).expand(2, 1, 6, 4)
    grid = Grid((1.0,), 0.4)
    guidance = Projection([explosion])
    with pytest.raises(NoSolution, match=r"samples \[1\]: nothing near them satisfies reaction_diffusion"):
        guidance.project(fields, grid)
    found = guidance.projection(fields, grid).fields
    assert explosion.residual(found[:1], grid).abs().max() < 1e-9
    assert found[1].isnan().all()
