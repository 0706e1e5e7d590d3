"""Particles inside schedulers and pipelines: histories change places, copies get new noise, fewer rows are called."""

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import diffusers as d
import pytest
import torch
from markers import slow_except
from torch import Tensor, nn

from physgen.constraints import Equality, MassConservation
from physgen.errors import InvalidArgument
from physgen.guidance import DPS, Particles, PiGDM, Projection, PrunedBestOfN, X0Gradient
from physgen.sampling import guide, sample_flow
from physgen.sampling.competition import Competition
from physgen.sampling.predictions import prediction
from physgen.sampling.rows import LivingRows
from sampling.conftest import LinearSet
from sampling.test_layouts import Layout, animatediff, stable_diffusion, stable_video_diffusion
from sampling.test_pipelines import DYE, GRID, WORLDS, World, cogvideox, wan

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # diffusers with numpy 2


def place(which: int, n: int = 4) -> Callable[[Tensor], Tensor]:
    """Rewards one place of every group, at the first level; afterwards all the same."""
    seen: list[int] = []

    def rewarded(fields: Tensor) -> Tensor:
        seen.append(len(fields))
        groups = torch.arange(len(fields)) % n
        return groups.eq(which).double() if len(seen) == 1 else torch.zeros(len(fields))

    return rewarded


def only(which: int, **options: Any) -> Particles:
    """Particles of which one has all the offspring of the first level."""
    return Particles(4, {"place": place(which)}, **{"resample": (0.3, 0.6), "temperature": 1e-3, **options})


def four(arguments: dict[str, Any]) -> dict[str, Any]:
    """Four times the prompt, where embeddings are given."""
    expanded = {k: v.expand(4, *v.shape[1:]) for k, v in arguments.items() if isinstance(v, Tensor)}
    generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
    return {"generator": generators, **(expanded or {"num_videos_per_prompt": 4})}


def sample(world: World, **arguments: Any) -> Tensor:
    return world.sample(**four(world.arguments), num_inference_steps=6, **arguments)


@pytest.fixture(params=slow_except({"wan", "cogvideox-ddim"}, [name for name in WORLDS if name != "cogvideox-dpm"]))
def world(request: pytest.FixtureRequest) -> World:
    torch.manual_seed(0)
    return WORLDS[request.param]()


def test_equal_rewards_change_nothing(world: World) -> None:
    particles = Particles(4, {"same": lambda fields: torch.zeros(len(fields))}, select=False)
    plain = sample(world)
    with guide(world.pipe, particles, grid=GRID) as log:
        found = sample(world)
    torch.testing.assert_close(found, plain)
    assert log.particles
    assert log.particles.evaluations == 2 * 4 * 6
    assert log.particles.selected == [0]


@pytest.mark.parametrize("prune", [None, (2, 1)])
def test_offspring_without_new_noise_are_their_ancestor(world: World, prune: Any) -> None:
    """Also where the scheduler keeps a history, and where the network is called with fewer rows."""
    plain = sample(world)
    with guide(world.pipe, only(2, renoise=0.0, prune=prune, select=False), grid=GRID) as log:
        found = sample(world)
    assert log.particles
    assert log.particles.founders == [2]
    torch.testing.assert_close(found, plain[2:3].expand_as(found), rtol=1e-4, atol=1e-4)
    assert len(found) == (4 if prune is None else 1)
    assert log.particles.evaluations == 2 * (24 if prune is None else 4 * 2 + 2 * 2 + 2)


SECOND = {"prediction_type": "epsilon"}
HISTORIES: dict[str, Callable[[], Any]] = {
    "dpm": lambda: d.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=3
    ),
    "deis": lambda: d.DEISMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=3),
    "singlestep": lambda: d.DPMSolverSinglestepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
    "flow-heun": lambda: d.FlowMatchHeunDiscreteScheduler(),
    "heun": lambda: d.HeunDiscreteScheduler(**SECOND),
    "kdpm2": lambda: d.KDPM2DiscreteScheduler(**SECOND),
    "lms": lambda: d.LMSDiscreteScheduler(**SECOND),
    "pndm": lambda: d.PNDMScheduler(**SECOND),
}


