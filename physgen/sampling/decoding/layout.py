"""How the latents of a pipeline are laid out: which axes a scheduler's tensors have, and what an autoencoder takes."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument

#: autoencoders of pictures, which a video goes through frame by frame
OF_PICTURES = (diffusers.AutoencoderKL, diffusers.AutoencoderKLTemporalDecoder, diffusers.AutoencoderTiny)
#: pipelines whose scheduler has the latents of some frames alone, or of other frames besides
_OF_OTHER_FRAMES = ("Kandinsky5I2V", "SanaImageToVideo", "WanAnimate", "SkyReelsV2DiffusionForcing")
_FRAMES_FIRST = (diffusers.AutoencoderKLCogVideoX, diffusers.AutoencoderKLTemporalDecoder)


def axes_of(pipe: Any) -> str:
    """Order of batch, channels, frames, rows and columns in a pipeline's latents.

    CogVideoX and Stable Video Diffusion: frames before channels; Kandinsky 5: channels last; all others ``BCTHW``.

    Raises:
        InvalidArgument: latents that are packed into tokens (LTX, Flux: their frames and rows are not known here),
            padded with frames (CogVideoX 1.5), normalised frame by frame (Cosmos 1) or of other frames than the video
            (Kandinsky 5 and Sana from a picture, HunyuanVideo with token_replace, Wan Animate, SkyReels-V2 by forcing).

    >>> from types import SimpleNamespace
    >>> axes_of(SimpleNamespace(vae=diffusers.AutoencoderKL(block_out_channels=[32])))
    'BCTHW'
    """
    name, vae = type(pipe).__name__, pipe.vae
    config = getattr(getattr(pipe, "transformer", None), "config", {})
    if hasattr(pipe, "_pack_latents"):
        raise InvalidArgument("pipe", f"{name}, which packs its latents", "an observable of latents [B, C, T, H, W]")
    if (config.get("patch_size_t") or 1) > 1:
        raise InvalidArgument("pipe", f"{name} with patch_size_t", "pipelines that do not pad the frames")
    if isinstance(vae, diffusers.AutoencoderKLCosmos):
        raise InvalidArgument("pipe", f"{name} with {type(vae).__name__}", "latents that are normalised by channels")
    if name.startswith(_OF_OTHER_FRAMES) or config.get("image_condition_type") == "token_replace":
        allowed = "an observable of pipelines whose scheduler has the latents of the whole video"
        raise InvalidArgument("pipe", name, allowed)
    if name.startswith("Kandinsky5"):
        return "BTHWC"
    return "BTCHW" if isinstance(vae, _FRAMES_FIRST) else "BCTHW"


def arranged(latents: Tensor, axes: str) -> Float[Tensor, "B C T h w"]:
    """Latents in the order of an autoencoder of videos; of an image ``[B, C, H, W]``, those of one frame.

    Raises:
        InvalidArgument: neither four nor five axes.

    >>> import torch
    >>> arranged(torch.zeros(1, 2, 3, 4, 5), "BTHWC").shape
    torch.Size([1, 5, 2, 3, 4])
    """
    if latents.ndim == 4:
        return latents.unsqueeze(2)
    if latents.ndim != 5:
        raise InvalidArgument("latents", list(latents.shape), "pipelines with latents [B, C, T, H, W] or [B, C, H, W]")
    return latents.permute([axes.index(axis) for axis in "BCTHW"])


def normalise(vae: Any, z: Float[Tensor, "B C T h w"]) -> Float[Tensor, "B C T h w"]:
    """Latents of an autoencoder as the network of its pipeline has them: (z - mean) / std.

    mean = latents_mean + shift_factor,  std = latents_std / scaling_factor,  where its configuration has them

    >>> import torch
    >>> from types import SimpleNamespace
    >>> vae = SimpleNamespace(config=SimpleNamespace(latents_mean=[1.0], latents_std=[2.0]))
    >>> z = torch.full((1, 1, 1, 1, 1), 5.0)
    >>> normalise(vae, z).item(), denormalise(vae, normalise(vae, z)).item()
    (2.0, 5.0)
    """
    return (z - _shift(vae) - of_channels(vae, "latents_mean", 0.0, z)) / _scale(vae, z)


def denormalise(vae: Any, latents: Float[Tensor, "B C T h w"]) -> Float[Tensor, "B C T h w"]:
    """The inverse of `normalise`: std latents + mean."""
    return latents * _scale(vae, latents) + of_channels(vae, "latents_mean", 0.0, latents) + _shift(vae)


def _scale(vae: Any, like: Tensor) -> Float[Tensor, "1 C 1 1 1"] | float:
    return of_channels(vae, "latents_std", 1.0, like) / getattr(vae.config, "scaling_factor", 1.0)


def _shift(vae: Any) -> float:
    shift = getattr(vae.config, "shift_factor", None) if isinstance(vae, OF_PICTURES) else None
    return shift or 0.0


def of_channels(vae: Any, name: str, default: float, like: Tensor) -> Float[Tensor, "1 C 1 1 1"] | float:
    """A number of each latent channel, ``latents_mean`` or ``latents_std``, in a configuration, else in a buffer.

    >>> import torch
    >>> from types import SimpleNamespace
    >>> vae = SimpleNamespace(config=SimpleNamespace(latents_mean=[1.0, 2.0]))
    >>> of_channels(vae, "latents_mean", 0.0, torch.zeros(1)).flatten().tolist()
    [1.0, 2.0]
    """
    values = getattr(vae.config, name, None)
    values = getattr(vae, name, None) if values is None else values
    if values is None:
        return default
    return torch.as_tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1, 1)
