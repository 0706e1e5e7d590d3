"""Decoding with a gradient: the values and gradients of diffusers' own decode, in less memory, tiled or not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import diffusers as d
import pytest
import torch
from markers import slow_except
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from physgen.experiments.speed.memory import peak_bytes
from physgen.sampling.decoding.decoder import decode, recomputed
from physgen.sampling.decoding.wan import decode_unclamped

TINY = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}


def wan() -> Any:
    return d.AutoencoderKLWan(**TINY)


def wan_2_2() -> Any:
    patches = {"is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16}
    return d.AutoencoderKLWan(decoder_base_dim=4, **TINY, **patches)


def hunyuan() -> Any:
    return d.AutoencoderKLHunyuanVideo(
        latent_channels=4,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
    )


def cogvideox() -> Any:
    return d.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )


#: autoencoder, and the arguments of its ``enable_tiling`` for several small tiles
AUTOENCODERS: dict[str, tuple[Callable[[], Any], tuple[float, ...]]] = {
    "wan": (wan, (32, 32, 24, 24)),
    "wan-2.2": (wan_2_2, (64, 64, 48, 48)),
    "hunyuan": (hunyuan, (32, 32, 8, 24, 24, 4)),
    "cogvideox": (cogvideox, (32, 32, 0.25, 0.25)),
}


@pytest.fixture
def case(request: pytest.FixtureRequest) -> tuple[Any, tuple[float, ...]]:
    torch.manual_seed(0)
    make, tiling = AUTOENCODERS[request.param]
    return make().eval().requires_grad_(False), tiling


def plain(vae: Any, z: Tensor) -> Tensor:
    return vae.decode(z, return_dict=False)[0]


@pytest.mark.parametrize("case", slow_except({"wan", "cogvideox"}, AUTOENCODERS), indirect=True)
@pytest.mark.parametrize("tiled", [False, True])
def test_values_and_gradients_are_those_of_diffusers(case: tuple[Any, tuple[float, ...]], tiled: bool) -> None:
    vae, tiling = case
    vae.double()
    if tiled:
        vae.enable_tiling(*tiling)
    z = torch.randn(1, 4, 3, 6, 7, dtype=torch.float64).requires_grad_()
    expected = plain(vae, z)
    weights = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), z)
    with recomputed(vae):
        video = decode(vae, z)
        if isinstance(vae, d.AutoencoderKLWan):
            video = video.clamp(-1, 1)
        (ours,) = torch.autograd.grad((video * weights).sum(), z)
    torch.testing.assert_close(video, expected)
    torch.testing.assert_close(ours, gradient)
    assert gradient.abs().max() > 0
    assert not getattr(vae, "is_gradient_checkpointing", False)
    assert "forward" not in vae.decoder.__dict__


@pytest.mark.parametrize("case", slow_except({"wan"}, AUTOENCODERS), indirect=True)
def test_peak_is_several_times_lower(case: tuple[Any, tuple[float, ...]]) -> None:
    """At these sizes; the more frames, the more."""
    vae, _ = case
    z = torch.randn(1, 4, 8, 6, 6).requires_grad_()

    def work(how: Callable[[Any, Tensor], Tensor], context: Any) -> Callable[[], object]:
        def run() -> None:
            with context:
                torch.autograd.grad(how(vae, z).square().sum(), z)

        return run

    before, after = peak_bytes(work(plain, nullcontext())), peak_bytes(work(decode, recomputed(vae)))
    assert after < before / 2


def test_gradient_does_not_vanish_where_a_clamp_would_stop_it() -> None:
    torch.manual_seed(0)
    vae = wan().eval().requires_grad_(False)
    vae.decoder.conv_out.weight *= 100
    z = torch.randn(1, 4, 2, 2, 2).requires_grad_()
    video = decode_unclamped(vae, z)
    outside = video.detach().abs() > 1
    assert outside.float().mean() > 0.5
    (ours,) = torch.autograd.grad((video * outside).sum(), z)
    (theirs,) = torch.autograd.grad((plain(vae, z) * outside).sum(), z)
    assert ours.abs().max() > 0
    assert theirs.abs().max() == 0


def test_second_derivatives() -> None:
    """`PiGDM` and `ConditionalMean` differentiate the gradient."""
    torch.manual_seed(0)
    vae = wan().double().eval().requires_grad_(False)
    z, direction = torch.randn(2, 1, 4, 2, 2, 2, dtype=torch.float64)

    def curvature(how: Callable[[Any, Tensor], Tensor]) -> Tensor:
        x = z.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(how(vae, x).square().mean(), x, create_graph=True)
        return torch.autograd.grad((gradient * direction).sum(), x)[0]

    with sdpa_kernel(SDPBackend.MATH):
        expected = curvature(plain)
        torch.testing.assert_close(curvature(decode_unclamped), expected)
    assert expected.abs().max() > 0
