"""The micro world's video autoencoder: 8x in space, 4x in time, causal, with `AutoencoderKLWan`'s surface.

Four frames are folded into channels, so every convolution is two-dimensional; time enters through memory blocks that
see the previous group of four. The first frame forms a group of its own. The idea of a memory block is TAEHV's
(madebyollin/taehv).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

STRIDE_T = 4
STRIDE_S = 8


class Block(nn.Module):
    """Residual convolution; with ``memory`` it also reads the previous group of frames."""

    def __init__(self, channels: int, *, memory: bool = False) -> None:
        super().__init__()
        self.memory = memory
        self.first = nn.Conv2d(channels * (2 if memory else 1), channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, groups: int) -> Tensor:
        """``x`` is ``[B * groups, C, H, W]``."""
        context = x
        if self.memory:
            grouped = x.unflatten(0, (-1, groups))
            previous = torch.cat([torch.zeros_like(grouped[:, :1]), grouped[:, :-1]], dim=1)
            context = torch.cat([x, previous.flatten(0, 1)], dim=1)
        return x + self.second(F.silu(self.first(F.silu(context))))


class MicroAutoencoder(ModelMixin, ConfigMixin):
    """Variational autoencoder of ``[B, 3, 1 + 4n, 8h, 8w]`` videos in [-1, 1] to ``[B, z_dim, 1 + n, h, w]`` latents.

    >>> autoencoder = MicroAutoencoder(z_dim=4, dims=(8, 8, 8))
    >>> latents = autoencoder.encode(torch.zeros(1, 3, 9, 16, 16)).latent_dist.mode()
    >>> latents.shape, autoencoder.decode(latents).sample.shape
    (torch.Size([1, 4, 3, 2, 2]), torch.Size([1, 3, 9, 16, 16]))
    """

    @register_to_config
    def __init__(
        self,
        z_dim: int = 16,
        dims: Sequence[int] = (32, 64, 128),
        decoder_dims: Sequence[int] | None = None,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
        scale_factor_temporal: int = STRIDE_T,
        scale_factor_spatial: int = STRIDE_S,
    ) -> None:
        super().__init__()
        fine, middle, coarse = dims
        pixels = 3 * STRIDE_T * 4
        self.encoder_in = nn.Conv2d(pixels, fine, 3, padding=1)
        self.encoder_fine = nn.ModuleList([Block(fine), Block(fine)])
        self.down_middle = nn.Conv2d(4 * fine, middle, 1)
        self.encoder_middle = nn.ModuleList([Block(middle, memory=True)])
        self.down_coarse = nn.Conv2d(4 * middle, coarse, 1)
        self.encoder_coarse = nn.ModuleList([Block(coarse, memory=True)])
        self.encoder_out = nn.Conv2d(coarse, 2 * z_dim, 1)
        fine, middle, coarse = decoder_dims or dims
        self.decoder_in = nn.Conv2d(z_dim, coarse, 3, padding=1)
        self.decoder_coarse = nn.ModuleList([Block(coarse, memory=True), Block(coarse, memory=True)])
        self.up_middle = nn.Conv2d(coarse, 4 * middle, 1)
        self.decoder_middle = nn.ModuleList([Block(middle, memory=True), Block(middle)])
        self.up_fine = nn.Conv2d(middle, 4 * fine, 1)
        self.decoder_fine = nn.ModuleList([Block(fine), Block(fine), Block(fine)])
        self.decoder_out = nn.Conv2d(fine, pixels, 3, padding=1)
        self.to(memory_format=torch.channels_last)

    def moments(self, video: Tensor) -> Tensor:
        """Mean and log-variance of the latents, ``[B, 2 z_dim, 1 + n, h, w]``."""
        padded = torch.cat([video[:, :, :1].expand(-1, -1, STRIDE_T - 1, -1, -1), video], dim=2)
        groups = padded.shape[2] // STRIDE_T
        x = padded.unflatten(2, (groups, STRIDE_T)).permute(0, 2, 3, 1, 4, 5).flatten(2, 3).flatten(0, 1)
        x = self.encoder_in(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))
        for block in self.encoder_fine:
            x = block(x, groups)
        x = self.down_middle(F.pixel_unshuffle(x, 2))
        for block in self.encoder_middle:
            x = block(x, groups)
        x = self.down_coarse(F.pixel_unshuffle(x, 2))
        for block in self.encoder_coarse:
            x = block(x, groups)
        return self.encoder_out(x).unflatten(0, (-1, groups)).transpose(1, 2)

    @apply_forward_hook
    def decode_unclamped(self, latents: Tensor) -> Tensor:
        """Decode without the final clamp, so that gradients do not vanish outside [-1, 1]."""
        groups = latents.shape[2]
        x = latents.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = self.decoder_in(x)
        for block in self.decoder_coarse:
            x = block(x, groups)
        x = F.pixel_shuffle(self.up_middle(x), 2)
        for block in self.decoder_middle:
            x = block(x, groups)
        x = F.pixel_shuffle(self.up_fine(x), 2)
        for block in self.decoder_fine:
            x = block(x, groups)
        x = F.pixel_shuffle(self.decoder_out(F.silu(x)), 2)
        frames = x.unflatten(0, (-1, groups)).unflatten(2, (STRIDE_T, 3)).flatten(1, 2)
        return frames[:, STRIDE_T - 1 :].transpose(1, 2)

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Posterior over latents, as ``AutoencoderKLWan.encode``."""
        posterior = DiagonalGaussianDistribution(self.moments(x))
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(self, z: Tensor, return_dict: bool = True) -> Any:
        """Video in [-1, 1], as ``AutoencoderKLWan.decode``."""
        sample = self.decode_unclamped(z).clamp(-1.0, 1.0)
        return DecoderOutput(sample=sample) if return_dict else (sample,)
