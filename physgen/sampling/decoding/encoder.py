"""The first frames of a video as the latents that a pipeline's scheduler has for them."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import floating, whole
from physgen.errors import InvalidArgument
from physgen.sampling.decoding.layout import axes_of, normalise
from physgen.sampling.diffsynth import seen_as_diffusers


@torch.no_grad()
def encode_frames(pipe: Any, frames: Float[Tensor, "B 3 n H W"], num_frames: int) -> Float[Tensor, "B *latents"]:
    """Latents of a video of `num_frames` whose first n frames are known, NaN where they are not.

    The encoder is causal: latent frame k is made of frames 0 to r k, r being how many frames become one. So the first
    1 + floor((n - 1) / r) latent frames are known, which is one for the first frame alone.

    Args:
        pipe: a pipeline of Wan's, of diffusers or DiffSynth, or of the embedded world.
        frames: the first n frames, in [0, 1], of the size of the video.
        num_frames: of the whole video.

    Raises:
        InvalidArgument: an autoencoder that is not known to be causal, frames that are not ``[B, 3, n, H, W]`` or more
            than there are, a length that is not 1 more than a multiple of r.

    Source: Wan, arXiv:2503.20314, section 4.1.

    >>> from types import SimpleNamespace
    >>> from diffusers import AutoencoderKLWan
    >>> vae = AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    >>> latents = encode_frames(SimpleNamespace(vae=vae), torch.rand(1, 3, 1, 16, 16), 9)
    >>> latents.shape, latents.isnan().all((0, 1, 3, 4)).tolist()
    (torch.Size([1, 16, 3, 2, 2]), [False, True, True])
    """
    pipe = seen_as_diffusers(pipe)
    vae, axes = pipe.vae, axes_of(pipe)
    ratio = getattr(getattr(vae, "config", None), "scale_factor_temporal", None)
    if ratio is None:
        raise InvalidArgument(
            "pipe", type(vae).__name__, "a pipeline whose autoencoder is Wan's or the embedded world's"
        )
    allowed = f"[B, 3, n, H, W] in [0, 1], n from 1 to {whole('num_frames', num_frames)}"
    frames = floating("frames", frames, allowed)
    if frames.ndim != 5 or frames.shape[1] != 3 or not 0 < frames.shape[2] <= num_frames:
        raise InvalidArgument("frames", list(frames.shape), allowed)
    if (num_frames - 1) % ratio:
        raise InvalidArgument("num_frames", num_frames, f"1 more than a multiple of {ratio}")
    known = 1 + (frames.shape[2] - 1) // ratio
    device = next(vae.parameters()).device
    video = (2 * frames[:, :, : 1 + ratio * (known - 1)] - 1).to(device, vae.dtype)
    z = normalise(vae, vae.encode(video).latent_dist.mode().float())
    latents = z.new_full((*z.shape[:2], 1 + (num_frames - 1) // ratio, *z.shape[3:]), math.nan)
    latents[:, :, :known] = z
    return latents.permute(["BCTHW".index(axis) for axis in axes])
