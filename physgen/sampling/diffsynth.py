"""DiffSynth-Studio's Wan pipeline with the parts that `guide` knows of diffusers' pipelines, itself unmodified."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from jaxtyping import Float
from torch import Tensor, nn

from physgen.errors import InvalidArgument
from physgen.sampling.decoding.recompute import remade
from physgen.sampling.swap import replaced

if TYPE_CHECKING:
    from physgen.sampling.session import Session

#: size and stride of tiles, in latents, by which the pipeline decodes unless it is told otherwise
TILE, STRIDE = (30, 52), (15, 26)


class DiffSynthPipeline:
    """A `WanVideoPipeline` of DiffSynth, seen as a pipeline of diffusers.

    Its network is the pipeline's ``model_fn``, through which every call of its transformers goes.

    Raises:
        InvalidArgument: another scheduler than ``FlowMatchScheduler``.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.scheduler = pipe, pipe.scheduler
        self.vae = Autoencoder(pipe.vae) if pipe.vae is not None else None
        self.transformer = Network(pipe) if pipe.dit is not None else None
        name = getattr(type(pipe.scheduler), "__qualname__", "")
        if name != "FlowMatchScheduler":
            raise InvalidArgument("scheduler", name, "FlowMatchScheduler in a pipeline of DiffSynth")

    @contextmanager
    def routed(self, session: Session) -> Iterator[None]:
        """Inside, calls of the pipeline's transformers go through `transformer`, where a session records it.

        A first latent frame that the pipeline takes from a picture is kept for the session.
        """
        plain = self.pipe.model_fn

        def model_fn(*, latents: Tensor, **inputs: Any) -> Any:
            session.first = latents[:, :, :1].detach() if inputs.get("fuse_vae_embedding_in_latents") else None
            if session.recorder is None or self.transformer is None:
                return plain(latents=latents, **inputs)
            return self.transformer(latents, **inputs)[0]

        with replaced(self.pipe, "model_fn", model_fn):
            yield

    @contextmanager
    def projecting(self, project: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Inside, the decoded video, in [-1, 1], is what `project` makes of it in [0, 1], in float32."""
        with ExitStack() as stack:
            for name in ("decode", "decode_framewise"):
                stack.enter_context(replaced(self.pipe.vae, name, _after(getattr(self.pipe.vae, name), project)))
            yield


def seen_as_diffusers(pipe: Any) -> Any:
    """The pipeline, or what `guide` takes for it where it is DiffSynth's; that library is not imported here."""
    names = {(cls.__module__, cls.__name__) for cls in type(pipe).__mro__}
    return DiffSynthPipeline(pipe) if ("diffsynth.pipelines.wan_video", "WanVideoPipeline") in names else pipe


def euler(scheduler: Any, timestep: Tensor | float | None) -> FlowMatchEulerDiscreteScheduler:
    """The scheduler of diffusers that makes the same steps as DiffSynth's, at the step of this timestep.

    >>> theirs = SimpleNamespace(sigmas=torch.tensor([1.0, 0.5]), timesteps=torch.tensor([1000.0, 500.0]))
    >>> ours = euler(theirs, 500.0)
    >>> ours.step_index, ours.sigmas.tolist()
    (1, [1.0, 0.5, 0.0])
    """
    same = FlowMatchEulerDiscreteScheduler()
    if timestep is not None:
        same.sigmas = torch.cat([scheduler.sigmas, torch.zeros(1)])
        same.timesteps = scheduler.timesteps
        same._step_index = int((scheduler.timesteps - float(timestep)).abs().argmin())
    return same


class Network(nn.Module):
    """``model_fn`` of a pipeline as a network of diffusers: latents and whatever else to a tuple of one tensor."""

    def __init__(self, pipe: Any) -> None:
        super().__init__()
        self.dit, self.dit2, self.model_fn = pipe.dit, pipe.dit2, pipe.model_fn
        self.vram_management_enabled = pipe.vram_management_enabled

    def forward(self, latents: Tensor, **inputs: Any) -> tuple[Tensor]:
        """What the pipeline's ``model_fn`` gives, called by names.

        Raises:
            InvalidArgument: TeaCache, which answers a second call with what it kept of the first.
        """
        if inputs.get("tea_cache") is not None:
            raise InvalidArgument("tea_cache_l1_thresh", "a threshold", "None, for a guidance through the network")
        return (self.model_fn(latents=latents, **inputs),)


class Autoencoder:
    """DiffSynth's autoencoder of Wan 2.1 or 2.2 with the parts of diffusers' that `Decoder` and `encode_frames` use."""

    def __init__(self, vae: Any) -> None:
        self.wan, self.model = vae, vae.model
        self.config = SimpleNamespace(
            latents_mean=vae.mean.tolist(), latents_std=vae.std.tolist(), scale_factor_temporal=4
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        return next(self.model.parameters()).dtype

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights."""
        found: Iterator[nn.Parameter] = self.model.parameters()
        return found

    def encode(self, video: Float[Tensor, "B 3 T H W"]) -> Any:
        """The posterior of a video in [-1, 1], of which there is the mode alone."""
        channels = len(self.config.latents_mean)
        z = self.model.encode(video, [torch.zeros(channels), torch.ones(channels)])
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: z))

    def decode_unclamped(self, z: Float[Tensor, "B C N h w"]) -> Float[Tensor, "B 3 T H W"]:
        """As the pipeline decodes by default, in overlapping tiles, but for the clamp; activations are made again."""
        height, width = z.shape[3:]
        if height <= TILE[0] and width <= TILE[1]:
            return self._frames(z)
        scale, parts = self.wan.upsampling_factor, []
        for top in _starts(height, TILE[0], STRIDE[0]):
            for left in _starts(width, TILE[1], STRIDE[1]):
                bottom, right = min(top + TILE[0], height), min(left + TILE[1], width)
                tile = remade(self._frames, z[..., top:bottom, left:right])
                bounds = (top == 0, bottom == height, left == 0, right == width)
                overlap = tuple((size - stride) * scale for size, stride in zip(TILE, STRIDE, strict=True))
                mask = self.wan.build_mask(tile, bounds, overlap).to(tile)
                around = [scale * n for n in (left, width - right, top, height - bottom)]
                parts.append((nn.functional.pad(tile * mask, around), nn.functional.pad(mask, around)))
        video, weight = (sum(part) for part in zip(*parts, strict=True))
        return video / weight

    def _frames(self, z: Tensor) -> Tensor:
        decoder = self.model.decoder
        cache: list[Any] = [None] * sum(type(part).__name__ == "CausalConv3d" for part in decoder.modules())
        marked = "first_chunk" in inspect.signature(decoder.forward).parameters  # Wan 2.2's, which works on patches
        frames = []
        for k, frame in enumerate(self.model.conv2(z).split(1, 2)):
            decoded, cache = remade(_frame, decoder, frame, cache, {"first_chunk": k == 0} if marked else {})
            frames.append(decoded)
        video = torch.cat(frames, 2)
        return unpatchify(video, patch_size=2) if marked else video


def _frame(decoder: Any, frame: Tensor, cache: list[Any], options: dict[str, bool]) -> tuple[Tensor, list[Any]]:
    cache = list(cache)  # which the decoder changes, and a second run needs as it was
    decoded = decoder(frame, feat_cache=cache, feat_idx=[0], **options)
    return (decoded[0] if isinstance(decoded, tuple) else decoded), cache


def _starts(length: int, tile: int, stride: int) -> list[int]:
    """Where tiles start: none that the one before covers to the end."""
    return [start for start in range(0, length, stride) if start == 0 or start - stride + tile < length]


def _after(decode: Callable[..., Tensor], project: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda *arguments, **options: 2 * project(decode(*arguments, **options)) - 1
