"""What a scheduler's model output says about the clean sample, and its noise level as flow matching counts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
from torch import Tensor

from physgen.errors import InvalidArgument

#: of flow matching, whatever they are told to predict
FLOW = (
    diffusers.FlowMatchEulerDiscreteScheduler,
    diffusers.FlowMatchHeunDiscreteScheduler,
    diffusers.FlowMatchLCMScheduler,
    diffusers.LTXEulerAncestralRFScheduler,
)
_VARIANCE_PRESERVING = (
    diffusers.UniPCMultistepScheduler,
    diffusers.DPMSolverMultistepScheduler,
    diffusers.DPMSolverSinglestepScheduler,
    diffusers.DEISMultistepScheduler,
    diffusers.SASolverScheduler,
)
_PRECONDITIONED = (diffusers.EDMEulerScheduler, diffusers.EDMDPMSolverMultistepScheduler)
_VARIANCE_EXPLODING = (
    diffusers.EulerDiscreteScheduler,
    diffusers.EulerAncestralDiscreteScheduler,
    diffusers.HeunDiscreteScheduler,
    diffusers.LMSDiscreteScheduler,
    diffusers.KDPM2DiscreteScheduler,
    diffusers.KDPM2AncestralDiscreteScheduler,
)
_CUMULATIVE = (
    diffusers.DDIMScheduler,
    diffusers.DDIMParallelScheduler,
    diffusers.DDPMScheduler,
    diffusers.DDPMParallelScheduler,
    diffusers.LCMScheduler,
    diffusers.TCDScheduler,
    diffusers.PNDMScheduler,
    diffusers.CogVideoXDDIMScheduler,
    diffusers.CogVideoXDPMScheduler,
)
_INTERPOLATING = (diffusers.KDPM2DiscreteScheduler, diffusers.KDPM2AncestralDiscreteScheduler)
SUPPORTED = FLOW + _VARIANCE_PRESERVING + _VARIANCE_EXPLODING + _PRECONDITIONED + _CUMULATIVE

#: what noise levels of flow matching are
WITHIN_1 = "sigmas from 0 to 1, where x_t = (1 - sigma) x0 + sigma noise"
#: of the model output, in schedulers with preconditioning
_SIGN = {"epsilon": 1.0, "v_prediction": -1.0}


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
            inverted sigmas, or those of flow matching up to more than 1 (Cosmos 2).

    >>> require_supported(diffusers.DDIMInverseScheduler())
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: scheduler='DDIMInverseScheduler': allowed: ...
    """
    name, config = type(scheduler).__name__, getattr(scheduler, "config", {})
    if not isinstance(scheduler, SUPPORTED):
        raise InvalidArgument("scheduler", name, ", ".join(cls.__name__ for cls in SUPPORTED))
    if config.get("invert_sigmas"):
        raise InvalidArgument("scheduler", f"{name} with invert_sigmas", f"{name} without invert_sigmas")
    if isinstance(scheduler, FLOW) and (config.get("sigma_max") or 1) > 1:
        raise InvalidArgument("scheduler", f"{name} with sigma_max={config['sigma_max']}", WITHIN_1)
    kind, flow = config.get("prediction_type", "epsilon"), bool(config.get("use_flow_sigmas"))
    if not isinstance(scheduler, FLOW) and flow != (kind == "flow_prediction"):
        got = f"{name} with prediction_type={kind}, use_flow_sigmas={flow}"
        raise InvalidArgument("scheduler", got, "use_flow_sigmas and prediction_type='flow_prediction' together")


