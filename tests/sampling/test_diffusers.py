"""Guidance inside real diffusers classes, at a size where a call takes a fraction of a second."""

import copy
import inspect
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
)
from diffusers.utils.torch_utils import randn_tensor
from markers import slow_except
from torch import Tensor, nn

from physgen.constraints import Constraint, Equality, MassConservation, ReactionDiffusion
from physgen.constraints.fit import Fit
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import (
    AugmentedLagrangian,
    ConditionalMean,
    PiGDM,
    Projection,
    Replacement,
    Step,
    Update,
    X0Gradient,
)
from physgen.observables import ColourMap
from physgen.sampling import guide
from sampling.conftest import LinearSet
from sampling.test_pipelines import wan

GRID = Grid(spacing=(2.0, 2.0), dt=0.5)
DYE = ColourMap([(0.05, 0.88, 0.15)], background=(0.04, 0.04, 0.04), species=("dye",))
LATENTS = (16, 3, 2, 2)
SCHEDULERS: dict[str, Callable[[], Any]] = {
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc": lambda: UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, solver_order=3
    ),
}


class NotANumber(Constraint):
    name = "nan"
    projects = True

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return math.nan * fields.flatten(1)

    def project(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return math.nan * fields


class Scripted(X0Gradient):
    """x0* is a fixed tensor, whatever the model says."""

    def __init__(self, target: Tensor) -> None:
        super().__init__([NotANumber()])
        self.target = target

    def update(self, step: Step) -> Update:
        return Update(self.target.expand_as(step.x0).clone(), {})


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    pipe = wan().pipe
    return {"transformer": pipe.transformer, "vae": pipe.vae}


@pytest.fixture(params=slow_except({"euler"}, SCHEDULERS))
def pipe(request: pytest.FixtureRequest, models: dict[str, nn.Module]) -> WanPipeline:
    pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=SCHEDULERS[request.param](), **models)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sample(pipe: WanPipeline, output_type: str = "latent", batch: int = 1, **arguments: Any) -> Any:
    embeds = torch.randn(2, batch, 8, 32, generator=torch.Generator().manual_seed(5))
    defaults = {
        "prompt_embeds": embeds[0],
        "negative_prompt_embeds": embeds[1],
        "height": 16,
        "width": 16,
        "num_frames": 9,
        "num_inference_steps": 4,
        "generator": torch.Generator().manual_seed(0),
    }
    return pipe(**{**defaults, "output_type": output_type, **arguments}).frames


def in_unit_interval(frames: Any) -> Tensor:
    """[B, 3, T, H, W] float video out of what the pipeline gave."""
    if isinstance(frames, Tensor):
        return frames.permute(0, 2, 1, 3, 4)
    return torch.from_numpy(frames).permute(0, 4, 1, 2, 3)


# --- what reaches the end of the trajectory


def test_final_latent_is_the_corrected_one(pipe: WanPipeline) -> None:
    target = 3 * torch.randn(1, *LATENTS, generator=torch.Generator().manual_seed(1))
    with guide(pipe, Scripted(target)):
        latents = sample(pipe)
    assert (latents - target).abs().max() <= 1e-5


@pytest.mark.parametrize("batch", [1, 3])
def test_final_latent_lies_in_a_linear_set_exactly(pipe: WanPipeline, batch: int) -> None:
    constraint = LinearSet(LATENTS)
    with guide(pipe, Projection([constraint])) as log:
        latents = sample(pipe, batch=batch)
    assert (latents - constraint.project(latents, None)).abs().max() <= 1e-5
    assert [entry.step for entry in log.steps] == [0, 1, 2, 3]
    sigmas = pipe.scheduler.sigmas[:-1].tolist()
    assert [entry.sigma for entry in log.steps] == sigmas
    assert all(entry.residual["linear"] > 0 and entry.seconds > 0 for entry in log.steps)
    assert log.terminal
    assert log.terminal.residual_after["linear"] < 1e-5


@pytest.mark.parametrize("steps", [2, 5, 21])
def test_exact_for_any_number_of_steps(pipe: WanPipeline, steps: int) -> None:
    constraint = LinearSet(LATENTS)
    with guide(pipe, Projection([constraint])) as log:
        latents = sample(pipe, num_inference_steps=steps)
    assert len(log.steps) == steps
    assert (latents - constraint.project(latents, None)).abs().max() <= 1e-5


