"""x0* reaches the end of the trajectory of every scheduler, or the terminal projection does."""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers as d
import pytest
import torch
from markers import slow_except
from torch import Tensor

from physgen.constraints import Constraint, MassConservation
from physgen.errors import InvalidArgument
from physgen.guidance import TFG, Correction, Guidance, Projection, X0Gradient
from physgen.sampling import guide
from physgen.sampling.predictions import prediction

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),  # diffusers with numpy 2
    pytest.mark.filterwarnings("ignore:.algorithm_types:FutureWarning"),
]
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
STABLE_DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
COGVIDEOX = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
SHAPE = (4, 5, 4, 4)
Linear = Callable[[Sequence[int]], Constraint]


@dataclass(frozen=True)
class Case:
    scheduler: Any
    exact: bool
    arguments: dict[str, Any]

    def make(self) -> Any:
        return self.scheduler(**self.arguments)


def exact(scheduler: Any, **arguments: Any) -> Case:
    return Case(scheduler, True, arguments)


def inexact(scheduler: Any, **arguments: Any) -> Case:
    return Case(scheduler, False, arguments)


CASES = {
    "euler": exact(d.FlowMatchEulerDiscreteScheduler, shift=3.0),
    "euler-stochastic": exact(d.FlowMatchEulerDiscreteScheduler, shift=3.0, stochastic_sampling=True),
    "euler-terminal-shift": exact(d.FlowMatchEulerDiscreteScheduler, shift_terminal=0.1),
    "euler-karras-flow": exact(d.FlowMatchEulerDiscreteScheduler, use_karras_sigmas=True),
    "heun-flow": exact(d.FlowMatchHeunDiscreteScheduler, shift=3.0),
    "unipc-flow": exact(d.UniPCMultistepScheduler, **FLOW),
    "unipc-flow-3": exact(d.UniPCMultistepScheduler, solver_order=3, **FLOW),
    "unipc-epsilon": exact(d.UniPCMultistepScheduler),
    "unipc-v": exact(d.UniPCMultistepScheduler, prediction_type="v_prediction"),
    "unipc-x0": exact(d.UniPCMultistepScheduler, prediction_type="sample"),
    "unipc-sigma-min": inexact(d.UniPCMultistepScheduler, final_sigmas_type="sigma_min"),
    "dpm-1": exact(d.DPMSolverMultistepScheduler, solver_order=1),
    "dpm-2": exact(d.DPMSolverMultistepScheduler, solver_order=2),
    "dpm-3": exact(d.DPMSolverMultistepScheduler, solver_order=3),
    "dpm-v": exact(d.DPMSolverMultistepScheduler, prediction_type="v_prediction"),
    "dpm-karras": exact(d.DPMSolverMultistepScheduler, use_karras_sigmas=True),
    "dpm-sde": exact(d.DPMSolverMultistepScheduler, algorithm_type="sde-dpmsolver++"),
    "dpm-flow": exact(d.DPMSolverMultistepScheduler, **FLOW),
    "dpm-flow-sde": exact(d.DPMSolverMultistepScheduler, algorithm_type="sde-dpmsolver++", **FLOW),
    "dpm-sigma-min": inexact(d.DPMSolverMultistepScheduler, final_sigmas_type="sigma_min"),
    "dpm-flow-sigma-min": inexact(d.DPMSolverMultistepScheduler, final_sigmas_type="sigma_min", **FLOW),
    "dpm-noise": inexact(d.DPMSolverMultistepScheduler, algorithm_type="dpmsolver", final_sigmas_type="sigma_min"),
    "dpm-thresholding": inexact(d.DPMSolverMultistepScheduler, thresholding=True),
    "dpm-single": exact(d.DPMSolverSinglestepScheduler, lower_order_final=True),
    "dpm-single-3": exact(d.DPMSolverSinglestepScheduler, lower_order_final=True, solver_order=3),
    "dpm-single-flow": exact(d.DPMSolverSinglestepScheduler, lower_order_final=True, **FLOW),
    "deis": inexact(d.DEISMultistepScheduler),
    "pndm": inexact(d.PNDMScheduler, skip_prk_steps=True),
    "pndm-runge-kutta": inexact(d.PNDMScheduler),
    "ddim": exact(d.DDIMScheduler, clip_sample=False),
    "ddim-v-zero-snr": exact(
        d.DDIMScheduler,
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    ),
    "ddim-clip": inexact(d.DDIMScheduler),
    "ddim-stable-diffusion": inexact(
        d.DDIMScheduler, clip_sample=False, set_alpha_to_one=False, steps_offset=1, **STABLE_DIFFUSION
    ),
    "ddim-parallel": exact(d.DDIMParallelScheduler, clip_sample=False),
    "ddpm-parallel": exact(d.DDPMParallelScheduler, clip_sample=False),
    "ddpm": exact(d.DDPMScheduler, clip_sample=False),
    "ddpm-clip": inexact(d.DDPMScheduler),
    "lcm": exact(d.LCMScheduler),
    "lcm-boundary": exact(d.LCMScheduler, timestep_scaling=0.01),
    "flow-lcm": exact(d.FlowMatchLCMScheduler, shift=3.0),
    "flow-ancestral": exact(d.LTXEulerAncestralRFScheduler),
    "tcd": inexact(d.TCDScheduler),
    "tcd-v": inexact(d.TCDScheduler, prediction_type="v_prediction"),
    "sa": inexact(d.SASolverScheduler),
    "sa-v": inexact(d.SASolverScheduler, prediction_type="v_prediction"),
    "sa-x0": inexact(d.SASolverScheduler, prediction_type="sample"),
    "sa-flow": inexact(d.SASolverScheduler, **FLOW),
    "sa-noise": inexact(d.SASolverScheduler, algorithm_type="noise_prediction"),
    "edm": exact(d.EDMEulerScheduler),
    "edm-v": exact(d.EDMEulerScheduler, prediction_type="v_prediction"),
    "edm-dpm": exact(d.EDMDPMSolverMultistepScheduler),
    "edm-dpm-3": exact(d.EDMDPMSolverMultistepScheduler, solver_order=3),
    "edm-sigma-min": inexact(d.EDMDPMSolverMultistepScheduler, final_sigmas_type="sigma_min"),
    "euler-epsilon": exact(d.EulerDiscreteScheduler),
    "euler-v": exact(d.EulerDiscreteScheduler, prediction_type="v_prediction"),
    "euler-karras": exact(d.EulerDiscreteScheduler, use_karras_sigmas=True),
    "euler-beta": exact(d.EulerDiscreteScheduler, use_beta_sigmas=True),
    "euler-ancestral": exact(d.EulerAncestralDiscreteScheduler),
    "heun": exact(d.HeunDiscreteScheduler),
    "heun-v": exact(d.HeunDiscreteScheduler, prediction_type="v_prediction"),
    "lms": exact(d.LMSDiscreteScheduler),
    "kdpm2": exact(d.KDPM2DiscreteScheduler),
    "kdpm2-ancestral": exact(d.KDPM2AncestralDiscreteScheduler),
    "cogvideox-ddim": exact(d.CogVideoXDDIMScheduler, **COGVIDEOX),
    "cogvideox-dpm": exact(d.CogVideoXDPMScheduler, **COGVIDEOX),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
#: one case of each class
OF_A_CLASS = {case.scheduler: name for name, case in CASES.items()}.values()
each_class = pytest.mark.parametrize(
    "case", {case.scheduler: case for case in CASES.values()}.values(), ids=lambda case: case.scheduler.__name__
)


def loop(scheduler: Any, x: Tensor, steps: int = 0) -> Tensor:
    """What a pipeline does with its scheduler, with a model that says noise."""
    if steps:
        scheduler.set_timesteps(steps)
    x = (x * float(getattr(scheduler, "init_noise_sigma", 1.0))).to(x.dtype)
    old: Tensor | None = None
    for i, t in enumerate(scheduler.timesteps):
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(x, t)
        output = torch.randn(x.shape, generator=torch.Generator().manual_seed(i)).to(x.dtype)
        if isinstance(scheduler, d.CogVideoXDPMScheduler):
            back = scheduler.timesteps[i - 1] if i else None
            x, old = scheduler.step(output, old, t, back, x, return_dict=False)
        else:
            x = scheduler.step(output, t, x, return_dict=False)[0]
    return x


def noise(batch: int = 1) -> Tensor:
    return torch.randn(batch, *SHAPE, generator=torch.Generator().manual_seed(0))


def error_to(constraint: Constraint, x: Tensor) -> float:
    return float((x - constraint.project(x, None)).abs().max() / x.abs().max())


def inside(scheduler: Any) -> SimpleNamespace:
    return SimpleNamespace(scheduler=scheduler)


@each
def test_the_corrected_sample_is_what_comes_out(case: Case, scripted: Callable[[Tensor], Guidance]) -> None:
    scheduler, target = case.make(), 3 * torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    with guide(inside(scheduler), scripted(target)):
        error = float((loop(scheduler, noise(2), 20) - target).abs().max() / target.abs().max())
    assert (error <= 1e-5) is case.exact, error


@pytest.mark.parametrize("name", slow_except(OF_A_CLASS, CASES))
def test_terminal_projection_is_exact_everywhere(name: str, linear_set: Linear) -> None:
    scheduler, constraint = CASES[name].make(), linear_set(SHAPE)
    with guide(inside(scheduler), Projection([constraint])) as log:
        latents = loop(scheduler, noise(2), 20)
    assert error_to(constraint, latents) <= 1e-5
    assert log.dropped == 0
    assert len(log.steps) == len(scheduler.timesteps)
    assert log.terminal
    assert log.terminal.residual_after["linear"] <= log.terminal.residual_before["linear"] + 1e-5


def test_how_many_are_exact() -> None:
    assert (sum(case.exact for case in CASES.values()), len(CASES)) == (46, 65)


@each
def test_the_prediction_is_the_schedulers_own(case: Case) -> None:
    """Where a step gives away the clean sample that it predicts, it is p sample + q model_output."""
    scheduler = case.make()
    if scheduler.config.get("thresholding") or scheduler.config.get("clip_sample"):
        pytest.skip("the step changes it")
    scheduler.set_timesteps(8)
    x = noise() * float(getattr(scheduler, "init_noise_sigma", 1.0))
    for t in scheduler.timesteps:
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(x, t)
        at, output = prediction(scheduler, t), torch.randn_like(x)
        arguments = (output, None, t, None, x) if isinstance(scheduler, d.CogVideoXDPMScheduler) else (output, t, x)
        expected = at.x0(x, output)
        x, *given = scheduler.step(*arguments, return_dict=False)
        if scheduler.config.get("algorithm_type", "").endswith("++"):
            given = scheduler.model_outputs[-1:]
        if isinstance(scheduler, d.SASolverScheduler) and scheduler.predict_x0:
            given = scheduler.model_outputs[-1:]
        if not given or isinstance(scheduler, d.TCDScheduler):
            pytest.skip("the step does not give it away")
        assert (expected - given[0]).abs().max() <= 1e-4 * given[0].abs().max()


@each
def test_guidance_sees_the_convention_of_flow_matching(case: Case) -> None:
    """A model that knows the truth: x_t = (1 - sigma) x0 + sigma e, at every step."""
    scheduler, truth, seen = case.make(), noise(), []

    class Watching(X0Gradient):
        def correction(self, x0_hat: Tensor, **arguments: Any) -> Correction:
            sigma, x_t = arguments["sigma"], arguments["x_t"]
            seen.append((sigma, float(((x_t - (1 - sigma) * truth) / sigma).std())))
            return Correction(truth.clone(), {}, 0.0, 0)

    with guide(inside(scheduler), Watching([MassConservation()])):
        loop(scheduler, torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(7)), 10)
    assert all(0 < sigma <= 1 for sigma, _ in seen)
    assert seen[0][0] >= 0.7
    assert 0.8 < seen[0][1] < 1.2