@pytest.mark.parametrize("name", slow_except({"dpm", "flow-heun", "lms"}, HISTORIES))
def test_histories_change_places_too(name: str) -> None:
    """The offspring of one particle, without new noise, go its own way in whatever the scheduler remembers."""
    torch.manual_seed(0)
    weight = torch.randn(16, 16) / 4

    def run(particles: Particles | None) -> Tensor:
        pipe = SimpleNamespace(scheduler=HISTORIES[name](), transformer=nn.Identity())
        pipe.scheduler.set_timesteps(8)
        scale = getattr(pipe.scheduler, "init_noise_sigma", 1.0)
        x = scale * torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
        if particles is None:
            return loop(pipe.scheduler, x)
        with guide(pipe, particles):
            return loop(pipe.scheduler, x)

    def loop(scheduler: Any, x: Tensor) -> Tensor:
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(x @ weight), t, x, return_dict=False)[0]
        return x

    plain = run(None)
    found = run(only(2, resample=(0.5, 0.8), renoise=0.0, select=False))
    torch.testing.assert_close(found, plain[2:3].expand_as(found))
    assert (plain - plain[2]).abs().amax(1).argsort()[0] == 2


FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
RENEWABLE: dict[str, Callable[[], Any]] = {
    "euler": lambda: d.FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc": lambda: d.UniPCMultistepScheduler(solver_order=3, **FLOW),
    "unipc-epsilon": lambda: d.UniPCMultistepScheduler(prediction_type="epsilon"),
    "dpm": lambda: d.DPMSolverMultistepScheduler(solver_order=3, **FLOW),
    "deis": lambda: d.DEISMultistepScheduler(**FLOW),
    "ddim": lambda: d.DDIMScheduler(clip_sample=False, prediction_type="v_prediction"),
    "cogvideox": lambda: d.CogVideoXDDIMScheduler(clip_sample=False),
    "variance exploding": lambda: d.EulerDiscreteScheduler(),
    "edm": lambda: d.EDMEulerScheduler(),
    "edm-dpm": lambda: d.EDMDPMSolverMultistepScheduler(),
}