def test_stochastic_euler_ends_on_the_constraint(models: dict[str, nn.Module]) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=True)
    pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=scheduler, **models)
    constraint = LinearSet(LATENTS)
    with guide(pipe, Projection([constraint])):
        latents = sample(pipe)
    assert (latents - constraint.project(latents, None)).abs().max() <= 1e-5


# --- nothing else changes


def test_unguided_output_is_the_same_after_leaving(pipe: WanPipeline) -> None:
    classes = type(pipe.scheduler), type(pipe.video_processor)
    before = sample(pipe, "pt")
    with guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID):
        assert not torch.equal(sample(pipe, "pt"), before)
    assert torch.equal(sample(pipe, "pt"), before)
    assert (type(pipe.scheduler), type(pipe.video_processor)) == classes


def test_classes_come_back_after_an_error(pipe: WanPipeline) -> None:
    classes = type(pipe.scheduler), type(pipe.video_processor)
    with (
        pytest.raises(KeyError, match="mine"),
        guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID),
    ):
        raise KeyError("mine")
    assert (type(pipe.scheduler), type(pipe.video_processor)) == classes


def test_a_window_shorter_than_a_step_is_one_step(pipe: WanPipeline) -> None:
    before = sample(pipe)
    with guide(pipe, X0Gradient([LinearSet(LATENTS)], start=0.8, stop=0.9)) as log:
        assert not torch.equal(sample(pipe), before)
    assert len(log.steps) == 1


def test_steps_before_the_window_are_not_touched(pipe: WanPipeline) -> None:
    def third(pipe: WanPipeline) -> Tensor:
        seen: list[Tensor] = []

        def keep(_: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            seen.append(tensors["latents"].clone())
            return {}

        sample(pipe, callback_on_step_end=keep)
        return seen[2]

    before = third(pipe)
    with guide(pipe, X0Gradient([LinearSet(LATENTS)], start=0.75)) as log:
        assert torch.equal(third(pipe), before)
    assert [entry.step for entry in log.steps] == [3]


@pytest.mark.parametrize("observable", [None, DYE])
def test_nan_constraint_changes_nothing_and_is_counted(pipe: WanPipeline, observable: ColourMap | None) -> None:
    before = sample(pipe, "pt", batch=2)
    with guide(pipe, Projection([NotANumber()]), observable=observable, grid=GRID) as log:
        after = sample(pipe, "pt", batch=2)
    assert torch.equal(after, before)
    assert [entry.dropped for entry in log.steps] == [2] * 4
    assert log.dropped == 8 + 2


def test_parameters_collect_no_gradients(pipe: WanPipeline) -> None:
    with guide(pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID) as log:
        latents = sample(pipe)
    assert not latents.requires_grad
    assert log.steps[-1].correction_norm > 0
    for model in (pipe.vae, pipe.transformer):
        assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_one_decode_per_inner_step(pipe: WanPipeline) -> None:
    calls = []
    pipe.vae.post_quant_conv.register_forward_hook(lambda *_: calls.append(1))
    with guide(pipe, X0Gradient([MassConservation()], steps=2, every=2), observable=DYE, grid=GRID):
        sample(pipe)
    assert len(calls) == 2 * 2


@pytest.mark.parametrize("cls", slow_except({PiGDM}, [AugmentedLagrangian, PiGDM, ConditionalMean]))
def test_second_derivatives_go_through_the_attention_of_an_autoencoder(models: dict[str, nn.Module], cls: Any) -> None:
    pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=SCHEDULERS["euler"](), **models)
    with guide(pipe, cls([MassConservation()], start=0.75), observable=DYE, grid=GRID) as log:
        sample(pipe, "pt")
    assert log.dropped == 0
    assert log.steps[-1].correction_norm > 0


# --- several constraints


def test_constraints_that_pull_against_each_other_are_told(pipe: WanPipeline) -> None:
    laws = [
        Equality(lambda x: x.mean((1, 2, 3, 4)) - 0.9, "more"),
        Equality(lambda x: x.mean((1, 2, 3, 4)) + 0.9, "less"),
        Equality(lambda x: x[:, 0, 0, 0, :1] - 0.5, "corner"),
    ]
    with guide(pipe, X0Gradient(laws), observable=DYE, grid=GRID) as log:
        sample(pipe, "pt")
    assert log.conflicts == {"more, less": pytest.approx(-1, abs=1e-3)}
    assert all(set(entry.cosine) == {"more, less", "more, corner", "less, corner"} for entry in log.steps)
    assert json.loads(json.dumps([step.as_json() for step in log.steps]))


