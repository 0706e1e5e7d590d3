"""What a scheduler's model output says about the clean sample, and its noise level as flow matching counts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
from torch import Tensor

from physgen.errors import InvalidArgument

_FLOW = (diffusers.FlowMatchEulerDiscreteScheduler, diffusers.FlowMatchHeunDiscreteScheduler)
_VARIANCE_PRESERVING = (
    diffusers.UniPCMultistepScheduler,
    diffusers.DPMSolverMultistepScheduler,
    diffusers.DPMSolverSinglestepScheduler,
    diffusers.DEISMultistepScheduler,
)
_VARIANCE_EXPLODING = (
    diffusers.EulerDiscreteScheduler,
    diffusers.EulerAncestralDiscreteScheduler,
    diffusers.HeunDiscreteScheduler,
    diffusers.LMSDiscreteScheduler,
    diffusers.KDPM2DiscreteScheduler,
)
_CUMULATIVE = (
    diffusers.DDIMScheduler,
    diffusers.DDPMScheduler,
    diffusers.LCMScheduler,
    diffusers.PNDMScheduler,
    diffusers.CogVideoXDDIMScheduler,
    diffusers.CogVideoXDPMScheduler,
)
SUPPORTED = _FLOW + _VARIANCE_PRESERVING + _VARIANCE_EXPLODING + _CUMULATIVE


@dataclass(frozen=True)
class Prediction:
    """x0_hat = p sample + q model_output, where sample = a x0 + b noise.

    In the convention of flow matching, x_t = (1 - sigma) x0 + sigma noise, the sample is `scale` times x_t.

    >>> ddim = diffusers.DDIMScheduler()
    >>> at = prediction(ddim, 500)
    >>> round(at.a**2 + at.b**2, 6), at.sigma == at.b / (at.a + at.b)
    (1.0, True)
    """

    p: float
    q: float
    a: float
    b: float

    @property
    def scale(self) -> float:
        """The sample over x_t."""
        return self.a + self.b

    @property
    def sigma(self) -> float:
        """Noise level in [0, 1]."""
        return self.b / self.scale

    def x0(self, sample: Tensor, model_output: Tensor) -> Tensor:
        """The clean sample that the model output stands for."""
        return self.p * sample + self.q * model_output

    def corrected(self, model_output: Tensor, move: Tensor) -> Tensor:
        """The model output that stands for x0_hat + move."""
        return model_output + move / self.q


def require_supported(scheduler: Any) -> None:
    """Refuse schedulers whose `Prediction` is unknown.

    Raises:
        InvalidArgument: another class, or a flow prediction without flow-matching sigmas, other predictions with them,
            inverted sigmas.

    >>> require_supported(diffusers.EDMEulerScheduler())
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: scheduler='EDMEulerScheduler': allowed: ...
    """
    name, config = type(scheduler).__name__, getattr(scheduler, "config", {})
    if not isinstance(scheduler, SUPPORTED):
        raise InvalidArgument("scheduler", name, ", ".join(cls.__name__ for cls in SUPPORTED))
    if config.get("invert_sigmas"):
        raise InvalidArgument("scheduler", f"{name} with invert_sigmas", f"{name} without invert_sigmas")
    kind, flow = config.get("prediction_type", "epsilon"), bool(config.get("use_flow_sigmas"))
    if not isinstance(scheduler, _FLOW) and flow != (kind == "flow_prediction"):
        got = f"{name} with prediction_type={kind}, use_flow_sigmas={flow}"
        raise InvalidArgument("scheduler", got, "use_flow_sigmas and prediction_type='flow_prediction' together")


def prediction(scheduler: Any, timestep: int | float | Tensor) -> Prediction:
    """The `Prediction` of the step that the scheduler makes next.

    flow:        x0_hat = sample - sigma v,                           a = 1 - sigma, b = sigma
    epsilon:     x0_hat = (sample - b e) / a
    v:           x0_hat = a sample / (a^2 + b^2) - b v / sqrt(a^2 + b^2)
    sample:      x0_hat = model output
    consistency: x0_hat = c_out x0_hat + c_skip sample                of the above

    with sigma, or b / a, from `sigmas[step_index]` where the scheduler has them (never from the timestep, which is
    rounded), else a^2 = `alphas_cumprod[timestep]`; variance-exploding schedulers have a = 1.

    Raises:
        InvalidArgument: see `require_supported`.

    Source: Karras et al., arXiv:2206.00364; v: Salimans and Ho, arXiv:2202.00512; consistency: Luo et al.,
        arXiv:2310.04378.

    >>> euler = diffusers.FlowMatchEulerDiscreteScheduler()
    >>> euler.set_timesteps(4)
    >>> prediction(euler, euler.timesteps[0])
    Prediction(p=1.0, q=-1.0, a=0.0, b=1.0)
    """
    require_supported(scheduler)
    if not isinstance(scheduler, _CUMULATIVE):
        return _of_sigma(scheduler, _sigma(scheduler, timestep))
    a2 = float(scheduler.alphas_cumprod[int(timestep)])
    at = _prediction(scheduler, a2**0.5, (1 - a2) ** 0.5)
    if not isinstance(scheduler, diffusers.LCMScheduler):
        return at
    skip, out = (float(c) for c in scheduler.get_scalings_for_boundary_condition_discrete(int(timestep)))
    return Prediction(out * at.p + skip, out * at.q, at.a, at.b)


def position(scheduler: Any, timestep: int | float | Tensor) -> tuple[int, int]:
    """Which step of how many comes next, from 0; second halves of a step count.

    >>> heun = diffusers.FlowMatchHeunDiscreteScheduler()
    >>> heun.set_timesteps(4)
    >>> position(heun, heun.timesteps[0])
    (0, 7)
    """
    total = len(scheduler.timesteps)
    if isinstance(scheduler, diffusers.PNDMScheduler):
        return scheduler.counter, total
    if not hasattr(scheduler, "step_index"):
        return scheduler.timesteps.tolist().index(int(timestep)), total
    if scheduler.step_index is None:
        scheduler._init_step_index(timestep)
    return scheduler.step_index, total


def _sigma(scheduler: Any, timestep: int | float | Tensor) -> float:
    step, _ = position(scheduler, timestep)
    if isinstance(scheduler, diffusers.KDPM2DiscreteScheduler) and not scheduler.state_in_first_order:
        return float(scheduler.sigmas_interpol[step])
    return float(scheduler.sigmas[step])


def _of_sigma(scheduler: Any, sigma: float) -> Prediction:
    if isinstance(scheduler, _FLOW) or scheduler.config.prediction_type == "flow_prediction":
        return Prediction(1.0, -sigma, 1 - sigma, sigma)
    a = 1.0 if isinstance(scheduler, _VARIANCE_EXPLODING) else (1 + sigma**2) ** -0.5
    return _prediction(scheduler, a, a * sigma)


def _prediction(scheduler: Any, a: float, b: float) -> Prediction:
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return Prediction(1 / a if a else float("inf"), -b / a if a else float("-inf"), a, b)
    if kind == "v_prediction":
        variance = a * a + b * b
        return Prediction(a / variance, -b / variance**0.5, a, b)
    if kind in {"sample", "original_sample"}:
        return Prediction(0.0, 1.0, a, b)
    raise InvalidArgument("prediction_type", kind, "epsilon, v_prediction, sample, flow_prediction")