@pytest.mark.parametrize("name", RENEWABLE)
def test_copies_have_new_noise_and_no_history_takes_it_back(name: str) -> None:
    """A model that knows the clean sample: x is a x0 + b e at every level, and of a copy e = sqrt(1 - eta) e + ..."""
    clean = torch.randn(1, 20_000, generator=torch.Generator().manual_seed(1))
    e = torch.randn(4, 20_000, generator=torch.Generator().manual_seed(0))
    pipe = SimpleNamespace(scheduler=RENEWABLE[name](), transformer=nn.Identity())
    scheduler = pipe.scheduler
    scheduler.set_timesteps(8)
    x, noises = None, []
    particles = only(2, resample=(0.3, 0.6), renoise=0.6, select=False)
    with guide(pipe, particles, generator=torch.Generator().manual_seed(2)):
        for i, t in enumerate(scheduler.timesteps):
            at = prediction(scheduler, t)
            x = at.a * clean + at.b * e if x is None else x
            noises.append((x - at.a * clean) / at.b)
            if i == 7:
                break
            x = scheduler.step((clean - at.p * x) / at.q, t, x, return_dict=False)[0]
    assert torch.allclose(noises[2], e, atol=0.05)
    for later in noises[3:]:
        torch.testing.assert_close(later, noises[3], rtol=0, atol=0.05)
        torch.testing.assert_close(later[0], e[2], rtol=0, atol=0.05)
        for copy in later[1:]:
            assert float(copy.var()) == pytest.approx(1.0, abs=0.05)
            assert float((copy * e[2]).mean()) == pytest.approx(0.4**0.5, abs=0.05)
        assert float((later[1] * later[2]).mean()) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(
    "scheduler",
    [
        d.CogVideoXDPMScheduler(),
        d.EulerAncestralDiscreteScheduler(),
        d.FlowMatchEulerDiscreteScheduler(stochastic_sampling=True),
        d.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"),
        d.HeunDiscreteScheduler(),
        d.PNDMScheduler(),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_new_noise_is_refused_where_a_scheduler_has_no_room_for_it(scheduler: Any) -> None:
    pipe = SimpleNamespace(scheduler=scheduler, transformer=nn.Identity())
    with pytest.raises(InvalidArgument, match=r"renoise=0\.9.*renoise=0, or"), guide(pipe, only(0)):
        pass


def test_copies_part_by_the_noise_of_the_scheduler() -> None:
    world = cogvideox(d.CogVideoXDPMScheduler)
    with guide(world.pipe, only(1, renoise=0.0, select=False), grid=GRID) as log:
        found = sample(world)
    assert log.particles
    assert log.particles.founders == [1]
    assert len({tuple(one.flatten().tolist()) for one in found}) == 4


@pytest.mark.parametrize("make", [animatediff, stable_diffusion, stable_video_diffusion])
def test_unets_are_called_with_the_living_rows(make: Callable[[], Layout]) -> None:
    torch.manual_seed(0)
    layout = make()
    plain = layout.sample(**four(layout.arguments), num_inference_steps=4)
    particles = only(2, renoise=0.0, prune=(2, 1))
    with guide(layout.pipe, particles) as log:
        found = layout.sample(**four(layout.arguments), num_inference_steps=4)
    torch.testing.assert_close(found, plain[2:3], rtol=0, atol=1e-3)
    assert log.particles
    assert log.particles.evaluations == 2 * (4 * 2 + 2 + 1)


def test_the_selected_video_is_decoded_and_projected() -> None:
    torch.manual_seed(0)
    world = wan(d.FlowMatchEulerDiscreteScheduler(shift=3.0))
    law = MassConservation()
    inside = Projection({"mass": law})
    particles = Particles(4, {"mass": law}, resample=(0.2, 0.5), prune=(3, 1), inside=inside)
    arguments: dict[str, Any] = {
        "output_type": "pt",
        "prompt_embeds": world.arguments["prompt_embeds"].expand(8, 8, 32),
    }
    arguments["negative_prompt_embeds"] = world.arguments["negative_prompt_embeds"].expand(8, 8, 32)
    with guide(world.pipe, particles, observable=DYE, grid=GRID) as log:
        video = world.sample(num_inference_steps=5, **arguments)
    assert video.shape == (2, 9, 3, 16, 16)
    assert log.terminal
    assert log.certificate["mass"].satisfied
    assert log.particles
    assert len(log.particles.founders) == 2
    assert [len(record.ancestors) for record in log.particles.resamplings] == [6, 2]
    corrected = {record.step for record in log.steps}
    assert corrected == {step for step in range(5) if particles.active(step, 5)}
    assert [record.step for record in log.records] == sorted(record.step for record in log.records)


@pytest.mark.parametrize("guidance", [DPS, PiGDM])
@pytest.mark.parametrize("jacobian", ["backward", "forward"])
def test_a_guidance_through_the_network_acts_on_the_living(guidance: Any, jacobian: str) -> None:
    torch.manual_seed(0)
    world = wan(d.FlowMatchEulerDiscreteScheduler(shift=3.0))
    for parameter in world.pipe.transformer.parameters():
        parameter.data.normal_(std=0.2)
    law = LinearSet(world.latents)
    inside = guidance([law], jacobian=jacobian, terminal=True)
    with guide(world.pipe, only(1, prune=(3, 2), inside=inside)) as log:
        latents = sample(world)
    assert latents.shape == (1, *world.latents)
    assert log.dropped == 0
    assert len(log.steps) == 6
    assert (law.residual(latents, None)).abs().max() < 1e-4


FIRST = Equality(lambda x: x[:, :1] - 1.0, "first")


def gaussian(x: Tensor, s: Tensor) -> Tensor:
    """The velocity to samples of a standard normal distribution."""
    return (2 * s - 1) * x / (s**2 + (1 - s) ** 2)


@pytest.mark.parametrize("prune", [None, (2, 1)])
@pytest.mark.parametrize("renoise", [0.0, 0.9])
def test_new_noise_of_a_guidance_inside_is_not_rewarded(renoise: float, prune: Any) -> None:
    """The rewards are those of `sample_flow`, and the samples too where copies draw nothing themselves."""
    noise = torch.randn(4, 1000, generator=torch.Generator().manual_seed(1))
    runs = []
    for sampler in ("sample_flow", "guide"):
        seen: list[Tensor] = []

        def energy(x: Tensor, seen: list[Tensor] = seen) -> Tensor:
            seen.append(x.clone())
            return -x[:, 1:].square().mean(1)

        inside = Projection([FIRST], renoise=0.9, terminal=False)
        particles = Particles(4, energy, resample=(0.3, 0.6), renoise=renoise, prune=prune, inside=inside)
        scheduler = d.FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(10)
        generator = torch.Generator().manual_seed(2)
        if sampler == "sample_flow":
            x = sample_flow(gaussian, noise, scheduler.sigmas, guidance=particles, generator=generator)
        else:
            x = noise
            pipe = SimpleNamespace(scheduler=scheduler, transformer=nn.Identity())
            with guide(pipe, particles, generator=generator):
                for s, t in zip(scheduler.sigmas, scheduler.timesteps, strict=False):
                    x = scheduler.step(gaussian(x, s), t, x, return_dict=False)[0]
        runs.append((seen, x))
    (expected, theirs), (found, ours) = runs
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-4)
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert float(one.std()) == pytest.approx(float(other.std()), rel=0.1)
    if not renoise:
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


class TwoLinear(nn.Module):
    """A velocity with a symmetric matrix, another one for each branch of classifier-free guidance."""

    def __init__(self) -> None:
        super().__init__()
        root = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0)) / 3
        self.weights = nn.Parameter(root @ root.mT)

    def forward(self, hidden_states: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> tuple[Tensor]:
        both = hidden_states - hidden_states @ self.weights
        return (both[encoder_hidden_states, torch.arange(len(hidden_states))],)


@pytest.mark.parametrize("left", [1, 2])
def test_a_forward_jacobian_is_that_of_the_living_rows(left: int) -> None:
    """With both branches in one batch; where the Jacobian is symmetric both ways agree."""

    def run(jacobian: str) -> Tensor:
        network = TwoLinear()
        pipe = SimpleNamespace(scheduler=d.FlowMatchEulerDiscreteScheduler(), transformer=network)
        pipe.scheduler.set_timesteps(6)
        inside = DPS([FIRST], jacobian=jacobian)
        pruned = PrunedBestOfN(4, lambda x: x[:, 1], levels=(0.2,), left=(left,), select=False, inside=inside)
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
        branches = torch.tensor([0, 1]).repeat_interleave(4)
        with guide(pipe, pruned):
            for t in pipe.scheduler.timesteps:
                u, c = network(torch.cat([x, x]), t, encoder_hidden_states=branches)[0].chunk(2)
                x = pipe.scheduler.step(u + 3.0 * (c - u), t, x, return_dict=False)[0]
        return x

    torch.testing.assert_close(run("forward"), run("backward"), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scheduler", [d.DDPMScheduler, d.EulerAncestralDiscreteScheduler])
def test_a_pruned_sample_is_what_its_generator_gives_alone(scheduler: Any) -> None:
    def run(guidance: Particles | None) -> Tensor:
        pipe = SimpleNamespace(scheduler=scheduler(), transformer=nn.Identity())
        pipe.scheduler.set_timesteps(8)
        generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
        x = torch.randn(4, 16, generator=torch.Generator().manual_seed(4))
        with guide(pipe, guidance) if guidance else nullcontext():
            for t in pipe.scheduler.timesteps:
                x = pipe.scheduler.step(torch.tanh(x), t, x, generator=generators, return_dict=False)[0]
        return x

    last, third = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0])
    given = iter([last, third, torch.zeros(1)])
    pruned = PrunedBestOfN(4, lambda x: next(given), levels=(0.2, 0.5), left=(2, 1))
    alone = run(None)
    found = run(pruned)
    torch.testing.assert_close(found, alone[pruned.log.founders])