def test_a_contradiction_that_shows_only_at_the_end_leaves_the_video(pipe: WanPipeline) -> None:
    """Constants that are fitted may come to agree until then."""

    class Fitted(MassConservation):
        holds = True

        def __init__(self, initial_mass: float) -> None:
            super().__init__(initial_mass)
            self.held = False

        @property
        def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
            return () if self.held else ("something",)

        def fit(self, fields: Tensor, grid: Grid | None) -> Fit:
            return Fit({"something": [0.0] * len(fields)})

        def with_constants(self, constants: Any) -> MassConservation:
            law = copy.copy(self)
            law.held = True
            return law

    laws = {"little": Fitted(100.0), "much": Fitted(300.0)}
    unguided = sample(pipe, "pt")
    with (
        pytest.warns(UserWarning, match=r"left out.*little, much"),
        guide(pipe, Projection(laws, start=0.75), observable=DYE, grid=GRID) as log,
    ):
        video = in_unit_interval(sample(pipe, "pt"))
    assert video.isfinite().all()
    assert video.shape == in_unit_interval(unguided).shape
    assert log.terminal
    assert "little, much" in str(log.terminal.contradiction)
    assert not any(entry.satisfied for entry in log.certificate.values())
    assert log.terminal.moved_rms == 0
    assert log.dropped == 1


# --- precision


@pytest.mark.parametrize("window", [{}, {"stop": 0.5}, {"start": 0.5}, {"start": 0.25, "stop": 0.75}])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_bfloat16_latents_stay_bfloat16(name: str, window: dict[str, float]) -> None:
    scheduler, constraint = SCHEDULERS[name](), LinearSet(LATENTS)
    scheduler.set_timesteps(8)
    pipe = WanPipeline(tokenizer=None, text_encoder=None, vae=None, transformer=None, scheduler=scheduler)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, *LATENTS, generator=generator).bfloat16()
    with guide(pipe, Projection([constraint], **window)):  # type: ignore[arg-type]
        for t in scheduler.timesteps:
            velocity = torch.randn(2, *LATENTS, generator=generator).bfloat16()
            latents = scheduler.step(velocity, t, latents, return_dict=False)[0]
            assert latents.dtype == torch.bfloat16
    if "stop" not in window:
        rounding = torch.finfo(torch.bfloat16).eps * latents.abs().max()
        assert (latents - constraint.project(latents, None)).abs().max() <= rounding


def test_a_bfloat16_model_does_not_cost_precision(models: dict[str, nn.Module]) -> None:
    half = {name: copy.deepcopy(model).to(torch.bfloat16) for name, model in models.items()}
    for make in SCHEDULERS.values():
        pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=make(), **half)
        constraint = LinearSet(LATENTS)
        with guide(pipe, Projection([constraint])):
            latents = sample(pipe)
        assert (latents - constraint.project(latents, None)).abs().max() <= 1e-5
        with guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID) as log:
            video = in_unit_interval(sample(pipe, "pt"))
        assert video.dtype == torch.float32
        assert MassConservation().residual(DYE(video), GRID).abs().max() <= 1e-6
        assert log.dropped == 0


# --- the scheduler is still what it was


def test_scheduler_keeps_its_type_and_signature(pipe: WanPipeline) -> None:
    cls = type(pipe.scheduler)
    signature = inspect.signature(cls.step)
    with guide(pipe, Projection([LinearSet(LATENTS)])):
        guided = type(pipe.scheduler)
        assert guided is not cls
        assert isinstance(pipe.scheduler, cls)
        assert (guided.__name__, guided.__module__) == (cls.__name__, cls.__module__)
        assert inspect.signature(guided.step) == signature


def test_copies_are_guided_and_logged_inside_only(pipe: WanPipeline) -> None:
    constraint = LinearSet(LATENTS)
    before = sample(pipe)
    original = pipe.scheduler
    with guide(pipe, Projection([constraint])) as log:
        pipe.scheduler = copied = copy.deepcopy(original)
        latents = sample(pipe)
        pipe.scheduler = original
    assert (latents - constraint.project(latents, None)).abs().max() <= 1e-5
    assert len(log.steps) == 4
    pipe.scheduler = copied
    assert torch.equal(sample(pipe), before)
    with guide(pipe, Projection([constraint])):
        latents = sample(pipe)
    assert (latents - constraint.project(latents, None)).abs().max() <= 1e-5