def prediction(scheduler: Any, timestep: int | float | Tensor) -> Prediction:
    """The `Prediction` of the step that the scheduler makes next.

    flow:        x0_hat = sample - sigma v,                           a = 1 - sigma, b = sigma
    epsilon:     x0_hat = (sample - b e) / a
    v:           x0_hat = a sample / (a^2 + b^2) - b v / sqrt(a^2 + b^2)
    sample:      x0_hat = model output
    EDM:         x0_hat = s^2 / (sigma^2 + s^2) sample +- sigma s / sqrt(sigma^2 + s^2) model output,  s = sigma_data
    consistency: x0_hat = c_out x0_hat + c_skip sample                of the above

    with sigma, or b / a, from `sigmas[step_index]` where the scheduler has them (never from the timestep, which is
    rounded), else a^2 = `alphas_cumprod[timestep]`; variance-exploding schedulers have a = 1.

    Raises:
        InvalidArgument: see `require_supported`; a noise level of flow matching above 1.

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


def position(scheduler: Any, timestep: int | float | Tensor, skipped: int = 0) -> tuple[int, int]:
    """Which step of how many comes next, from 0, the first ones `skipped`; second halves of a step count.

    >>> heun = diffusers.FlowMatchHeunDiscreteScheduler()
    >>> heun.set_timesteps(4)
    >>> position(heun, heun.timesteps[0])
    (0, 7)
    """
    if isinstance(scheduler, diffusers.PNDMScheduler):
        return scheduler.counter, _total_of_pndm(scheduler, int(timestep))
    return _index(scheduler, timestep) - skipped, len(scheduler.timesteps) - skipped


def first_step(scheduler: Any, timestep: int | float | Tensor) -> int:
    """Steps of the schedule that a run leaves out, asked before its first: those that `strength` skips.

    >>> ddim = diffusers.DDIMScheduler()
    >>> ddim.set_timesteps(4)
    >>> first_step(ddim, ddim.timesteps[1])
    1
    """
    return _index(scheduler, timestep)


def _total_of_pndm(scheduler: Any, timestep: int) -> int:
    """Steps of the run: it counts its steps itself, and its schedule holds timesteps twice.

    Where the run left some out, one too few at the first of two steps of one timestep.
    """
    timesteps = scheduler.timesteps.tolist()
    if timesteps[scheduler.counter] == timestep:
        return len(timesteps)
    return scheduler.counter + 1 + timesteps[::-1].index(timestep)


def _index(scheduler: Any, timestep: int | float | Tensor) -> int:
    if not hasattr(scheduler, "step_index"):
        return scheduler.timesteps.tolist().index(int(timestep))
    if scheduler.step_index is None:
        scheduler._init_step_index(timestep)
    return scheduler.step_index


def _sigma(scheduler: Any, timestep: int | float | Tensor) -> float:
    step = _index(scheduler, timestep)
    if isinstance(scheduler, _INTERPOLATING) and not scheduler.state_in_first_order:
        ancestral = isinstance(scheduler, diffusers.KDPM2AncestralDiscreteScheduler)
        return float(scheduler.sigmas_interpol[step - ancestral])
    return float(scheduler.sigmas[step])


def _of_sigma(scheduler: Any, sigma: float) -> Prediction:
    if isinstance(scheduler, FLOW) or scheduler.config.prediction_type == "flow_prediction":
        if sigma > 1:
            raise InvalidArgument("scheduler", f"{type(scheduler).__name__} at sigma={sigma:g}", WITHIN_1)
        return Prediction(1.0, -sigma, 1 - sigma, sigma)
    if isinstance(scheduler, _PRECONDITIONED):
        return _preconditioned(scheduler, sigma)
    a = 1.0 if isinstance(scheduler, _VARIANCE_EXPLODING) else (1 + sigma**2) ** -0.5
    return _prediction(scheduler, a, a * sigma)


def _preconditioned(scheduler: Any, sigma: float) -> Prediction:
    data, kind = scheduler.config.sigma_data, scheduler.config.prediction_type
    variance = sigma**2 + data**2
    if kind not in _SIGN:
        raise InvalidArgument("prediction_type", kind, ", ".join(_SIGN))
    return Prediction(data**2 / variance, _SIGN[kind] * sigma * data / variance**0.5, 1.0, sigma)


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
