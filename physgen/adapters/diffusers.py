"""Guidance inside any diffusers pipeline, which stays unmodified."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Guidance
from physgen.guidance.base import keep_finite, rms
from physgen.observables import Observable


@dataclass
class GuidanceLog:
    """What guidance did in the pipeline calls inside one `with guide(...)`.

    `steps`: for each corrected step, step, sigma, residual {constraint: RMS before the correction}, correction_norm
    (RMS, latent units), dropped and seconds. `terminal`, of the last call: moved_rms (video in [0, 1]), dropped,
    residual_before and residual_after {constraint: RMS}. `dropped`: samples whose correction was not finite, summed.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    terminal: dict[str, Any] = field(default_factory=dict)
    dropped: int = 0


@dataclass
class _Session:
    """One `with guide(...)`; `open` until it is left, for copies of the scheduler that outlive it."""

    guidance: Guidance
    vae: Any
    observable: Observable | None
    grid: Grid | None
    log: GuidanceLog = field(default_factory=GuidanceLog)
    open: bool = True

    def observe(self, video: Tensor) -> Tensor:
        """Fields of a video in [0, 1]."""
        assert self.observable is not None
        fields = self.observable(video)
        expected = (len(video), len(self.observable.species), *video.shape[2:])
        if fields.shape != expected:
            raise InvalidArgument("observable", f"fields {list(fields.shape)}", f"fields {list(expected)}")
        return fields

    def decode(self, latents: Tensor) -> Tensor:
        """Fields of normalised latents, without the clamp of the decoder where the autoencoder offers that."""
        if latents.ndim != 5:
            raise InvalidArgument("latents", list(latents.shape), "pipelines with latents [B, C, T, H, W]")

        def channels(name: str, default: float) -> Tensor | float:
            values = getattr(self.vae.config, name, None)
            return default if values is None else latents.new_tensor(values).view(1, -1, 1, 1, 1)

        scale = channels("latents_std", 1.0) / getattr(self.vae.config, "scaling_factor", 1.0)
        z = (latents * scale + channels("latents_mean", 0.0)).to(self.vae.dtype)
        if hasattr(self.vae, "decode_unclamped"):
            video = self.vae.decode_unclamped(z)
        else:
            video = self.vae.decode(z, return_dict=False)[0]
        return self.observe((video.float() + 1) / 2)

    def guided_velocity(self, step: int, sigma: float, x_t: Tensor, v: Tensor) -> Tensor:
        """v* = (x_t - x0*) / sigma, written so that v* is v where x0* is x0_hat."""
        started = time.perf_counter()
        x0_hat = x_t - sigma * v
        decode = None if self.observable is None else self.decode
        correction = self.guidance.correction(x0_hat, x_t=x_t, sigma=sigma, decode=decode, grid=self.grid)
        self.log.dropped += correction.dropped
        self.log.steps.append(
            {
                "step": step,
                "sigma": sigma,
                "residual": correction.residuals,
                "correction_norm": correction.norm,
                "dropped": correction.dropped,
                "seconds": time.perf_counter() - started,
            }
        )
        return v - (correction.x0 - x0_hat) / sigma

    def step(
        self, base: Any, scheduler: Any, model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """`base.step` with v* in the place of the model output v."""
        if kwargs.get("per_token_timesteps") is not None:
            raise InvalidArgument("per_token_timesteps", "a tensor", "None inside guide(...)")
        if scheduler.step_index is None:
            scheduler._init_step_index(timestep)
        sigma = float(scheduler.sigmas[scheduler.step_index])
        active = sigma > 0 and self.guidance.active(scheduler.step_index, len(scheduler.sigmas) - 1)
        dtype = torch.promote_types(sample.dtype, torch.float32)
        if not active and sample.dtype == dtype:
            return base.step(scheduler, model_output, timestep, sample, *args, **kwargs)
        x_t, v = sample.to(dtype), model_output.to(dtype)  # every step: multistep schedulers cannot mix dtypes
        if active:
            v = self.guided_velocity(scheduler.step_index, sigma, x_t, v)
        result = base.step(scheduler, v, timestep, x_t, *args, **kwargs)
        if isinstance(result, tuple):
            return (result[0].to(sample.dtype), *result[1:])
        result.prev_sample = result.prev_sample.to(sample.dtype)
        return result

    def project(self, video: Tensor) -> Tensor:
        """The nearest float32 video in [0, 1] that satisfies the constraints."""
        assert self.observable is not None
        with torch.autocast(video.device.type, enabled=False):
            video = (video.float() / 2 + 0.5).clamp(0, 1)
            fields = self.observe(video)
            target = self.guidance.project(fields, self.grid)
            projected, dropped = keep_finite(self.observable.embed(video, target).clamp(0, 1), video)
            self.log.dropped += dropped
            self.log.terminal = {
                "moved_rms": rms(projected - video),
                "residual_before": self.guidance.measure(fields, self.grid)[1],
                "residual_after": self.guidance.measure(self.observe(projected), self.grid)[1],
                "dropped": dropped,
            }
        return projected


def _guided_scheduler(base: Any, session: _Session) -> type:
    """A subclass of the scheduler's class, of the same name: `isinstance`, copies and saving go on working."""

    @functools.wraps(base.step)
    def step(self: Any, model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        run = functools.partial(session.step, base, self) if session.open else functools.partial(base.step, self)
        return run(model_output, timestep, sample, *args, **kwargs)

    def from_config(cls: type, *args: Any, **kwargs: Any) -> Any:
        warnings.warn(f"{base.__name__}.from_config makes a scheduler without guidance", stacklevel=2)
        return base.from_config(*args, **kwargs)

    return _renamed(base, session, step=step, from_config=classmethod(from_config))


def _projecting_processor(base: Any, session: _Session) -> type:
    """A subclass of the video processor's class that projects the decoded video."""

    @functools.wraps(base.postprocess_video)
    def postprocess_video(self: Any, video: Tensor, output_type: str = "np", **kwargs: Any) -> Any:
        if session.open:
            video = session.project(video)
            kwargs["do_denormalize"] = [False] * video.shape[2]
        return base.postprocess_video(self, video, output_type, **kwargs)

    return _renamed(base, session, postprocess_video=postprocess_video)


def _renamed(base: type, session: _Session, **members: Any) -> type:
    names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    return type(base.__name__, (base,), {**names, "guidance_session": session, **members})


@contextmanager
def _swapped_class(instance: Any, cls: type) -> Iterator[None]:
    original = type(instance)
    instance.__class__ = cls
    try:
        yield
    finally:
        instance.__class__ = original


def _predicts_flow(scheduler: Any) -> bool:
    """Whether x0_hat = x_t - sigma v with sigma = sigmas[step_index]."""
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return not scheduler.config.invert_sigmas
    if isinstance(scheduler, UniPCMultistepScheduler):
        return scheduler.config.use_flow_sigmas and scheduler.config.prediction_type == "flow_prediction"
    return False


def _unguided_class(component: Any) -> type:
    """The class of a scheduler or video processor, unless a `guide` that has not been left swapped it."""
    cls = type(component)
    session = getattr(cls, "guidance_session", None)
    if session is None:
        return cls
    if session.open:
        raise InvalidArgument("pipe", cls.__name__, "pipelines that are not already inside guide(...)")
    return cls.__mro__[1]


def _required(pipe: Any, component: str) -> Any:
    found = getattr(pipe, component, None)
    if found is None:
        raise InvalidArgument("pipe", type(pipe).__name__, f"diffusers pipelines with a {component}")
    return found


@contextmanager
def guide(
    pipe: Any, guidance: Guidance, *, observable: Observable | None = None, grid: Grid | None = None
) -> Iterator[GuidanceLog]:
    """Guide every call of a diffusers pipeline inside the `with` block.

    x0_hat = x_t - sigma v;  x0* = guidance(x0_hat);  v* = (x_t - x0*) / sigma goes into the scheduler's own step

    with x_t the latents [B, C, T, H, W], sigma the noise level in [0, 1], the arithmetic in float32. Constraints see
    the fields [B, S, T, H, W] that `observable` reads from the decoded video in [0, 1], on `grid`; without one they see
    the latents. A `terminal` guidance also projects the decoded video, which comes back as float32 in [0, 1].
    The pipeline's scheduler and video processor get their classes back on leaving; copies of the scheduler made inside
    are guided inside.

    Raises:
        InvalidArgument: a pipeline that is guided already or lacks a component, a scheduler that does not predict flow.

    Source: flow matching, Lipman et al., arXiv:2210.02747.

    >>> import torch
    >>> from types import SimpleNamespace
    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import Projection
    >>> pipe = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler())
    >>> pipe.scheduler.set_timesteps(2)
    >>> latents = torch.rand(1, 1, 2, 4, 4, generator=torch.manual_seed(0))
    >>> with guide(pipe, Projection([MassConservation()]), grid=Grid(spacing=(1.0, 1.0), dt=1.0)) as log:
    ...     for t in pipe.scheduler.timesteps:
    ...         latents = pipe.scheduler.step(torch.zeros_like(latents), t, latents).prev_sample
    >>> mass = latents.sum((1, 3, 4))[0]
    >>> bool((mass[0] - mass[1]).abs() < 1e-5), len(log.steps)
    (True, 2)
    """
    scheduler = _required(pipe, "scheduler")
    scheduler_class = _unguided_class(scheduler)
    if not _predicts_flow(scheduler):
        allowed = "FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler with use_flow_sigmas and flow_prediction"
        raise InvalidArgument("scheduler", scheduler_class.__name__, allowed)
    vae = None if observable is None else _required(pipe, "vae")
    session = _Session(guidance, vae, observable, grid)
    projects = guidance.terminal and observable is not None
    with ExitStack() as stack:
        if projects:
            processor = _required(pipe, "video_processor")
            swap = _projecting_processor(_unguided_class(processor), session)
            stack.enter_context(_swapped_class(processor, swap))
        stack.enter_context(_swapped_class(scheduler, _guided_scheduler(scheduler_class, session)))
        try:
            yield session.log
        finally:
            session.open = False
    if pipe.scheduler is not scheduler:
        warnings.warn("the scheduler was replaced inside guide(...): its steps were not guided", stacklevel=3)
    if projects and session.log.steps and not session.log.terminal:
        warnings.warn("no video was decoded inside guide(...): the terminal projection did not run", stacklevel=3)