@each_class
def test_bfloat16_latents_stay_bfloat16(case: Case, linear_set: Linear) -> None:
    scheduler, constraint = case.make(), linear_set(SHAPE)
    with guide(inside(scheduler), Projection([constraint])):
        latents = loop(scheduler, noise().bfloat16(), 8)
    assert latents.dtype == torch.bfloat16
    assert error_to(constraint, latents) <= torch.finfo(torch.bfloat16).eps


@each_class
def test_copies_are_guided_and_the_class_comes_back(case: Case, linear_set: Linear) -> None:
    scheduler, constraint = case.make(), linear_set(SHAPE)
    cls = type(scheduler)
    with guide(inside(scheduler), Projection([constraint])) as log:
        copied = copy.deepcopy(scheduler)
        latents = loop(copied, noise(), 8)
        assert type(copied) is type(scheduler) is not cls
        assert isinstance(copied, cls)
    assert type(scheduler) is cls
    assert error_to(constraint, latents) <= 1e-5
    assert len(log.steps) == len(copied.timesteps)


@each_class
def test_saving_writes_the_plain_class(case: Case, linear_set: Linear, tmp_path: Path) -> None:
    scheduler = case.make()
    cls = type(scheduler)
    with guide(inside(scheduler), Projection([linear_set(SHAPE)])):
        scheduler.save_pretrained(tmp_path)
        with pytest.warns(UserWarning, match="without guidance"):
            assert type(type(scheduler).from_config(scheduler.config)) is cls
    assert json.loads((tmp_path / "scheduler_config.json").read_text())["_class_name"] == cls.__name__
    assert type(cls.from_pretrained(tmp_path)) is cls


