"""The noise search inside a scheduler's first step: the few-step flow is made of the pipeline's own network calls."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import NoiseSearch
from physgen.sampling.decoding.decoder import Decoder
from physgen.sampling.network import Recorder
from physgen.sampling.predictions import FLOW, first_step
from physgen.tensors import of_samples


def require_searchable(pipe: Any, scheduler: Any, models: list[Any], fixes_first_frame: bool) -> None:
    """Refuse pipelines whose few-step flow is not that of one network from pure noise.

    Raises:
        InvalidArgument: a scheduler of no flow matching, two networks, a picture as the first latent frame.

    >>> import diffusers
    >>> require_searchable(None, diffusers.DDIMScheduler(), [], False)
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: scheduler='DDIMScheduler': allowed: ...
    """
    if not isinstance(scheduler, FLOW) and scheduler.config.get("prediction_type") != "flow_prediction":
        raise InvalidArgument("scheduler", type(scheduler).__name__, "one of flow matching, for NoiseSearch")
    if len(models) != 1 or fixes_first_frame:
        allowed = "a pipeline with one network that draws from noise alone, for NoiseSearch"
        raise InvalidArgument("pipe", type(pipe).__name__, allowed)


@dataclass
class Search:
    """The noise search of one pipeline call; `recorder` has the network's calls of the first step.

    `inner` has them for the guidance inside, where that goes through the network.
    """

    guidance: NoiseSearch
    decode: Decoder | None
    grid: Grid | None
    recorder: Recorder
    inner: Recorder | None = None

    def found(self, pipeline: str, scheduler: Any, timestep: Any, sample: Tensor, output: Tensor) -> tuple[Tensor, ...]:
        """The latents that the run starts from, and the model output there; those given where nothing moves."""
        if not self.guidance.iterations:
            self.guidance.noise = sample
            return sample, output
        first = first_step(scheduler, timestep)
        sigmas = [float(sigma) for sigma in scheduler.sigmas[first:]]
        times = [float(time) for time in scheduler.timesteps[first:]]
        dtype = torch.promote_types(sample.dtype, torch.float32)
        again = self.recorder.again(pipeline, sample.to(dtype), output.to(dtype))
        branches = sum(len(call.latents) for call in self.recorder.calls) // len(sample)
        with self.inner.paused() if self.inner else nullcontext():
            found = self.guidance.search(
                sample,
                lambda z, k: again(z, times[k] / times[0]),
                sigmas,
                decode=self.decode,
                grid=self.grid,
                video=self.decode.video if self.decode else None,
                branches=branches,
            )
        if found.velocity is None or not bool(found.moved.any()):
            return sample, output
        if self.inner:
            with self.recorder.paused():
                moved = self.inner.move(pipeline, sample.to(dtype), output.to(dtype), found.noise.to(dtype))
            self.guidance.log.evaluations += branches * len(sample)
            return found.noise, moved.to(output.dtype)
        moves = of_samples(found.moved.to(sample.device), sample)
        return found.noise, torch.where(moves, found.velocity.to(output.dtype), output)
