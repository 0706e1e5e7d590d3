"""Guidance inside settings that other people choose: inference mode, a strength, solvers that blow up."""

from typing import Any

import diffusers as d
import pytest
import torch
from markers import slow_except
from torch import Tensor

from physgen import guide, load_world
from physgen.constraints import MassConservation, ReactionDiffusion
from physgen.errors import ModelFailure
from physgen.guidance import DPS, TFG, Afterwards, AugmentedLagrangian, ConditionalMean, PiGDM, Projection, X0Gradient
from physgen.observables import ColourMap
from sampling.conftest import LinearSet
from sampling.test_pipelines import DYE, GRID, World, cogvideox, hunyuan, wan

# --- inference mode


def test_inference_mode_around_the_call() -> None:
    world = load_world("micro")
    prompt = "one drop of red dye diffusing quickly in water"
    observable, grid = world.observable(prompt), world.grid(prompt)
    with (
        guide(world.pipe, Projection([MassConservation()]), observable=observable, grid=grid) as log,
        torch.inference_mode(),
    ):
        world.sample(prompt, seed=0, steps=4)
    assert len(log.steps) == 4
    assert log.terminal
    assert log.terminal.residual_after["mass"] <= 1e-6


@pytest.mark.parametrize("make", slow_except({wan}, [wan, hunyuan, lambda: cogvideox(d.CogVideoXDDIMScheduler)]))
@pytest.mark.parametrize(
    "cls", [Projection, X0Gradient, Afterwards, AugmentedLagrangian, PiGDM, ConditionalMean, DPS, TFG]
)
def test_inference_mode_around_everything(make: Any, cls: Any) -> None:
    """The same corrections as without it, though every weight was made where autograd is off."""
    own: dict[Any, dict[str, Any]] = {TFG: {"recurrence": 1}, ConditionalMean: {"renoise": 0.0}}
    knobs = own.get(cls, {})

    def corrected() -> tuple[Tensor, float, Any]:
        torch.manual_seed(0)
        world, dye = make(), ColourMap(DYE.colours, DYE.background, DYE.species)
        with guide(
            world.pipe, cls([MassConservation()], start=0.75, terminal=True, **knobs), observable=dye, grid=GRID
        ) as log:
            video = world.sample(output_type="pt")
        return video, log.steps[0].correction_norm, log.certificate["mass"].satisfied

    video, norm, satisfied = corrected()
    with torch.inference_mode():
        again, same, held = corrected()
    assert norm == pytest.approx(same, rel=1e-3)
    assert torch.allclose(video, again, atol=1e-3)
    assert satisfied is held is True
    assert (norm == 0) is (cls is Afterwards)


def test_inference_mode_around_a_law_that_is_fitted() -> None:
    law = ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")
    with torch.inference_mode():
        torch.manual_seed(0)
        world = wan()
        with guide(world.pipe, Projection([law], start=0.75), observable=DYE, grid=GRID) as log:
            world.sample(output_type="pt")
    assert log.dropped == 0
    assert log.certificate["reaction_diffusion"].fit


def test_weights_that_layers_share_stay_shared() -> None:
    with torch.inference_mode():
        world = wan()
        blocks = world.pipe.transformer.blocks
        blocks[0].attn1.to_k.bias = blocks[0].attn1.to_q.bias
        value = blocks[0].attn1.to_q.bias.clone()
        with guide(world.pipe, DPS([LinearSet(world.latents)])):
            world.sample()
    assert blocks[0].attn1.to_k.bias is blocks[0].attn1.to_q.bias
    assert not blocks[0].attn1.to_q.bias.is_inference()
    assert torch.equal(blocks[0].attn1.to_q.bias, value)


# --- the strength of video-to-video


def from_video(scheduler: Any = None) -> World:
    world = wan(scheduler)
    world.pipe = d.WanVideoToVideoPipeline(
        **{name: part for name, part in world.pipe.components.items() if name not in {"transformer_2"}}
    )
    world.pipe.set_progress_bar_config(disable=True)
    return world


def transformed(world: World, strength: float, **arguments: Any) -> Any:
    video = torch.rand(1, 9, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    known = {name: value for name, value in world.arguments.items() if name != "num_frames"}
    return world.pipe(
        **known, video=video, height=16, width=16, strength=strength, num_inference_steps=8,
        generator=torch.Generator().manual_seed(0), **{"output_type": "pt", **arguments},
    ).frames  # fmt: skip


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda: None,
        lambda: d.FlowMatchEulerDiscreteScheduler(shift=3.0),
        lambda: d.DDIMScheduler(clip_sample=False),
        d.PNDMScheduler,
        lambda: d.PNDMScheduler(skip_prk_steps=True),
        d.LCMScheduler,
    ],
)
def test_windows_are_fractions_of_the_steps_that_run(scheduler: Any) -> None:
    torch.manual_seed(0)
    world = from_video(scheduler())
    linear = LinearSet(world.latents)
    with guide(world.pipe, X0Gradient([linear])) as every:
        transformed(world, 0.5, output_type="latent")
    run = len(every.steps)
    assert [step.step for step in every.steps] == list(range(run))
    with guide(world.pipe, Projection([linear], start=0.5, stop=0.75)) as log:
        latents = transformed(world, 0.5, output_type="latent")
    expected = {k for k in range(run) if 0.5 <= k / run < 0.75}
    surplus = {step.step for step in log.steps} ^ expected
    assert len(surplus) <= isinstance(world.pipe.scheduler, d.PNDMScheduler)  # whose schedule holds timesteps twice
    assert log.terminal
    assert (latents - linear.project(latents, None)).abs().max() <= 1e-5 * latents.abs().max()


@pytest.mark.parametrize("strength", [0.125, 0.5, 1.0])
def test_a_late_window_has_a_step_however_few_run(strength: float) -> None:
    torch.manual_seed(0)
    world = from_video()
    with guide(world.pipe, X0Gradient([MassConservation()], stop=0.1), observable=DYE, grid=GRID) as log:
        transformed(world, strength)
    assert [step.step for step in log.steps] == [0]


def test_a_guidance_that_corrected_nothing_says_so() -> None:
    world = wan()
    guided = guide(world.pipe, X0Gradient([LinearSet(world.latents)], start=0.9))
    guided.__enter__()
    scheduler, latents = world.pipe.scheduler, torch.ones(1, *world.latents)
    scheduler.set_timesteps(4)
    scheduler.step(latents, scheduler.timesteps[0], latents)
    with pytest.warns(UserWarning, match="no step was corrected"):
        guided.__exit__(None, None, None)


# --- solvers that blow up


@pytest.mark.parametrize("settings", [{"solver_type": "bh1"}, {"predict_x0": False}])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_a_solver_that_makes_nan_is_a_failure(settings: dict[str, Any], start: float) -> None:
    torch.manual_seed(0)
    world = wan(d.UniPCMultistepScheduler(**settings))
    guidance = X0Gradient([LinearSet(world.latents)], start=start, stop=start + 0.25)
    with (
        pytest.raises(ModelFailure, match="UniPCMultistepScheduler made every sample NaN"),
        guide(world.pipe, guidance),
    ):
        world.sample(output_type="pt")