def test_save_pretrained_writes_the_real_class(pipe: WanPipeline, tmp_path: Path) -> None:
    cls = type(pipe.scheduler)
    with guide(pipe, Projection([LinearSet(LATENTS)])):
        pipe.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "scheduler" / "scheduler_config.json").read_text())
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert config["_class_name"] == cls.__name__
    assert index["scheduler"] == ["diffusers", cls.__name__]
    assert type(cls.from_pretrained(tmp_path / "scheduler")) is cls


def test_from_config_warns_that_guidance_is_lost(pipe: WanPipeline) -> None:
    cls = type(pipe.scheduler)
    with guide(pipe, Projection([LinearSet(LATENTS)])):
        with pytest.warns(UserWarning, match="without guidance"):
            made = type(pipe.scheduler).from_config(pipe.scheduler.config)
        assert type(made) is cls


def test_a_replaced_scheduler_is_reported(pipe: WanPipeline) -> None:
    cls = type(pipe.scheduler)
    guided = guide(pipe, Projection([LinearSet(LATENTS)]))
    log = guided.__enter__()
    pipe.scheduler = cls.from_config(pipe.scheduler.config)
    sample(pipe)
    with pytest.warns(UserWarning, match="replaced"):
        guided.__exit__(None, None, None)
    assert not log.steps


# --- the finished video


@pytest.mark.parametrize("output_type", ["pt", "np"])
@pytest.mark.parametrize("batch", slow_except({2}, [1, 2]))
def test_finished_video_conserves_mass_in_float32(pipe: WanPipeline, output_type: str, batch: int) -> None:
    unguided = in_unit_interval(sample(pipe, output_type, batch=batch))
    with guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID) as log:
        video = in_unit_interval(sample(pipe, output_type, batch=batch))
    assert video.dtype == torch.float32
    assert video.shape == (batch, 3, 9, 16, 16)
    assert 0 <= video.min() <= video.max() <= 1
    mass = MassConservation()
    assert mass.residual(DYE(unguided), GRID).abs().max() > 1e-4
    assert mass.residual(DYE(video), GRID).abs().max() <= 1e-6
    assert log.terminal
    assert log.terminal.residual_after["mass"] <= 1e-6 < log.terminal.residual_before["mass"]
    assert 0 < log.terminal.moved_rms < 0.1
    assert json.loads(json.dumps([*(step.as_json() for step in log.steps), log.terminal.as_json()]))


def test_video_stays_in_range_and_the_log_is_honest_where_colours_cannot_add_up(models: dict[str, nn.Module]) -> None:
    pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=SCHEDULERS["euler"](), **models)
    dyes = ColourMap([(0.6, 0.0, 0.0), (0.6, 0.5, 0.0)], background=(0.0, 0.0, 0.0), species=("a", "b"))
    full = MassConservation(initial_mass=0.95 * 16 * 16 * GRID.cell_area)
    with guide(pipe, Projection([full], start=0.75), observable=dyes, grid=GRID) as log:
        video = in_unit_interval(sample(pipe, "pt"))
    assert 0 <= video.min() <= video.max() <= 1
    residual = full.residual(dyes(video), GRID).square().mean().sqrt()
    assert log.terminal
    assert log.terminal.residual_after["mass"] == pytest.approx(float(residual))
    assert residual > 1e-3