@each_class
def test_without_correction_a_step_is_the_schedulers_own(case: Case, linear_set: Linear) -> None:
    class Idle(X0Gradient):
        def correction(self, x0_hat: Tensor, **_: Any) -> Correction:
            return Correction(x0_hat, {}, 0.0, 0)

    results = []
    for guidance in (None, Idle([linear_set(SHAPE)])):
        scheduler = case.make()
        torch.manual_seed(0)
        if guidance is None:
            results.append(loop(scheduler, noise(), 8))
        else:
            with guide(inside(scheduler), guidance):
                results.append(loop(scheduler, noise(), 8))
    assert torch.equal(*results)


@each_class
def test_a_model_that_says_nan_is_counted_and_goes_on(case: Case, linear_set: Linear) -> None:
    scheduler, constraint = case.make(), linear_set(SHAPE)
    x = noise(2)
    x[1, 0, 0, 0, 0] = torch.nan
    with guide(inside(scheduler), Projection([constraint])) as log:
        latents = loop(scheduler, x, 8)
    assert error_to(constraint, latents[:1]) <= 1e-5
    assert latents[1].isnan().any()
    assert [entry.dropped for entry in log.steps] == [1] * len(scheduler.timesteps)


# --- new noise


def test_new_noise_in_the_step(linear_set: Linear) -> None:
    """x_s' = (1 - s') x0* + s' (sqrt(1 - eta) e* + sqrt(eta) xi), at the first step of two."""
    scheduler, constraint, x = CASES["euler"].make(), linear_set(SHAPE), noise()
    scheduler.set_timesteps(2)
    v, xi = torch.randn_like(x), torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    following = float(scheduler.sigmas[1])
    x0 = constraint.project(x - v, None)
    expected = (1 - following) * x0 + following * (0.6**0.5 * x + 0.4**0.5 * xi)
    with guide(inside(scheduler), Projection([constraint], renoise=0.4), generator=torch.Generator().manual_seed(9)):
        got = scheduler.step(v, scheduler.timesteps[0], x).prev_sample
        assert torch.allclose(got, expected, atol=1e-5)
        last = scheduler.step(v, scheduler.timesteps[1], got).prev_sample
    assert error_to(constraint, last) <= 1e-5