def test_records_of_two_calls_stand_in_the_order_of_the_calls() -> None:
    world = wan(d.FlowMatchEulerDiscreteScheduler(shift=3.0))
    with guide(world.pipe, only(1, prune=(3, 2), inside=X0Gradient([LinearSet(world.latents)]))) as log:
        sample(world)
        first = [(type(record).__name__, record.step) for record in log.records]
        sample(world)
    assert ("Resampling", 1) in first
    assert [(type(record).__name__, record.step) for record in log.records] == 2 * first


def test_seeds_reproduce() -> None:
    torch.manual_seed(0)
    world = wan(d.FlowMatchEulerDiscreteScheduler(shift=3.0))

    def run(seed: int) -> Tensor:
        with guide(world.pipe, only(1, select=False), generator=torch.Generator().manual_seed(seed)):
            return sample(world)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_a_batch_that_is_no_multiple_is_refused() -> None:
    world = wan()
    with pytest.raises(InvalidArgument, match=r"batch=1: .*num_videos_per_prompt=4"), guide(world.pipe, only(0)):
        world.sample()


def test_rewards_see_the_frame_that_the_pipeline_fixes() -> None:
    seen: list[Tensor] = []

    def remembered(fields: Tensor) -> Tensor:
        seen.append(fields)
        return fields.flatten(1).sum(1)

    particles = Particles(2, {"seen": remembered})
    picture = torch.full((1, 1, 1, 2, 2), 7.0)
    competition = Competition(particles, lambda latents: latents, GRID, LivingRows(), first=picture)
    latents = torch.zeros(2, 1, 3, 2, 2)
    assert torch.equal(competition.delivered(latents), latents[:1])
    assert seen[0][:, :, 0].unique().tolist() == [7.0]
    assert seen[0][:, :, 1:].unique().tolist() == [0.0]
