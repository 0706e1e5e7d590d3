"""The noise search in real pipelines with tiny random weights: its gradient, its run, and the cost that is said."""

from collections.abc import Callable
from typing import Any

import diffusers as d
import pytest
import torch
from PIL import Image
from tiny_pipelines import wan_i2v_pipe
from torch import Tensor

from physgen.constraints import Equality, Observed
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import DPS, Afterwards, NoiseSearch, OfVideo
from physgen.guidance.rewards.few_steps import FewSteps
from physgen.observables import ColourMap
from physgen.sampling import guide
from sampling.test_layouts import kandinsky, stable_diffusion
from sampling.test_pipelines import World, cogvideox, embeds, hunyuan, wan, wan_2_2

GRID = Grid(spacing=(2.0, 2.0), dt=0.5)
DYE = ColourMap([(0.05, 0.88, 0.15)], background=(0.04, 0.04, 0.04), species=("dye",))


def euler() -> Any:
    return d.FlowMatchEulerDiscreteScheduler(shift=3.0)


def loud(world: World) -> World:
    """With an output layer that is not near zero, so that the noise matters through the network too."""
    generator = torch.Generator().manual_seed(3)
    for parameter in world.pipe.transformer.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return world


def reward(x: Tensor) -> Tensor:
    return -((x[:, :2].flatten(1).mean(1) - 0.4) ** 2)


@pytest.fixture
def tiny() -> World:
    torch.manual_seed(0)
    return loud(wan(euler()))


@pytest.mark.parametrize("make", [lambda: wan(euler()), wan, hunyuan])
def test_the_run_is_the_pipelines_own_from_the_noise_that_was_found(make: Callable[[], World]) -> None:
    torch.manual_seed(0)
    world = loud(make())
    plain = world.sample()
    search = NoiseSearch(reward, iterations=3, euler_steps=2)
    calls: list[int] = []
    hook = world.pipe.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append(len(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])),
        with_kwargs=True,
    )
    with guide(world.pipe, search) as log:
        found = world.sample()
    hook.remove()
    assert log.search is search.log
    assert search.noise is not None
    assert float(reward(found)) > float(reward(plain))
    torch.testing.assert_close(found, world.sample(latents=search.noise), rtol=0, atol=1e-5)
    assert sum(calls) == log.search.evaluations + 2 * 4
    undone = sum(not kept[0] for kept in log.search.kept[:-1])
    total = 2 * 4 + log.search.evaluations + log.search.backward
    assert total == pytest.approx(2 * 4 * search.cost(4) - undone * 2 * 2 * 2)
    assert all(p.requires_grad for p in world.pipe.transformer.parameters())


def test_the_few_steps_are_those_of_a_run_with_so_many_and_their_derivative_is_autograds(tiny: World) -> None:
    """Four of four steps are the whole run of Euler's method; finite differences through it are the gradient."""
    seen: dict[str, Tensor] = {}

    class Watched(NoiseSearch):
        def search(self, noise: Tensor, velocity: Any, sigmas: Any, **options: Any) -> Any:
            flow = FewSteps(velocity, sigmas, self.euler_steps)
            points = flow.forward(noise)[0]
            weight = torch.randn(noise.shape, generator=torch.Generator().manual_seed(9))
            seen.update(end=points[-1], noise=noise, weight=weight, gradient=flow.back(points, weight))
            with torch.enable_grad():
                z = noise.detach().requires_grad_()
                x, levels = z, sigmas
                for k in range(4):
                    x = x + (levels[k + 1] - levels[k]) * velocity(x, k)
                seen["automatic"] = torch.autograd.grad((weight * x).sum(), z)[0]
            return super().search(noise, velocity, sigmas, **options)

    plain = tiny.sample()
    with guide(tiny.pipe, Watched(reward, iterations=1)):
        tiny.sample()
    torch.testing.assert_close(seen["end"], plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(seen["gradient"], seen["automatic"], rtol=1e-4, atol=1e-5)
    direction = seen["gradient"] / seen["gradient"].norm()
    h = 0.02
    ends = [tiny.sample(latents=seen["noise"] + sign * h * direction) for sign in (1, -1)]
    expected = float((seen["weight"] * (ends[0] - ends[1])).sum() / (2 * h))
    assert float(seen["gradient"].norm()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("jacobian", ["backward", "forward"])
@pytest.mark.parametrize("make", [lambda: wan(euler()), hunyuan])
def test_an_observation_is_kept_to_from_the_noise_that_was_found(make: Callable[[], World], jacobian: str) -> None:
    """Its derivative is that at the new noise from the first step on: the run is that of `DPS` alone from there."""
    torch.manual_seed(0)
    world = loud(make())
    plain = world.sample()
    seen = Observed(plain[0] + 0.5, torch.arange(plain.shape[1]).view(-1, 1, 1, 1) < 2, 0.5)
    calls: list[int] = []
    world.pipe.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append(len(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])),
        with_kwargs=True,
    )
    search = NoiseSearch(reward, iterations=3, euler_steps=2, inside=DPS(seen, jacobian=jacobian))
    with guide(world.pipe, search) as log:
        found = world.sample()
    assert log.search
    assert log.search.kept[0][0]
    ways = 2 if jacobian == "forward" else 1
    assert sum(calls) == log.search.evaluations + 2 * 4 * ways
    assert search.noise is not None
    assert seen.describe(found, None)["deviation"] < seen.describe(plain, None)["deviation"]
    with guide(world.pipe, DPS(seen, jacobian=jacobian)) as alone:
        torch.testing.assert_close(found, world.sample(latents=search.noise), rtol=0, atol=1e-5)
    assert [step.correction_norm for step in log.steps] == pytest.approx([s.correction_norm for s in alone.steps], 1e-3)


