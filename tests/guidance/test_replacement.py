"""Known latents: held at every level of noise, under other guidances too, and nothing decoded for them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from sampling.test_pipelines import embeds, wan
from torch import Tensor

from physgen.constraints import Equality, Observed
from physgen.errors import InvalidArgument
from physgen.guidance import DPS, Composition, Projection, Replacement, X0Gradient
from physgen.observables import Intensity
from physgen.sampling import encode_frames, guide, sample_flow
from physgen.worlds import load_world

SIGMAS = torch.linspace(1, 0, 101, dtype=torch.float64)
#: covariance of a Gaussian whose second half follows the first
JOINT = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)


def velocity(x: Tensor, sigma: Tensor) -> Tensor:
    """Of samples [B, 2] of a Gaussian with covariance `JOINT`: x0_hat = (1 - s) C (s^2 + (1 - s)^2 C)^-1 x."""
    s = float(sigma)
    x0 = (1 - s) * x @ torch.linalg.inv(s**2 * torch.eye(2).double() + (1 - s) ** 2 * JOINT) @ JOINT
    return (x - x0) / s


def known(value: float) -> Tensor:
    return torch.tensor([[value, math.nan]], dtype=torch.float64)


def noise(count: int) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_known_part_is_exact_and_its_noise_stays() -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    x = sample_flow(
        velocity,
        noise(4),
        SIGMAS,
        guidance=Replacement(known(1.5)),
        callback=lambda i, x, _: seen.append((x, SIGMAS[i])),
    )
    assert torch.equal(x[:, 0], torch.full((4,), 1.5).double())
    for x_t, sigma in seen:
        assert torch.allclose(x_t[:, 0], (1 - sigma) * 1.5 + sigma * noise(4)[:, 0], atol=1e-12)


@pytest.mark.parametrize(("renoise", "low", "high"), [(0.0, 0.4, 0.6), (0.9, 1.05, 1.25)])
def test_the_rest_comes_near_its_conditional_mean_with_new_noise(renoise: float, low: float, high: float) -> None:
    """E[x_2 | x_1 = 1.5] = 1.2; without new noise replacement falls short of it."""
    guidance, generator = Replacement(known(1.5), renoise=renoise), torch.Generator().manual_seed(1)
    x = sample_flow(velocity, noise(4000), SIGMAS, guidance=guidance, generator=generator)
    assert low < float(x[:, 1].mean()) < high
    free = sample_flow(velocity, noise(4000), SIGMAS)
    assert abs(float(free[:, 1].mean())) < 0.1


class Counted:
    """The identity, and how often it was asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x[:, None, :, None, None]


def correct(guidance: Any, x: Tensor, decode: Any = None, position: tuple[int, int] | None = None) -> Tensor:
    x_t = x.clone().requires_grad_()
    found: Tensor = guidance.correct(x_t * 1.0, x_t=x_t, sigma=0.5, decode=decode, position=position)
    return found


def test_nothing_is_decoded_for_it() -> None:
    decode, law = Counted(), Equality(lambda fields: fields.sum((1, 2, 3, 4))[:, None] - 1)
    x = torch.rand(2, 2, dtype=torch.float64)
    correct(Replacement(known(1.0)), x, decode)
    composed = Composition([Replacement(known(1.0)), X0Gradient(law, start=0.5)])
    correct(composed, x, decode, (0, 4))
    assert decode.calls == 0
    correct(composed, x, decode, (3, 4))
    assert decode.calls == 1


@pytest.mark.parametrize("first", [True, False])
def test_others_see_what_is_known_and_move_the_rest(first: bool) -> None:
    law, x = Equality(lambda fields: fields.sum((1, 2, 3, 4))[:, None] - 1), torch.tensor([[0.9, 0.3]]).double()
    for other in (X0Gradient(law, steps=3), DPS(law)):
        parts = [Replacement(known(0.8)), other] if first else [other, Replacement(known(0.8))]
        found = correct(Composition(parts), x, lambda z: z[:, None, :, None, None])
        assert torch.allclose(found, torch.tensor([[0.8, 0.2]]).double(), atol=1e-6)


