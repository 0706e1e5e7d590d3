"""Fields of a pipeline's latents: de-normalised, decoded, observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.observables import Observable, observe
from physgen.sampling.decoding.decode import decode


@dataclass(frozen=True)
class Decoder:
    """From latents, as the scheduler has them, to fields [B, S, T, H, W].

    Latents are [B, C, T, H, W], CogVideoX's [B, T, C, H, W].

    Raises:
        InvalidArgument: in use, latents that are packed into tokens (LTX: their frames and rows are not known here) or
            padded with frames (CogVideoX 1.5); an observable that gives another shape than it says.
    """

    vae: Any
    observable: Observable
    padded: bool = False

    def __call__(self, latents: Tensor) -> Tensor:
        if latents.ndim != 5:
            raise InvalidArgument("latents", list(latents.shape), "pipelines with latents [B, C, T, H, W]")
        if self.padded:
            raise InvalidArgument("pipe", "a transformer with patch_size_t", "pipelines that do not pad the frames")
        if isinstance(self.vae, diffusers.AutoencoderKLCogVideoX):
            latents = latents.transpose(1, 2)
        scale = self._channels("latents_std", 1.0, latents) / getattr(self.vae.config, "scaling_factor", 1.0)
        z = (latents * scale + self._channels("latents_mean", 0.0, latents)).to(self.vae.dtype)
        return observe(self.observable, (decode(self.vae, z).float() + 1) / 2)

    def _channels(self, name: str, default: float, like: Tensor) -> Tensor | float:
        values = getattr(self.vae.config, name, None)
        return default if values is None else like.new_tensor(values).view(1, -1, 1, 1, 1)