@pytest.mark.parametrize("name", ["euler-stochastic", "unipc-flow", "heun-flow", "ddim"])
def test_new_noise_is_refused_where_there_is_a_history(name: str, linear_set: Linear) -> None:
    scheduler = CASES[name].make()
    with (
        pytest.raises(InvalidArgument, match="history"),
        guide(inside(scheduler), Projection([linear_set(SHAPE)], renoise=0.4)),
    ):
        pass


def test_recurrence_is_refused(linear_set: Linear) -> None:
    with (
        pytest.raises(InvalidArgument, match="repeat a sigma"),
        guide(inside(CASES["euler"].make()), TFG([linear_set(SHAPE)], recurrence=2)),
    ):
        pass


# --- a run


def test_state_is_reset_at_the_first_step_of_each_run(linear_set: Linear) -> None:
    class Stateful(Projection):
        resets: tuple[str, ...] = ()

        def reset(self) -> None:
            self.resets += ("reset",)

    guidance, scheduler = Stateful([linear_set(SHAPE)]), CASES["ddim"].make()
    with guide(inside(scheduler), guidance):
        for run in (1, 2, 3):
            loop(scheduler, noise(), 4)
            assert len(guidance.resets) == run


@pytest.mark.parametrize("name", ["euler-epsilon", "heun-flow"])
def test_churn_is_refused(name: str, linear_set: Linear) -> None:
    scheduler, x = CASES[name].make(), noise()
    scheduler.set_timesteps(4)
    with pytest.raises(InvalidArgument, match="s_churn"), guide(inside(scheduler), Projection([linear_set(SHAPE)])):
        scheduler.step(x, scheduler.timesteps[0], x, s_churn=0.5)