def test_it_goes_before_a_guidance_through_the_network_and_the_renoise_is_one() -> None:
    law = Equality(lambda x: x.sum(1) - 1)
    composed = Composition([Replacement(known(1.0), renoise=0.6), DPS(law, renoise=0.6, jacobian="forward")])
    assert (composed.through_network, composed.jacobian, composed.renoise) == (True, "forward", 0.6)
    with pytest.raises(InvalidArgument, match="only the first one through the network"):
        Composition([X0Gradient(law), DPS(law)])
    with pytest.raises(InvalidArgument, match="renoise"):
        Composition([Replacement(known(1.0)), DPS(law, renoise=0.6)])
    with pytest.raises(InvalidArgument, match="one or more constraints"):
        Projection({})


@pytest.mark.parametrize("latents", [torch.full((1, 2), math.nan), torch.ones(1, 2, dtype=torch.int64), None])
def test_what_is_no_knowledge(latents: Any) -> None:
    with pytest.raises((InvalidArgument, TypeError), match="latents"):
        Replacement(latents)


def test_latents_of_another_shape() -> None:
    with pytest.raises(InvalidArgument, match=r"known latents' shape, \[1, 2\]"):
        correct(Replacement(known(1.0)), torch.rand(1, 3).double())


# --- in pipelines


def test_the_first_frame_of_a_pipeline_is_the_one_that_is_known() -> None:
    torch.manual_seed(0)
    world, frame = wan(), embeds(1, 3, 1, 16, 16).sigmoid()
    latents = encode_frames(world.pipe, frame, 9)
    with guide(world.pipe, Replacement(latents), observable=Intensity()) as log:
        found = world.sample()
    assert torch.allclose(found[:, :, 0], latents[:, :, 0], atol=1e-5)
    assert (found - world.sample())[:, :, 1:].abs().max() > 1e-4
    assert all(entry.residual == {} and entry.correction_norm > 0 for entry in log.steps)
    values = torch.full((1, 9, 16, 16), math.nan)
    values[:, 8] = 0.5
    with guide(world.pipe, Composition([Replacement(latents), DPS(Observed(values))]), observable=Intensity()) as log:
        both = world.sample()
    assert torch.allclose(both[:, :, 0], latents[:, :, 0], atol=1e-5)
    assert all(entry.dropped == 0 for entry in log.steps)
    assert (both - found)[:, :, 1:].abs().max() > 1e-4


@pytest.mark.parametrize(("frames", "whole"), [(1, 1), (4, 1), (5, 2), (25, 7)])
def test_known_latents_are_those_of_the_whole_video(frames: int, whole: int) -> None:
    """The encoder is causal: what comes later does not change them, and what is not whole is not known."""
    pipe = load_world("micro").pipe
    video = torch.rand(1, 3, 25, 64, 64, generator=torch.Generator().manual_seed(0))
    everything, part = encode_frames(pipe, video, 25), encode_frames(pipe, video[:, :, :frames], 25)
    assert part.isnan().any(1).any(-1).any(-1)[0].tolist() == [k >= whole for k in range(7)]
    assert torch.allclose(part[:, :, :whole], everything[:, :, :whole], atol=1e-4)


def test_frames_that_cannot_be_encoded() -> None:
    pipe, frame = load_world("micro").pipe, torch.rand(1, 3, 1, 64, 64)
    for frames, count, message in [
        (frame[:, :2], 25, "frames"),
        (frame.expand(-1, -1, 9, -1, -1), 5, r"n from 1 to 5"),
        (frame, 24, "1 more than a multiple of 4"),
    ]:
        with pytest.raises((InvalidArgument, TypeError), match=message):
            encode_frames(pipe, frames, count)
