"""What the output of a model in training says about the clean sample, each sample at its own noise level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
from jaxtyping import Float, Shaped
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.sampling.predictions import _PRECONDITIONED, _VARIANCE_EXPLODING, FLOW, require_supported

_SAMPLING_ONLY = (diffusers.LCMScheduler, diffusers.TCDScheduler, diffusers.FlowMatchLCMScheduler, *_PRECONDITIONED)


@dataclass(frozen=True)
class Noised:
    """Training samples a x0 + b noise, and what a model of them predicts; a and b are ``[B]``."""

    kind: str
    a: Float[Tensor, "B"]
    b: Float[Tensor, "B"]

    @property
    def sigma(self) -> Float[Tensor, "B"]:
        """Noise level in [0, 1] as flow matching counts it: b / (a + b)."""
        return self.b / (self.a + self.b)

    def x0(self, sample: Float[Tensor, "B *shape"], output: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
        """The clean sample that the model output stands for, with its graph.

        flow:    x0_hat = (sample - b v) / (a + b)
        epsilon: x0_hat = (sample - b e) / a
        v:       x0_hat = a sample / (a^2 + b^2) - b v / sqrt(a^2 + b^2)
        sample:  x0_hat = output
        """
        a, b = (level.to(output.dtype).view(-1, *[1] * (sample.ndim - 1)) for level in (self.a, self.b))
        if self.kind == "flow_prediction":
            return (sample - b * output) / (a + b)
        if self.kind == "epsilon":
            return (sample - b * output) / a
        if self.kind == "v_prediction":
            return (a * sample - b * (a**2 + b**2).sqrt() * output) / (a**2 + b**2)
        return output


def noised(scheduler: Any, timesteps: Shaped[Tensor, "B"]) -> Noised:
    """How a scheduler of diffusers noises training samples at ``timesteps`` (its ``add_noise``, ``scale_noise``).

    flow:                a = 1 - sigma, b = sigma = timestep / num_train_timesteps
    variance preserving: a^2 = alphas_cumprod[timestep] = 1 - b^2
    variance exploding:  a = 1, b^2 = 1 / alphas_cumprod[timestep] - 1

    Raises:
        InvalidArgument: see `require_supported`; a distilled or EDM model's scheduler; timesteps outside training's.

    Source: Lipman et al., arXiv:2210.02747; Ho et al., arXiv:2006.11239; Karras et al., arXiv:2206.00364; v: Salimans
        and Ho, arXiv:2202.00512.

    >>> import torch
    >>> at = noised(diffusers.FlowMatchEulerDiscreteScheduler(), torch.tensor([250.0, 1000.0]))
    >>> x0, noise = torch.rand(2, 1, 1), torch.rand(2, 1, 1)
    >>> x_t = (1 - at.sigma.view(2, 1, 1)) * x0 + at.sigma.view(2, 1, 1) * noise
    >>> at.sigma.tolist(), torch.allclose(at.x0(x_t, noise - x0), x0)
    ([0.25, 1.0], True)
    """
    require_supported(scheduler)
    name, last = type(scheduler).__name__, scheduler.config.num_train_timesteps
    if isinstance(scheduler, _SAMPLING_ONLY):
        raise InvalidArgument("scheduler", name, "one that noises training data: of no distilled or EDM model")
    if not bool(((timesteps >= 0) & (timesteps <= last)).all()):
        raise InvalidArgument("timesteps", timesteps.tolist(), f"0 to {last}, where {name} was trained")
    if isinstance(scheduler, FLOW) or scheduler.config.prediction_type == "flow_prediction":
        sigma = timesteps.float() / last
        return Noised("flow_prediction", 1 - sigma, sigma)
    kept = scheduler.alphas_cumprod.to(timesteps.device)[timesteps.long().clamp(max=last - 1)]
    kind = scheduler.config.prediction_type
    if isinstance(scheduler, _VARIANCE_EXPLODING):
        return Noised(kind, kept.new_ones(len(kept)), (1 / kept - 1).sqrt())
    return Noised(kind, kept.sqrt(), (1 - kept).sqrt())
