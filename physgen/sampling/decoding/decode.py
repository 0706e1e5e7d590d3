"""Decoding with a gradient in little memory: activations are made again on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import diffusers
from jaxtyping import Float
from torch import Tensor

from physgen.sampling.decoding.recompute import remade
from physgen.sampling.decoding.wan import decode_unclamped


def decode(vae: Any, z: Float[Tensor, "B C N h w"]) -> Float[Tensor, "B 3 T H W"]:
    """The video of de-normalised latents, around [-1, 1] and, where the autoencoder allows it, not clamped to that.

    Tiling, slicing and offloading hooks of the autoencoder act as in its own ``decode``.
    """
    if hasattr(vae, "decode_unclamped"):  # a clamp's gradient is zero outside [-1, 1]
        return vae.decode_unclamped(z)
    if isinstance(vae, diffusers.AutoencoderKLWan):
        return decode_unclamped(vae, z)
    return vae.decode(z, return_dict=False)[0]


@contextmanager
def recomputed(vae: Any) -> Iterator[None]:
    """Inside, activations of a decoder that diffusers can checkpoint are made again on the way back.

    Of one call after the other, a tile or a batch of frames, and within a call of one block after the other; results
    and gradients stay as they are. `AutoencoderKLWan` needs none of it, see `wan_decode`.
    """
    if not getattr(vae, "_supports_gradient_checkpointing", False) or vae.is_gradient_checkpointing:
        yield
        return
    own, forward = vae.decoder.__dict__.get("forward"), vae.decoder.forward  # offloading hooks put one there

    def again(*arguments: Any, **options: Any) -> Any:
        return remade(forward, *arguments, **options)

    vae.enable_gradient_checkpointing(remade)
    vae.decoder.forward = again
    try:
        yield
    finally:
        vae.disable_gradient_checkpointing()
        if own is None:
            del vae.decoder.forward
        else:
            vae.decoder.forward = own
