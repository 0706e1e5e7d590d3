"""Every way in refuses the same mistakes, each in one clear error, as early as it can be known."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from physgen.constraints import Equality, Kinetics, MassConservation, PhaseOrder, ReactionDiffusion
from physgen.errors import Contradiction, InvalidArgument, ModelFailure
from physgen.grid import Grid
from physgen.guidance import DPS, TFG, AugmentedLagrangian, ConditionalMean, PiGDM, Projection, X0Gradient
from physgen.observables import ColourMap, Intensity
from physgen.sampling import PhysicsNeMoGuidance, guide, guided_denoiser, guided_velocity
from physgen.sampling.flow import sample_flow, sample_flow_heun

GRID = Grid(spacing=(2.0, 2.0), dt=0.5)
SIGMAS = torch.linspace(1, 0, 4)
Model = Callable[[Tensor], Tensor]


def noise() -> Tensor:
    return torch.randn(2, 1, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def half(x: Tensor) -> Tensor:
    return x / 2


def in_pipeline(guidance: Any, model: Model, decode: Any = None) -> Tensor:
    assert decode is None
    scheduler, x = FlowMatchEulerDiscreteScheduler(), noise()
    scheduler.set_timesteps(3)
    with guide(SimpleNamespace(scheduler=scheduler), guidance, grid=GRID):
        for t in scheduler.timesteps:
            x = scheduler.step(model(x), t, x).prev_sample
    return x


def in_physicsnemo(guidance: Any, model: Model, decode: Any = None) -> Tensor:
    return PhysicsNeMoGuidance(guidance, decode=decode, grid=GRID)(noise(), torch.full((2,), 2.0), model(noise()))


WAYS: dict[str, Callable[..., Tensor]] = {
    "guide": in_pipeline,
    "sample_flow": lambda guidance, model, decode=None: sample_flow(
        lambda x, sigma: model(x), noise(), SIGMAS, guidance=guidance, decode=decode, grid=GRID
    ),
    "sample_flow_heun": lambda guidance, model, decode=None: sample_flow_heun(
        lambda x, sigma: model(x), noise(), SIGMAS, guidance=guidance, decode=decode, grid=GRID
    ),
    "guided_denoiser": lambda guidance, model, decode=None: guided_denoiser(
        lambda x, sigma: model(x), guidance, decode=decode, grid=GRID
    )(noise(), 2.0),
    "guided_velocity": lambda guidance, model, decode=None: guided_velocity(
        lambda x, sigma: model(x), guidance, decode=decode, grid=GRID
    )(noise(), 0.5),
    "PhysicsNeMoGuidance": in_physicsnemo,
}
DECODING = [name for name in WAYS if name != "guide"]
CONTRADICTION = {"little": MassConservation(initial_mass=30.0), "much": MassConservation(initial_mass=40.0)}


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_says_nan_is_refused_at_its_first_step(way: str) -> None:
    calls = []

    def nan(x: Tensor) -> Tensor:
        calls.append(1)
        return torch.full_like(x, math.nan)

    with pytest.raises(ModelFailure, match="NaN or infinite in every sample"):
        WAYS[way](X0Gradient([MassConservation()]), nan)
    assert len(calls) == 1


def test_a_model_that_says_nan_is_refused_before_the_window_of_the_guidance() -> None:
    with pytest.raises(ModelFailure, match="infinite in every sample at step 0"):
        in_pipeline(X0Gradient([MassConservation()], start=0.9), lambda x: torch.full_like(x, math.inf))


@pytest.mark.parametrize("way", WAYS)
def test_one_sample_of_nan_does_not_stop_the_others(way: str) -> None:
    nan = torch.tensor([math.nan, 1.0]).view(2, 1, 1, 1, 1)
    result = WAYS[way](X0Gradient([MassConservation()]), lambda x: nan * x / 2)
    assert result[1].isfinite().all()


@pytest.mark.parametrize("way", WAYS)
def test_contradictions_are_refused_at_the_first_correction(way: str) -> None:
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(1)
        return x / 2

    with pytest.raises(Contradiction, match="little, much"):
        WAYS[way](Projection(CONTRADICTION), counted)
    assert len(calls) == 1


@pytest.mark.parametrize("way", DECODING)
@pytest.mark.parametrize(
    "decode", [lambda z: z[:1], lambda z: z.flatten(1), lambda z: z.long(), lambda z: z.detach().clone()]
)
def test_a_decode_of_another_kind_is_refused(way: str, decode: Any) -> None:
    with pytest.raises(InvalidArgument, match="decode"):
        WAYS[way](X0Gradient([MassConservation()]), half, decode)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_corrections_that_are_not_finite_are_dropped(way: str, value: float) -> None:
    """What comes out is what no constraint would have changed."""
    broken, idle = Equality(lambda x: value * x), Equality(lambda x: 0 * x)
    assert torch.equal(WAYS[way](X0Gradient([broken]), half), WAYS[way](X0Gradient([idle]), half))


@pytest.mark.parametrize("cls", [X0Gradient, Projection, AugmentedLagrangian, PiGDM, ConditionalMean, DPS, TFG])
def test_no_guidance_without_constraints(cls: Any) -> None:
    with pytest.raises(InvalidArgument, match="one or more constraints"):
        cls([])


@pytest.mark.parametrize(
    ("constraint", "grid", "message"),
    [
        (ReactionDiffusion("gray_scott", {"u": 1.0, "v": 1.0}, {"F": 0.04, "k": 0.06}), GRID, "1 species"),
        (Kinetics("gray_scott", {"F": 0.04, "k": 0.06}), GRID, "1 means"),
        (PhaseOrder(cell=1), GRID, "cell=1"),
        (MassConservation(inflow=[[1], [-1]]), GRID, "inflow"),
        (MassConservation(), None, "a Grid"),
        (MassConservation(), Grid(spacing=(2.0, 2.0), dt=0.5, boundary="open"), "boundary"),
    ],
)
def test_what_an_observable_does_not_give_is_refused_on_entering(constraint: Any, grid: Any, message: str) -> None:
    pipe = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler(), vae=None)
    scheduler = type(pipe.scheduler)
    with (
        pytest.raises(InvalidArgument, match=message),
        guide(pipe, X0Gradient([constraint]), observable=Intensity(), grid=grid),
    ):
        pass
    assert type(pipe.scheduler) is scheduler


@pytest.mark.parametrize(
    "constraint",
    [
        MassConservation(inflow=[0.0] * 25),
        Equality(lambda x: x.flatten(1) @ torch.ones(25 * 64 * 64, 1) - 1.0),
        Equality(lambda x: x[:, :, 24].flatten(1) - 1.0),
    ],
)
def test_constraints_of_the_real_size_are_not_refused_on_entering(constraint: Any) -> None:
    two = ColourMap([(0.5, 0.0, 0.0), (0.0, 0.5, 0.0)], (0.0, 0.0, 0.0), ("a", "b"))
    pipe = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler(), vae=SimpleNamespace())
    with guide(pipe, X0Gradient([constraint]), observable=two, grid=GRID) as log:
        assert not log.steps
