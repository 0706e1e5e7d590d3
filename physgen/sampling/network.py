"""A pipeline's model output as a function of its latents: with the transformer's graph, or by calling it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from accelerate.hooks import CpuOffload
from diffusers.hooks.group_offloading import _is_group_offload_enabled
from jaxtyping import Float
from torch import Tensor, nn

from physgen.errors import InvalidArgument
from physgen.sampling.calls import split_latents, with_output
from physgen.sampling.ordinary import make_ordinary, ordinary
from physgen.sampling.swap import called_through

Pull = Callable[[Tensor], Tensor]
#: from samples, and the time as a part of that of the calls, to the model output
Again = Callable[..., Tensor]


class _Rejoined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, pull: Pull) -> Tensor:
        ctx.pull = pull
        return value.detach().clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None, None]:
        return ctx.pull(cotangents[0]), None, None


def rejoin(x: Float[Tensor, "*shape"], value: Float[Tensor, "*out"], pull: Pull) -> Float[Tensor, "*out"]:
    """`value`, with `pull` as the way back of gradients to `x`: cotangent of value -> cotangent of x.

    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.grad(rejoin(x, torch.zeros(2), lambda cotangent: 3 * cotangent).sum(), x)[0].tolist()
    [3.0, 3.0]
    """
    joined: Tensor = _Rejoined.apply(x, value, pull)
    return joined


@dataclass(frozen=True)
class Call:
    """What the network saw first and what it gave, with its graph where there is one; and the same call of others.

    `again` takes other latents, and the time as a part of the call's own; it is made under the `torch.autocast` of the
    first time, whose precision is `cast` where there was one.
    """

    latents: Tensor
    output: Tensor
    again: Callable[[Tensor, float], Tensor]
    cast: torch.dtype | None = None


@dataclass
class Recorder:
    """The transformer's calls of one step, with their graph where `graph` says so.

    The model output that the scheduler gets is u + sum_i w_i (c_i - u) of what the calls gave for the same latents:
    classifier-free guidance, whether it calls twice or with a batch of both. The weights are solved for, and checked.
    Where `fixed` says so, the network sees another first latent frame than the scheduler, which does not count.
    """

    wanted: Callable[[], bool]
    graph: bool
    calls: list[Call] = field(default_factory=list)
    repeating: bool = False
    fixed: bool = False

    def wrap(self, model: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
        """`call` of a model, recorded where it is `wanted`."""

        def recorded(*args: Any, **kwargs: Any) -> Any:
            if self.repeating or not self.wanted():
                return call(*args, **kwargs)
            latents, rest, named = split_latents(ordinary(args), ordinary(kwargs))
            with torch.inference_mode(False), torch.set_grad_enabled(self.graph):
                latents = latents.detach().clone().requires_grad_(self.graph)
                result = call(latents, *rest, **named)
            output, device = result[0], latents.device.type
            cast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None

            def again(other: Tensor, part: float) -> Tensor:
                timed, timed_by_name = _at(part, rest, named)
                with torch.autocast(device, cast, enabled=cast is not None):
                    return model(other, *timed, **timed_by_name)[0]

            self.calls.append(Call(latents, output, again, cast))
            return with_output(result, output.detach())

        return recorded

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, calls are made as they would be without the recorder."""
        before, self.repeating = self.repeating, True
        try:
            yield
        finally:
            self.repeating = before

    def rejoined(
        self, pipeline: str, x: Float[Tensor, "B *shape"], scale: float, sample: Tensor, model_output: Tensor
    ) -> Float[Tensor, "B *shape"]:
        """`model_output` as a function of `x`, where `sample` = `scale` x is what the transformer saw, up to a factor.

        Raises:
            InvalidArgument: no call, or calls that `sample` and `model_output` [B, ...] cannot be told from.
        """
        factors, weights = self._factors_and_weights(pipeline, sample, model_output)
        with torch.enable_grad():
            combined = _combined([call.output for call in self.calls], weights, model_output)
        leaves = [call.latents for call in self.calls]

        def pull(cotangent: Tensor) -> Tensor:
            gradients = torch.autograd.grad(combined, leaves, cotangent, retain_graph=True)
            parts = [_leading(part, sample) for gradient in gradients for part in gradient.split(len(sample))]
            for part in parts if self.fixed else ():
                part[:, :, :1] = 0
            pulled = [f * part.to(cotangent.dtype) for f, part in zip(factors, parts, strict=True)]
            return scale * torch.stack(pulled).sum(0)

        return rejoin(x, model_output, pull)

    def again(self, pipeline: str, sample: Float[Tensor, "B *shape"], model_output: Tensor) -> Again:
        """The model output of other samples by the same calls with other latents, at the same noise level or another.

        It has a graph to the samples where autograd is on.

        Raises:
            InvalidArgument: see `rejoined`.
        """
        factors, weights = self._factors_and_weights(pipeline, sample, model_output)
        calls = list(self.calls)

        def model_output_of(other: Tensor, part_of_time: float = 1.0) -> Tensor:
            with self.paused():
                seen = self._seen(calls, factors, sample, other)
                outputs = [call.again(latents, part_of_time) for call, latents in zip(calls, seen, strict=True)]
            return _combined(outputs, weights, model_output)

        return model_output_of

    def move(
        self, pipeline: str, sample: Float[Tensor, "B *shape"], model_output: Tensor, other: Tensor
    ) -> Float[Tensor, "B *shape"]:
        """Make the calls again with other samples, and record those in their place; their model output.

        Raises:
            InvalidArgument: see `rejoined`.
        """
        factors, weights = self._factors_and_weights(pipeline, sample, model_output)
        moved = []
        with torch.inference_mode(False), self.paused():
            for call, seen in zip(self.calls, self._seen(self.calls, factors, sample, other), strict=True):
                latents = seen.detach().requires_grad_(self.graph)
                with torch.set_grad_enabled(self.graph):
                    moved.append(replace(call, latents=latents, output=call.again(latents, 1.0)))
        self.calls[:] = moved
        return _combined([call.output.detach() for call in moved], weights, model_output)

    def _seen(self, calls: list[Call], factors: list[float], sample: Tensor, other: Tensor) -> Iterator[Tensor]:
        """What each call sees of other samples."""
        left = iter(factors)
        for call in calls:
            latents = call.latents.detach().clone()
            for row in range(0, len(latents), len(sample)):
                part = _leading(latents[row : row + len(sample)], sample)
                self._free(part).copy_(next(left) * self._free(other))
            yield latents

    def _factors_and_weights(
        self, pipeline: str, sample: Tensor, model_output: Tensor
    ) -> tuple[list[float], list[float]]:
        """Times the sample that each call saw it, and times its output that the model output has it."""
        if not self.calls:
            raise InvalidArgument("pipe", pipeline, "pipelines that call their network between two steps")
        seen = [part for call in self.calls for part in call.latents.detach().split(len(sample))]
        outputs = [
            _leading(part, model_output) for call in self.calls for part in call.output.detach().split(len(sample))
        ]
        factors = [self._factor(pipeline, self._free(part), self._free(sample)) for part in seen]
        return factors, self._weights(pipeline, outputs, model_output)

    def _free(self, latents: Tensor) -> Tensor:
        """Those that the network sees as the scheduler does."""
        return latents[:, :, 1:] if self.fixed else latents

    @staticmethod
    def _factor(pipeline: str, seen: Tensor, sample: Tensor) -> float:
        """How many times the sample the transformer saw: 1, but for schedulers that scale its input."""
        if seen.ndim == sample.ndim and all(n >= m for n, m in zip(seen.shape, sample.shape, strict=True)):
            seen_, sample_ = _leading(seen, sample).double(), sample.double()
            factor = float((seen_ * sample_).sum() / sample_.square().sum())
            if _close(seen_, factor * sample_, seen.dtype):
                return factor
        raise InvalidArgument("pipe", pipeline, "pipelines whose network sees the latents, other channels behind them")

    @staticmethod
    def _weights(pipeline: str, outputs: list[Tensor], model_output: Tensor) -> list[float]:
        """Weights, of sum 1, with which the outputs add up to the model output."""
        if all(output.shape == model_output.shape for output in outputs):
            first, *others = (output.double() for output in outputs)
            weights = [1.0]
            if others:
                differences = torch.stack([(other - first).flatten() for other in others], 1)
                target = (model_output.double() - first).flatten()
                gram = differences.T @ differences
                solution = torch.linalg.pinv(gram, hermitian=True) @ (differences.T @ target)
                weights = [1 - float(solution.sum()), *solution.tolist()]
            combined = torch.stack([w * o for w, o in zip(weights, [first, *others], strict=True)]).sum(0)
            amplification = sum(abs(weight) for weight in weights)
            if _close(model_output.double(), combined, outputs[0].dtype, amplification):
                return weights
        allowed = "pipelines that combine the transformer's outputs as u + w (c - u), without rescaling"
        raise InvalidArgument("pipe", pipeline, allowed)


