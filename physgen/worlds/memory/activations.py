"""Bytes of activations: a step of the transformer, a decode, and a decode with its way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.observables import Observable, observe
from physgen.sampling.decoding.decoder import decode, recomputed
from physgen.worlds.memory.trace import Held, traced

Shape = tuple[int, ...]
#: latent frames that are traced; what more of them hold grows evenly
FEW, MORE = 3, 5
#: tokens of a picture in the image encoder of Wan 2.1
PATCHES = 257


def step(model: Any, latents: Shape, text: int, pipeline: dict[str, Any], graph: bool) -> Held:
    """One call of a transformer for latents ``[C, N, h, w]`` and a text of so many tokens.

    Raises:
        InvalidArgument: a transformer whose inputs are not known here.
    """
    name = type(model).__name__
    if name not in _INPUTS:
        raise InvalidArgument("world", name, f"a plan of {', '.join(_INPUTS)}")
    inputs = _INPUTS[name](model.config, latents, text, pipeline)
    made: dict[str, Any] = {
        key: torch.empty(shape, device="meta", dtype=kind or model.dtype) for key, (shape, kind) in inputs.items()
    }
    if name == "CogVideoXTransformer3DModel":
        made["image_rotary_emb"] = (made.pop("cos"), made.pop("sin"))

    def work() -> Tensor:
        with torch.set_grad_enabled(graph):
            made["hidden_states"].requires_grad_(graph)
            return model(**made, return_dict=False)[0]

    return traced(work)


def _wan(config: Any, latents: Shape, text: int, pipeline: dict[str, Any]) -> dict[str, Any]:
    _, frames, height, width = latents
    tokens = frames * height * width // 4
    times = (1, tokens) if pipeline.get("expand_timesteps") else (1,)
    picture = {"encoder_hidden_states_image": ((1, PATCHES, config.image_dim), None)} if config.image_dim else {}
    return {
        "hidden_states": ((1, config.in_channels, frames, height, width), None),
        "timestep": (times, torch.float32),
        "encoder_hidden_states": ((1, text, config.text_dim), None),
        **picture,
    }


def _hunyuan(config: Any, latents: Shape, text: int, pipeline: dict[str, Any]) -> dict[str, Any]:
    return {
        "hidden_states": ((1, *latents), None),
        "timestep": ((1,), None),
        "encoder_hidden_states": ((1, text, config.text_embed_dim), None),
        "encoder_attention_mask": ((1, text), None),
        "pooled_projections": ((1, config.pooled_projection_dim), None),
        "guidance": ((1,), None),
    }


def _cogvideox(config: Any, latents: Shape, text: int, pipeline: dict[str, Any]) -> dict[str, Any]:
    channels, frames, height, width = latents  # both branches of classifier-free guidance are one batch
    rotary = ((frames * height * width // config.patch_size**2, config.attention_head_dim), torch.float32)
    return {
        "hidden_states": ((2, frames, channels, height, width), None),
        "timestep": ((2,), None),
        "encoder_hidden_states": ((2, text, config.text_embed_dim), None),
        "cos": rotary,
        "sin": rotary,
    }


_INPUTS: dict[str, Callable[..., dict[str, Any]]] = {
    "WanTransformer3DModel": _wan,
    "HunyuanVideoTransformer3DModel": _hunyuan,
    "CogVideoXTransformer3DModel": _cogvideox,
}


def decoding(vae: Any, latents: Shape, graph: bool) -> Held:
    """A decode of latents ``[C, N, h, w]``, and with `graph` the way back as a guidance takes it.

    Tiles are taken to be as many as cover the latents, all of the first one's size, and frames beyond the fifth to hold
    as much as those before: `extended` of what one tile of few frames is traced to hold.
    """
    tile, times = tiles(vae, latents)
    if tile[1] <= MORE:
        held = _decoded(vae, tile, graph)
    else:
        few, more = (_decoded(vae, (tile[0], frames, *tile[2:]), graph) for frames in (FEW, MORE))
        steps = (tile[1] - MORE) / (MORE - FEW)
        held = Held(
            round(more.peak + steps * (more.peak - few.peak)), round(more.kept + steps * (more.kept - few.kept))
        )
    return held.extended(times)


def reading(observable: Observable, video: Shape, dtype: torch.dtype) -> Held:
    """Reading fields off a decoded video ``[3, T, H, W]``, and the way back."""
    made = torch.empty((1, *video), device="meta", dtype=dtype, requires_grad=True)

    def work() -> Tensor:
        fields = observe(observable, (made.float() + 1) / 2)
        return torch.autograd.grad(fields.square().sum(), made)[0]

    return traced(work)


def _decoded(vae: Any, latents: Shape, graph: bool) -> Held:
    z = torch.empty((1, *latents), device="meta", dtype=vae.dtype, requires_grad=graph)
    tiled, vae.use_tiling = getattr(vae, "use_tiling", False), False
    size = 0

    def work() -> None:
        nonlocal size
        with torch.set_grad_enabled(graph), recomputed(vae):
            video = decode(vae, z) if graph else vae.decode(z, return_dict=False)[0]
            size = video.numel() * video.itemsize
            if graph:
                torch.autograd.grad(video.sum(), z)

    peak, whole = traced(work).peak, isinstance(vae, AutoencoderKLWan)  # whose tiles are made again as a whole
    if graph and not whole:
        with recomputed(vae):
            size = traced(lambda: decode(vae, z)).kept
    vae.use_tiling = tiled
    return Held(peak, size)


def tiles(vae: Any, latents: Shape) -> tuple[Shape, float]:
    """The first tile of a decode, and how many of its size all of them are."""
    channels, frames, *size = latents
    tile, times = [channels, frames, *size], 1.0
    if getattr(vae, "use_framewise_decoding", False):  # HunyuanVideo: tiles in time, always
        ratio = vae.temporal_compression_ratio
        length, stride = vae.tile_sample_min_num_frames // ratio, vae.tile_sample_stride_num_frames // ratio
        if frames > length:
            tile[1] = length + 1
            times *= sum(min(length + 1, frames - i) for i in range(0, frames, stride)) / tile[1]
    if not getattr(vae, "use_tiling", False):
        return tuple(tile), times
    ratio = getattr(vae, "spatial_compression_ratio", 0)
    lengths, strides = [], []
    for side in ("height", "width"):
        if ratio:
            lengths.append(getattr(vae, f"tile_sample_min_{side}") // ratio)
            strides.append(getattr(vae, f"tile_sample_stride_{side}") // ratio)
        else:  # CogVideoX
            lengths.append(getattr(vae, f"tile_latent_min_{side}"))
            strides.append(int(lengths[-1] * (1 - getattr(vae, f"tile_overlap_factor_{side}"))))
    if all(length >= extent for length, extent in zip(lengths, size, strict=True)):
        return tuple(tile), times
    for axis, (length, stride, extent) in enumerate(zip(lengths, strides, size, strict=True)):
        tile[2 + axis] = min(length, extent)
        times *= sum(min(length, extent - i) for i in range(0, extent, stride)) / tile[2 + axis]
    return tuple(tile), times