@pytest.mark.parametrize("law", [ReactionDiffusion("diffusion", fitted=["D"], form="flow_map"), MassConservation()])
def test_the_video_that_comes_out_is_certified(pipe: WanPipeline, law: Any) -> None:
    with guide(pipe, Projection([law], start=0.75), observable=DYE, grid=GRID) as log:
        video = in_unit_interval(sample(pipe, "pt", batch=2))
    report = log.certificate[law.name]
    assert report.tolerance is not None
    assert report.residual_max <= report.tolerance
    kept = law.with_constants(report.fit)
    residual = kept.residual(DYE(video.double()), GRID)
    assert float(residual.abs().max()) == pytest.approx(report.residual_max, rel=1e-6)
    assert log.terminal
    assert report.residual_rms == log.terminal.residual_after[law.name] <= max(1e-6, 2 * report.rounding)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_latents_are_certified_as_they_are_returned(dtype: torch.dtype) -> None:
    scheduler, constraint = SCHEDULERS["euler"](), LinearSet(LATENTS)
    scheduler.set_timesteps(2)
    pipe = WanPipeline(tokenizer=None, text_encoder=None, vae=None, transformer=None, scheduler=scheduler)
    latents = torch.randn(2, *LATENTS, generator=torch.Generator().manual_seed(0)).to(dtype)
    with guide(pipe, Projection([constraint])) as log:
        for t in scheduler.timesteps:
            latents = scheduler.step(torch.ones_like(latents), t, latents, return_dict=False)[0]
    report = log.certificate["linear"]
    assert latents.dtype == dtype
    assert report.residual_max == pytest.approx(float(constraint.residual(latents.double(), None).abs().max()))
    assert report.residual_max == pytest.approx(report.rounding_max)
    assert report.residual_max >= torch.finfo(dtype).eps / 10
    assert report.satisfied is True


def test_pictures_come_out_as_pictures(pipe: WanPipeline) -> None:
    with guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID):
        frames = sample(pipe, "pil")
    assert len(frames[0]) == 9
    assert frames[0][0].size == (16, 16)


def test_guidance_that_is_not_terminal_leaves_the_video_alone(pipe: WanPipeline) -> None:
    processor = type(pipe.video_processor)
    with guide(pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID) as log:
        sample(pipe, "pt")
    assert not log.terminal
    assert type(pipe.video_processor) is processor


def test_projection_that_did_not_run_is_reported(pipe: WanPipeline) -> None:
    with (
        pytest.warns(UserWarning, match="terminal projection did not run"),
        guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID),
    ):
        sample(pipe, "latent")


def test_a_projection_is_that_of_the_last_call(pipe: WanPipeline) -> None:
    with (
        pytest.warns(UserWarning, match="terminal projection did not run"),
        guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID) as log,
    ):
        assert all(len(sample(pipe, kind)) for kind in ("pt", "latent"))
    assert not log.terminal


def test_no_warnings_otherwise(pipe: WanPipeline) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with guide(pipe, Projection([MassConservation()]), observable=DYE, grid=GRID):
            sample(pipe, "pt")


def test_guidance_decodes_as_the_pipeline_does(models: dict[str, nn.Module]) -> None:
    """The first residual of a one-step guided run is that of the video the unguided run gives."""
    pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=SCHEDULERS["euler"](), **models)
    video = in_unit_interval(sample(pipe, "pt", num_inference_steps=1))
    expected = MassConservation().residual(DYE(video), GRID).square().mean().sqrt()
    with guide(pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID) as log:
        sample(pipe, "pt", num_inference_steps=1)
    assert log.steps[0].residual["mass"] == pytest.approx(float(expected), rel=1e-4)


def test_unclamped_decode_is_preferred(models: dict[str, nn.Module]) -> None:
    class Unclamped(AutoencoderKLWan):
        def decode_unclamped(self, z: Tensor) -> Tensor:
            self.calls = getattr(self, "calls", 0) + 1
            return z.mean(1, keepdim=True).expand(-1, 3, -1, -1, -1)

    vae = Unclamped.from_config(models["vae"].config)
    pipe = WanPipeline(
        tokenizer=None,
        text_encoder=None,
        scheduler=SCHEDULERS["euler"](),
        vae=vae,
        transformer=models["transformer"],
    )
    with guide(pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID) as log:
        sample(pipe)
    assert vae.calls == len(log.steps) == 4


# --- refusals


def test_guiding_twice_is_refused(pipe: WanPipeline) -> None:
    guidance = Projection([LinearSet(LATENTS)])
    with guide(pipe, guidance):
        with pytest.raises(InvalidArgument, match="already inside guide"), guide(pipe, guidance):
            pass
        sharing = WanPipeline(**pipe.components)
        with pytest.raises(InvalidArgument, match="already inside guide"), guide(sharing, guidance):
            pass
    with guide(pipe, guidance) as log:
        sample(pipe)
    assert len(log.steps) == 4


