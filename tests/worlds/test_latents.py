"""Videos to the latents of a world's network and back."""

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from physgen.experiments.draw.references import reconstruct
from physgen.worlds import World, world_spec
from physgen.worlds.micro.autoencoder import MicroAutoencoder

MEAN, STD = [0.3, -0.2, 0.1, 0.7], [1.7, 0.4, 0.9, 2.1]


def micro() -> Any:
    return MicroAutoencoder(z_dim=4, dims=(8, 8, 8), latents_mean=MEAN, latents_std=STD)


def wan() -> Any:
    return AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=MEAN, latents_std=STD
    )


@pytest.fixture(scope="module", params=[micro, wan], ids=lambda build: build.__name__)
def world(request: pytest.FixtureRequest) -> World:
    torch.manual_seed(0)
    pipe: Any = SimpleNamespace(vae=request.param().eval(), _execution_device=torch.device("cpu"))
    return World(world_spec("micro"), pipe)


@pytest.fixture(scope="module")
def video() -> Tensor:
    return torch.rand(2, 3, 5, 16, 16, generator=torch.Generator().manual_seed(1))


def test_latents_and_videos_are_the_bits_of_the_formula(world: World, video: Tensor) -> None:
    vae: Any = world.pipe.vae
    mean, std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        z = vae.encode(2 * video - 1).latent_dist.mode()
        latents = (z - mean) / std
        seen = (vae.decode(latents * std + mean).sample / 2 + 0.5).clamp(0, 1)
        through = (vae.decode(z).sample / 2 + 0.5).clamp(0, 1)
    assert torch.equal(world.encode(video), latents)
    assert torch.equal(world.encode(video, normalised=False), z)
    assert torch.equal(world.normalise(z), latents)
    assert torch.equal(world.decode(latents), seen)
    assert torch.equal(reconstruct(world, video), through)


def test_weights_of_any_dtype_take_and_give_float32(world: World, video: Tensor) -> None:
    vae: Any = copy.deepcopy(world.pipe.vae)
    pipe: Any = SimpleNamespace(vae=vae.to(torch.bfloat16), _execution_device=torch.device("cpu"))
    half = replace(world, pipe=pipe)
    for exact, rounded in (
        (world.encode(video), half.encode(video)),
        (reconstruct(world, video), reconstruct(half, video)),
    ):
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, exact, rtol=0, atol=0.1)


def test_nothing_is_differentiated(world: World, video: Tensor) -> None:
    latents = world.encode(video.clone().requires_grad_())
    assert not latents.requires_grad
    assert not world.decode(latents.requires_grad_()).requires_grad
