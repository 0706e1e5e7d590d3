"""The decoder of `AutoencoderKLWan`, differentiable in the memory of one latent frame of one tile."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify
from diffusers.utils.accelerate_utils import apply_forward_hook
from jaxtyping import Float
from torch import Tensor

from physgen.sampling.decoding.recompute import remade


@apply_forward_hook
def decode_unclamped(vae: Any, z: Float[Tensor, "B C N h w"]) -> Float[Tensor, "B 3 T H W"]:
    """Decode as ``vae.decode`` does, with its tiling, but for the last clamp: its gradient is zero outside [-1, 1].

    Activations are made again on the way back: of the tiles one by one, of the frames of a tile one by one. What stays
    is the memory of the causal convolutions, two frames each, for every latent frame of one tile. Offloading hooks
    run as they do for ``vae.decode``.

    Source: Chen et al. (2016), Training deep nets with sublinear memory cost, arXiv:1604.06174.

    >>> from diffusers import AutoencoderKLWan
    >>> vae = AutoencoderKLWan(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval()
    >>> z = torch.randn(1, 4, 2, 2, 2)
    >>> bool(torch.equal(decode_unclamped(vae, z).clamp(-1, 1), vae.decode(z).sample))
    True
    """
    ratio = vae.spatial_compression_ratio
    tile = (vae.tile_sample_min_height // ratio, vae.tile_sample_min_width // ratio)
    tiled = vae.use_tiling and (z.shape[3] > tile[0] or z.shape[4] > tile[1])
    video = _tiles(vae, z, tile) if tiled else _frames(vae, z)
    patch = vae.config.patch_size
    return video if patch is None else unpatchify(video, patch_size=patch)


def _frames(vae: Any, z: Tensor) -> Tensor:
    cache: list[Any] = [None] * sum(isinstance(module, WanCausalConv3d) for module in vae.decoder.modules())
    frames = []
    for k, frame in enumerate(vae.post_quant_conv(z).split(1, 2)):
        decoded, cache = remade(_frame, vae.decoder, frame, cache, k == 0)
        frames.append(decoded)
    return torch.cat(frames, 2)


def _frame(decoder: Any, frame: Tensor, cache: list[Any], first: bool) -> tuple[Tensor, list[Any]]:
    cache = list(cache)  # which the decoder changes, and a second run needs as it was
    return decoder(frame, feat_cache=cache, feat_idx=[0], first_chunk=first), cache


def _tiles(vae: Any, z: Tensor, tile: tuple[int, int]) -> Tensor:
    scale = vae.spatial_compression_ratio // (vae.config.patch_size or 1)
    samples = (vae.tile_sample_stride_height, vae.tile_sample_stride_width)
    stride = [length // vae.spatial_compression_ratio for length in samples]
    overlap = [(tile[axis] - stride[axis]) * scale for axis in (0, 1)]
    above: list[Tensor] = []
    rows = []
    for i in range(0, z.shape[3], stride[0]):
        row: list[Tensor] = []
        for j in range(0, z.shape[4], stride[1]):
            decoded = remade(_frames, vae, z[..., i : i + tile[0], j : j + tile[1]])
            if above:
                decoded = _blended(above[len(row)], decoded, overlap[0], 3)
            if row:
                decoded = _blended(row[-1], decoded, overlap[1], 4)
            row.append(decoded)
        rows.append(torch.cat([part[..., : stride[0] * scale, : stride[1] * scale] for part in row], 4))
        above = row
    return torch.cat(rows, 3)[..., : z.shape[3] * scale, : z.shape[4] * scale]


def _blended(before: Tensor, tile: Tensor, overlap: int, dim: int) -> Tensor:
    overlap = min(before.shape[dim], tile.shape[dim], overlap)
    ramp = torch.arange(overlap, device=tile.device, dtype=tile.dtype) / max(overlap, 1)
    ramp = ramp.view(-1, *[1] * (4 - dim))
    end, start = before.narrow(dim, before.shape[dim] - overlap, overlap), tile.narrow(dim, 0, overlap)
    rest = tile.narrow(dim, overlap, tile.shape[dim] - overlap)
    return torch.cat([end * (1 - ramp) + start * ramp, rest], dim)