def test_an_observation_is_kept_to_where_no_move_helps(tiny: World) -> None:
    plain = tiny.sample()
    seen = Observed(plain[0] + 0.5, noise=0.5)
    flat = NoiseSearch(lambda x: 0.0 * x.flatten(1).sum(1), iterations=2, inside=DPS(seen))
    with guide(tiny.pipe, flat):
        found = tiny.sample()
    with guide(tiny.pipe, DPS(seen)):
        torch.testing.assert_close(found, tiny.sample(), rtol=0, atol=1e-6)


def test_a_picture_that_the_network_is_given_stays_and_the_noise_is_searched() -> None:
    torch.manual_seed(0)
    pipe = wan_i2v_pipe()
    pipe.scheduler = euler()
    arguments = {"prompt_embeds": embeds(1, 8, 32), "negative_prompt_embeds": embeds(1, 8, 32), "guidance_scale": 5.0}
    picture = Image.new("RGB", (16, 16), (40, 160, 60))
    world = World(pipe, (16, 3, 2, 2), {**arguments, "image": picture, "height": 16, "width": 16, "num_frames": 9})
    plain, search = loud(world).sample(), NoiseSearch(reward, iterations=3, euler_steps=2)
    with guide(pipe, search):
        found = world.sample()
    assert search.noise is not None
    assert float(reward(found)) > float(reward(plain))
    torch.testing.assert_close(found, world.sample(latents=search.noise), rtol=0, atol=1e-5)


def test_channels_may_be_last() -> None:
    torch.manual_seed(0)
    layout = kandinsky()
    red = OfVideo(lambda video: video[:, 0].flatten(1).mean(1), "red", ("colour",))
    search = NoiseSearch([red], iterations=2, euler_steps=2)
    with guide(layout.pipe, search, observable=DYE, grid=GRID):
        found = layout.sample()
    assert search.noise is not None
    torch.testing.assert_close(found, layout.sample(latents=search.noise), rtol=0, atol=1e-5)


def test_no_iterations_leave_the_run_bit_by_bit_and_seeds_reproduce(tiny: World) -> None:
    plain = tiny.sample()
    with guide(tiny.pipe, NoiseSearch(reward, iterations=0)) as log:
        assert torch.equal(tiny.sample(), plain)
        assert log.search
        assert log.search.evaluations == 0
    with guide(tiny.pipe, NoiseSearch(reward, iterations=2)):
        first, again = tiny.sample(), tiny.sample()
    assert torch.equal(first, again)
    assert not torch.equal(first, plain)
    assert torch.equal(tiny.sample(), plain)


def test_videos_are_decoded_for_rewards_and_projected_at_the_end(tiny: World) -> None:
    red = OfVideo(lambda video: video[:, 0].flatten(1).mean(1), "red", ("colour",))
    law = Equality(lambda u: u.flatten(1).mean(1) - 0.5, "half")
    search = NoiseSearch([red], iterations=2, inside=Afterwards(law))
    with guide(tiny.pipe, search, observable=DYE, grid=GRID) as log:
        video = tiny.sample(output_type="pt", num_videos_per_prompt=2)
    assert log.search
    assert log.terminal
    assert log.terminal.residual_after["half"] < 1e-6
    assert len(video) == 2
    assert log.search.decodes == 2 * 3
    rewards = [step["red"] for step in log.search.rewards]
    assert all(after >= before for after, before in zip(rewards[-1], rewards[0], strict=True))
    assert rewards[-1] != rewards[0]


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (wan_2_2, {}, "one network"),
        (lambda: cogvideox(d.CogVideoXDDIMScheduler), {}, "one of flow matching"),
        (stable_diffusion, {}, "scheduler='DDIMScheduler': allowed: one of flow matching"),
        (lambda: wan(euler()), {"reward": OfVideo(lambda video: video[:, 0, 0, 0, 0], "corner")}, "observable=None"),
    ],
)
def test_what_cannot_be_searched_is_refused(make: Callable[[], Any], options: dict[str, Any], words: str) -> None:
    search = NoiseSearch(options.get("reward", reward))
    with pytest.raises(InvalidArgument, match=words), guide(make().pipe, search):
        pass
