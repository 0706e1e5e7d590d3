"""Fields of a pipeline's latents: de-normalised, decoded with a gradient in little memory, observed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import diffusers
from jaxtyping import Float
from torch import Tensor

from physgen.observables import Observable, observe
from physgen.sampling.decoding.layout import OF_PICTURES, arranged, denormalise
from physgen.sampling.decoding.recompute import remade
from physgen.sampling.decoding.wan import decode_unclamped
from physgen.sampling.swap import replaced


@dataclass
class Decoder:
    """From latents, as the scheduler has them, to fields [B, S, T, H, W].

    Attributes:
        vae: the pipeline's.
        observable: how fields are read off a video, of which an image is one frame.
        axes: order of the latents' axes, see `axes_of`.
        frames: of the video that it gave last.

    Raises:
        InvalidArgument: in use, latents that are neither a video's nor an image's; an observable that gives another
            shape than it says.
    """

    vae: Any
    observable: Observable
    axes: str = "BCTHW"
    frames: int | None = None

    def __call__(self, latents: Tensor) -> Tensor:
        return observe(self.observable, self.video(latents))

    def video(self, latents: Tensor) -> Float[Tensor, "B 3 T H W"]:
        """The video in [0, 1], not clamped to that where the autoencoder allows it."""
        z = denormalise(self.vae, arranged(latents, self.axes))
        video = (decode(self.vae, z.to(self.vae.dtype)).float() + 1) / 2
        self.frames = video.shape[2]
        return video


def decode(vae: Any, z: Float[Tensor, "B C N h w"]) -> Float[Tensor, "B 3 T H W"]:
    """The video of de-normalised latents, around [-1, 1] and, where the autoencoder allows it, not clamped to that.

    Tiling, slicing and offloading hooks of the autoencoder act as in its own ``decode``.
    """
    if hasattr(vae, "decode_unclamped"):  # a clamp's gradient is zero outside [-1, 1]
        return vae.decode_unclamped(z)
    if isinstance(vae, diffusers.AutoencoderKLWan):
        return decode_unclamped(vae, z)
    if isinstance(vae, OF_PICTURES):
        return _decode_frames(vae, z)
    return vae.decode(z, return_dict=False)[0]


def _decode_frames(vae: Any, z: Tensor) -> Tensor:
    of_all = {"num_frames": z.shape[2]} if isinstance(vae, diffusers.AutoencoderKLTemporalDecoder) else {}
    frames = vae.decode(z.transpose(1, 2).flatten(0, 1), return_dict=False, **of_all)[0]
    return frames.unflatten(0, (len(z), -1)).transpose(1, 2)


@contextmanager
def recomputed(vae: Any) -> Iterator[None]:
    """Inside, activations of a decoder that diffusers can checkpoint are made again on the way back.

    Of one call after the other, a tile or a batch of frames, and within a call of one block after the other; results
    and gradients stay as they are. `AutoencoderKLWan` needs none of it, see `physgen.sampling.decoding.wan`.
    """
    if not getattr(vae, "_supports_gradient_checkpointing", False) or vae.is_gradient_checkpointing:
        yield
        return
    vae.enable_gradient_checkpointing(remade)
    try:
        with replaced(vae.decoder, "forward", partial(remade, vae.decoder.forward)):
            yield
    finally:
        vae.disable_gradient_checkpointing()