def _close(got: Tensor, expected: Tensor, dtype: torch.dtype, amplification: float = 1.0) -> bool:
    """Equal to 1e-4, or to the rounding of `dtype`, in the norm; what is not finite is nobody's mistake here."""
    tolerance = max(1e-4, 2 * torch.finfo(dtype).eps * amplification)
    return not bool((got - expected).norm() > tolerance * expected.norm())


def _at(part: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of a call, behind its latents, at a part of its time: ``timestep``, the first where it has no name.

    >>> _at(0.5, (), {"timestep": torch.tensor([999, 0])})
    ((), {'timestep': tensor([500,   0])})
    """
    if part == 1.0:
        return args, kwargs

    def scaled(time: Tensor) -> Tensor:
        found = part * time.double()
        return (found if time.is_floating_point() else found.round()).to(time.dtype)

    if "timestep" in kwargs:
        return args, {**kwargs, "timestep": scaled(kwargs["timestep"])}
    return (scaled(args[0]), *args[1:]), kwargs


def _combined(outputs: list[Tensor], weights: list[float], like: Tensor) -> Tensor:
    """The model output that outputs of the network add up to."""
    parts = [_leading(part, like) for output in outputs for part in output.split(len(like))]
    return torch.stack([weight * part.to(like.dtype) for weight, part in zip(weights, parts, strict=True)]).sum(0)


def _leading(tensor: Tensor, latents: Tensor) -> Tensor:
    """The part of a network's input or output that is the latents: behind them are a picture, or variances."""
    return tensor[tuple(slice(length) for length in latents.shape)]


def networks(pipe: Any) -> list[Any]:
    """What a pipeline denoises with: its transformers, or its UNet.

    Raises:
        InvalidArgument: a pipeline with neither.
    """
    found = [getattr(pipe, name, None) for name in ("transformer", "transformer_2", "unet")]
    if all(model is None for model in found):
        raise InvalidArgument("pipe", type(pipe).__name__, "diffusers pipelines with a transformer or a unet")
    return [model for model in found if model is not None]


def require_resident(models: list[nn.Module]) -> None:
    """Refuse models whose weights are taken off the device between a call and the way back through its graph.

    Raises:
        InvalidArgument: a model that diffusers offloads as a whole or by groups of layers, or DiffSynth manages.
    """
    for model in models:
        managed = getattr(model, "vram_management_enabled", False)
        if managed or isinstance(getattr(model, "_hf_hook", None), CpuOffload) or _is_group_offload_enabled(model):
            allowed = "pipelines without model or group offloading, for a guidance that differentiates the network"
            raise InvalidArgument("pipe", f"an offloaded {type(model).__name__}", allowed)


def require_uncached(models: list[nn.Module]) -> None:
    """Refuse models that answer a call with what they kept of the one before, which is repeated or has other samples.

    Raises:
        InvalidArgument: a model with a cache of diffusers.
    """
    for model in models:
        if getattr(model, "is_cache_enabled", False):
            allowed = "a network without a cache (disable_cache()), for a guidance that calls it again or by other rows"
            raise InvalidArgument("pipe", f"{type(model).__name__} with a cache", allowed)


@contextmanager
def recorded(models: list[nn.Module], recorder: Recorder) -> Iterator[None]:
    """Record the models' calls inside; their parameters are not differentiated, which saves their activations."""
    with ExitStack() as stack:
        for model in models:
            make_ordinary(model)
            stack.enter_context(_frozen(model))
            stack.enter_context(called_through(model, recorder.wrap))
        yield


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_()
