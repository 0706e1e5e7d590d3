"""What happens inside one `with guide(...)`."""

from __future__ import annotations

import functools
import hashlib
import inspect
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument, ModelFailure
from physgen.grid import Grid
from physgen.guidance import Guidance, GuidanceLog, StepRecord, TerminalRecord
from physgen.projected import project_video, terminal_record
from physgen.sampling.calls import split_latents
from physgen.sampling.competition import Competition
from physgen.sampling.decoding.decoder import Decoder
from physgen.sampling.network import Recorder
from physgen.sampling.predictions import Prediction, first_step, position, prediction
from physgen.sampling.rows import LivingRows
from physgen.sampling.search import Search
from physgen.sampling.swap import renamed_subclass
from physgen.tensors import finite_samples, keep_finite, rms


@dataclass
class Session:
    """One `with guide(...)`; `open` until it is left, for copies of the scheduler that outlive it.

    `schedule` makes of a scheduler without a history, that is not one of diffusers', the one that makes the same steps.
    `precision` is that of the network's weights. `own`, seeded by the starting noise, draws for want of
    a `generator`.
    `first` is the latent frame that the network saw in the place of the scheduler's first one, see `watched`.
    """

    guidance: Guidance
    pipeline: str
    decode: Decoder | None
    grid: Grid | None
    generator: torch.Generator | list[torch.Generator] | None = None
    precision: torch.dtype | None = None
    recorder: Recorder | None = None
    competition: Competition | None = None
    search: Search | None = None
    schedule: Callable[[Any, Any], Any] | None = None
    first: Tensor | None = None
    log: GuidanceLog = field(default_factory=GuidanceLog)
    own: torch.Generator = field(default_factory=torch.Generator)
    open: bool = True
    upcoming: tuple[int, int] | None = None
    skipped: int = 0

    def begin(self) -> None:
        """A new schedule: the next step is the first of a run, and nothing is left of one that was interrupted."""
        self.upcoming = None
        for recorder in (self.recorder, self.search and self.search.recorder):
            if recorder:
                recorder.calls.clear()
        if self.competition:
            self.competition.begin()

    @contextmanager
    def watched(self, models: list[Any]) -> Iterator[None]:
        """Inside, what a pipeline gives its network as the first latent frame is kept, whatever the scheduler has."""

        def keep(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            self.first = split_latents(arguments, named)[0][:, :, :1].detach()

        hooks = [model.register_forward_pre_hook(keep, with_kwargs=True) for model in models]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def wants_calls(self) -> bool:
        """Whether the network's next call is needed for its Jacobian: unknown before the first step, so yes."""
        return self.upcoming is None or self.guidance.active(*self.upcoming)

    def step(self, base: Any, scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        """`base.step` with the model output that stands for x0* in the place of the one that stands for x0_hat."""
        call = inspect.signature(base.step).bind(scheduler, *args, **kwargs)
        sample, output, timestep = (call.arguments[name] for name in ("sample", "model_output", "timestep"))
        self._require_plain(call.arguments, sample, output)
        schedule = scheduler if self.schedule is None else self.schedule(scheduler, timestep)
        if self.upcoming is None:
            if isinstance(self.generator, list) and len(self.generator) != len(sample):
                allowed = f"one, or a list of {len(sample)}, one for each video of the batch"
                raise InvalidArgument("generator", f"a list of {len(self.generator)}", allowed)
            self.own.manual_seed(_seed_of(sample))
            self.guidance.reset()
            self.log.terminal = None
            if self.decode:
                self.decode.frames = None
            if self.competition:
                self.log.particles = self.competition.particles.log
            if self.search:
                self.log.search = self.search.guidance.log
                sample, output = self.search.found(self.pipeline, schedule, timestep, sample, output)
                self.search.recorder.calls.clear()
                call.arguments |= {"sample": sample, "model_output": output}
            self.skipped = first_step(schedule, timestep)
        number, total = position(schedule, timestep, self.skipped)
        if not bool(finite_samples(output).any()):
            raise ModelFailure(f"model_output is NaN or infinite in every sample at step {number}")
        self.upcoming = number + 1, total
        at = prediction(schedule, timestep)
        meaningful = at.q != 0 and at.b > 0
        active = meaningful and self.guidance.active(number, total)
        terminal = self.decode is None and self.guidance.terminal and number == total - 1
        eta = self.guidance.renoise if active else 0.0
        dtype = torch.promote_types(sample.dtype, torch.float32)
        mixed = sample.dtype != dtype and self.schedule is None  # multistep schedulers cannot mix dtypes
        if active or mixed or self.competition:
            x, predicted = sample.to(dtype), output.to(dtype)
            guided = predicted
            if active:
                guided = self._corrected((number, total), at, x, predicted)
            if mixed or self.competition or eta or not torch.equal(guided, predicted):
                call.arguments |= {"sample": x, "model_output": guided}
        generator, new = self.generator or call.arguments.get("generator") or self.own, None
        if self.competition and meaningful:
            self.competition.first = None if self.first is None else self.first[:1]
            resamplings = self.competition.particles.log.resamplings
            earlier = len(resamplings)
            new = self.competition.resample((number, total), at, scheduler, call.arguments, generator)
            self.log.records += resamplings[earlier:]
        if self.competition:
            self.competition.seat(call.arguments)
            generator = self.generator or call.arguments.get("generator") or self.own
        if eta:
            call.arguments["model_output"] = self._renoised(eta, schedule, at, call.arguments, generator)
            new = new and replace(new, part=(1 - eta) ** 0.5)
        if self.recorder is not None:
            self.recorder.calls.clear()
        result = base.step(*call.args, **call.kwargs)
        alone = isinstance(result, Tensor)
        latents = result if alone else result[0] if isinstance(result, tuple) else result.prev_sample
        if not bool(finite_samples(latents).any()):
            raise ModelFailure(f"{base.__name__} made every sample NaN or infinite at step {number}")
        if self.competition and new:
            following = scheduler.timesteps[number + 1 + self.skipped]
            latents = self.competition.renew(latents, new, scheduler, following, generator)
        if self.competition and number == total - 1:
            latents = self.competition.delivered(latents)
        latents = self._project_latents(latents, sample.dtype) if terminal else latents.to(sample.dtype)
        if alone:
            return latents
        if isinstance(result, tuple):
            return (latents, *result[1:])
        result.prev_sample = latents
        return result

    def require_seen(self, video: Float[Tensor, "B 3 T H W"]) -> None:
        """Refuse a video of other frames than those that the constraints were told of on the way.

        Raises:
            InvalidArgument: the scheduler of the pipeline has other latents than those that are decoded.
        """
        seen = self.decode and self.decode.frames
        if seen not in (None, video.shape[2]):
            got = f"{self.pipeline}, whose scheduler has latents of {seen} frames for a video of {video.shape[2]}"
            raise InvalidArgument("pipe", got, "an observable of pipelines whose scheduler has those of the video")

    def project(self, video: Tensor) -> Tensor:
        """The nearest float32 video in [0, 1] that satisfies the constraints, of a decoded one in [-1, 1]."""
        assert self.decode is not None
        self.require_seen(video)
        with torch.autocast(video.device.type, enabled=False):
            projected = project_video(video.float() / 2 + 0.5, self.guidance, self.decode.observable, self.grid)
        self._log_terminal(projected.record)
        return projected.video

    def _require_plain(self, arguments: dict[str, Any], sample: Tensor, output: Tensor) -> None:
        if arguments.get("per_token_timesteps") is not None:
            raise InvalidArgument("per_token_timesteps", "a tensor", "None inside guide(...)")
        if arguments.get("s_churn"):
            raise InvalidArgument("s_churn", arguments["s_churn"], "0 inside guide(...)")
        if output.shape != sample.shape:
            raise InvalidArgument("model_output", list(output.shape), f"the latents' shape {list(sample.shape)}")

    def _corrected(
        self,
        position: tuple[int, int],
        at: Prediction,
        sample: Tensor,
        output: Tensor,
    ) -> Tensor:
        started = time.perf_counter()
        if self.competition:
            sample, output = map(self.competition.living.of, (sample, output))
        x_t = (sample / at.scale).detach()
        x0_hat = at.x0(sample, output)
        known: dict[str, Tensor] = {}
        if self.first is not None:
            known["known"] = torch.full_like(x_t[:1], torch.nan)
            known["known"][:, :, :1] = self.first[:1]
        predict = None
        if self.recorder is not None and self.guidance.needs_graph:
            with torch.inference_mode(False), torch.enable_grad():
                x_t = x_t.clone().requires_grad_()
                joined = self.recorder.rejoined(self.pipeline, x_t, at.scale, sample, output)
                x0_hat = at.x0(at.scale * x_t, joined)
        elif self.recorder is not None:
            again = self.recorder.again(self.pipeline, sample, output)

            def predict(x: Tensor) -> Tensor:
                return at.x0(at.scale * x, again(at.scale * x))

        casts = [call.cast for call in self.recorder.calls] if self.recorder else []
        coarse = [dtype for dtype in (self.precision, *casts) if dtype]
        correction = self.guidance.correction(
            x0_hat,
            x_t=x_t,
            sigma=at.sigma,
            decode=self.decode,
            grid=self.grid,
            position=position,
            predict=predict,
            precision=min(coarse, key=lambda dtype: dtype.itemsize, default=None),
            **known,
        )
        self.log.dropped += correction.dropped
        self.log.records.append(
            StepRecord(
                step=position[0],
                sigma=at.sigma,
                residual=correction.residuals,
                correction_norm=correction.norm,
                cosine=correction.cosines,
                dropped=correction.dropped,
                seconds=time.perf_counter() - started,
            )
        )
        move = (correction.x0 - x0_hat).detach().nan_to_num(0, 0, 0)
        corrected = at.corrected(output, move)
        return self.competition.living.whole(corrected) if self.competition else corrected

    def _renoised(
        self, eta: float, scheduler: Any, at: Prediction, arguments: dict[str, Any], generator: Any
    ) -> Tensor:
        """The velocity to x_s' = (1 - s') x0* + s' (sqrt(1 - eta) e* + sqrt(eta) xi)."""
        living = self.competition.living if self.competition else LivingRows()
        x_t, v = living.of(arguments["sample"] / at.scale), living.of(arguments["model_output"])
        sigma, following = at.sigma, float(scheduler.sigmas[scheduler.step_index + 1])
        x0, noise = x_t - sigma * v, x_t + (1 - sigma) * v
        xi = randn_tensor(v.shape, generator=living.generators(generator), device=v.device, dtype=v.dtype)
        target = (1 - following) * x0 + following * ((1 - eta) ** 0.5 * noise + eta**0.5 * xi)
        return living.whole((target - x_t) / (following - sigma))

    def _project_latents(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):
            latents = self._delivered(latents)
            target = self.guidance.projection(latents.double(), self.grid)
            projected, dropped = keep_finite(target.fields.to(dtype), latents.to(dtype))
            projected = self._delivered(projected)
            moved = rms(projected.double() - latents.double())
            rounded = target.fields.to(dtype).double()
            self._log_terminal(terminal_record(moved, latents.double(), target, projected.double(), rounded, dropped))
        return projected

    def _delivered(self, latents: Tensor) -> Tensor:
        """With the first frame that the pipeline puts in the place of the scheduler's."""
        if self.first is None:
            return latents
        return torch.cat([self.first[:1].to(latents).expand_as(latents[:, :, :1]), latents[:, :, 1:]], 2)

    def _log_terminal(self, record: TerminalRecord) -> None:
        self.log.dropped += record.dropped
        self.log.terminal = record
        if record.contradiction:
            warnings.warn(f"the terminal projection was left out: {record.contradiction}", stacklevel=2)


def guided_scheduler(base: Any, session: Session) -> type:
    """The class of a scheduler whose steps are corrected and whose schedules start a run."""

    @functools.wraps(base.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        return session.step(base, self, *args, **kwargs) if session.open else base.step(self, *args, **kwargs)

    @functools.wraps(base.set_timesteps)
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        session.begin()
        base.set_timesteps(self, *args, **kwargs)

    def from_config(cls: type, *args: Any, **kwargs: Any) -> Any:
        warnings.warn(f"{base.__name__}.from_config makes a scheduler without guidance", stacklevel=2)
        return base.from_config(*args, **kwargs)

    members = {"step": step, "set_timesteps": set_timesteps, "from_config": classmethod(from_config)}
    return renamed_subclass(base, guidance_session=session, **members)


def delivering_processor(base: Any, session: Session) -> type:
    """The class of a video processor, or of an image processor, that checks, and projects, what it is given."""
    name = "postprocess_video" if hasattr(base, "postprocess_video") else "postprocess"
    return renamed_subclass(base, guidance_session=session, **{name: _delivering(getattr(base, name), session)})


def _delivering(postprocess: Any, session: Session) -> Any:
    @functools.wraps(postprocess)
    def delivering(*args: Any, **kwargs: Any) -> Any:
        call = inspect.signature(postprocess).bind(*args, **kwargs)
        call.apply_defaults()
        name = "video" if "video" in call.arguments else "image"
        if not session.open or call.arguments["output_type"] == "latent":
            return postprocess(*args, **kwargs)
        decoded = call.arguments[name]
        images = decoded.ndim == 4
        video = decoded.unsqueeze(2) if images else decoded
        if not session.guidance.terminal:
            session.require_seen(video)
            return postprocess(*args, **kwargs)
        projected = session.project(video)
        call.arguments[name] = projected.squeeze(2) if images else projected
        plain = [False] * (len(decoded) if images else decoded.shape[2])
        if images:
            call.arguments["do_denormalize"] = plain
        else:
            call.arguments["kwargs"] = {**call.arguments["kwargs"], "do_denormalize": plain}
        return postprocess(*call.args, **call.kwargs)

    return delivering


def _seed_of(noise: Tensor) -> int:
    """The same of the same starting noise, so that a run repeats, and another of another, so that samples differ."""
    return int.from_bytes(hashlib.sha256(noise.detach().float().cpu().numpy().tobytes()).digest()[:7])