def test_pipeline_without_scheduler_is_refused() -> None:
    for pipe in (object(), nn.Identity()):
        with pytest.raises(InvalidArgument, match="scheduler"), guide(pipe, Projection([LinearSet(LATENTS)])):
            pass


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.DDIMInverseScheduler(),
        diffusers.UniPCMultistepScheduler(use_flow_sigmas=True),
        diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction"),
        diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_schedulers_of_unknown_prediction_are_refused(models: dict[str, nn.Module], scheduler: Any) -> None:
    pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=scheduler, **models)
    cls = type(scheduler)
    with pytest.raises(InvalidArgument, match=cls.__name__), guide(pipe, Projection([LinearSet(LATENTS)])):
        pass
    assert type(pipe.scheduler) is cls


def test_observable_needs_an_autoencoder(models: dict[str, nn.Module]) -> None:
    pipe = WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=None,
        scheduler=SCHEDULERS["euler"](),
        transformer=models["transformer"],
    )
    with pytest.raises(InvalidArgument, match="vae"), guide(pipe, Projection([LinearSet(LATENTS)]), observable=DYE):
        pass


def test_tokens_instead_of_video_latents_are_refused(pipe: WanPipeline) -> None:
    pipe.scheduler.set_timesteps(4)
    tokens = torch.randn(1, 12, 16)
    with (
        pytest.raises(InvalidArgument, match="latents"),
        guide(pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID),
    ):
        pipe.scheduler.step(tokens, pipe.scheduler.timesteps[0], tokens)


def test_observable_of_another_shape_is_refused(pipe: WanPipeline) -> None:
    class Thumbnail(ColourMap):
        def __call__(self, video: Tensor) -> Tensor:
            return super().__call__(video)[..., ::2, ::2]

    thumbnail = Thumbnail(DYE.colours, DYE.background, DYE.species)
    with (
        pytest.raises(InvalidArgument, match="observable"),
        guide(pipe, X0Gradient([MassConservation()]), observable=thumbnail, grid=GRID),
    ):
        sample(pipe)


def test_timesteps_per_token_are_refused(models: dict[str, nn.Module]) -> None:
    pipe = WanPipeline(tokenizer=None, text_encoder=None, scheduler=SCHEDULERS["euler"](), **models)
    pipe.scheduler.set_timesteps(4)
    x = torch.randn(1, *LATENTS)
    with pytest.raises(InvalidArgument, match="per_token_timesteps"), guide(pipe, Projection([LinearSet(LATENTS)])):
        pipe.scheduler.step(x, pipe.scheduler.timesteps[0], x, per_token_timesteps=torch.ones(1, 4))


def renoised(seeds: list[int], generator: Any = None) -> torch.Tensor:
    """Latents of a run from noise of these seeds, half of the first frame known, the rest with new noise."""
    known = torch.full((1, 1, 2, 4, 4), torch.nan)
    known[:, :, :1] = 0.5
    pipe = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler())
    pipe.scheduler.set_timesteps(4)
    x = torch.cat([torch.randn(1, 1, 2, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    with guide(pipe, Replacement(known, renoise=0.9), generator=generator):
        for t in pipe.scheduler.timesteps:
            x = pipe.scheduler.step(0.3 * x, t, x).prev_sample
    return x


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_new_noise_repeats_without_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []

    def kept(*arguments: Any, **options: Any) -> torch.Tensor:
        drawn.append(randn_tensor(*arguments, **options))
        return drawn[-1]

    monkeypatch.setattr("physgen.sampling.session.randn_tensor", kept)
    assert torch.equal(renoised([0]), renoised([0]))
    assert not torch.equal(renoised([0]), renoised([0], *seeded(1)))
    drawn.clear()
    renoised([0])
    count = len(drawn)
    renoised([1])
    assert count == len(drawn) / 2 > 0
    assert not any(torch.equal(one, other) for one, other in zip(drawn[:count], drawn[count:], strict=True))


def test_with_a_generator_a_video_a_sample_of_a_batch_is_that_drawn_alone() -> None:
    both = renoised([0, 1], seeded(5, 6))
    torch.testing.assert_close(both[:1], renoised([0], seeded(5)))
    torch.testing.assert_close(both[1:], renoised([1], seeded(6)))
    torch.testing.assert_close(both[1:], renoised([1], *seeded(6)))


@pytest.mark.parametrize("given", [seeded(0, 1, 2), []])
def test_as_many_generators_as_videos(given: list[torch.Generator]) -> None:
    with pytest.raises(InvalidArgument, match=rf"generator='a list of {len(given)}': allowed: one, or a list of 2"):
        renoised([0, 1], given)