def test_a_learned_variance_is_refused(linear_set: Linear) -> None:
    scheduler, x = CASES["ddpm"].make(), noise()
    scheduler.set_timesteps(4)
    with (
        pytest.raises(InvalidArgument, match="model_output"),
        guide(inside(scheduler), Projection([linear_set(SHAPE)])),
    ):
        scheduler.step(torch.cat([x, x], 1), scheduler.timesteps[0], x)


def test_unknown_schedulers_are_named_with_what_is_allowed(linear_set: Linear) -> None:
    with (
        pytest.raises(InvalidArgument, match=r"DDIMInverseScheduler.*FlowMatchEulerDiscreteScheduler.*CogVideoXDPM"),
        guide(inside(d.DDIMInverseScheduler()), Projection([linear_set(SHAPE)])),
    ):
        pass


def cosmos_2() -> Any:
    """As its pipeline sets it."""
    scheduler = d.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    scheduler.register_to_config(sigma_max=80.0, sigma_min=0.002)
    return scheduler


def test_noise_levels_of_flow_matching_beyond_1_are_refused_on_entering() -> None:
    guidance = X0Gradient([MassConservation()], start=0.5)
    with pytest.raises(InvalidArgument, match=r"sigma_max=80.*0 to 1"), guide(inside(cosmos_2()), guidance):
        pass


def test_noise_levels_of_flow_matching_beyond_1_are_refused_before_the_window_of_the_guidance() -> None:
    scheduler, x = d.FlowMatchEulerDiscreteScheduler(), noise()
    scheduler.set_timesteps(sigmas=[5.0, 2.0, 0.5])
    with (
        pytest.raises(InvalidArgument, match=r"sigma=5.*0 to 1"),
        guide(inside(scheduler), X0Gradient([MassConservation()], start=0.6)),
    ):
        scheduler.step(x, scheduler.timesteps[0], x)
