"""Particles against exact tilted distributions, and what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import Constraint, Equality, MassConservation
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.guidance import AugmentedLagrangian, BestOfN, Composition, Particles, PiGDM, Projection, X0Gradient
from physgen.guidance.rewards.resampling import normalised, resampled
from physgen.guidance.rewards.reward import evaluate
from physgen.sampling import guided_denoiser
from physgen.sampling.flow import sample_flow, sample_flow_heun

MEANS, SDS, SHARES = (torch.tensor(v, dtype=torch.float64) for v in ([-1.0, 1.5], [0.3, 0.5], [0.7, 0.3]))
#: of the reward -1.5 (x - 0.5)^2
TARGET, STRENGTH = 0.5, 1.5


def velocity(x: Tensor, sigma: Tensor) -> Tensor:
    """Of independent values from a mixture of two Gaussians, exactly."""
    mean, variance = (1 - sigma) * MEANS, (1 - sigma) ** 2 * SDS**2 + sigma**2
    y = x[..., None]
    share = (SHARES.log() - 0.5 * (y - mean) ** 2 / variance - 0.5 * variance.log()).softmax(-1)
    x0 = (share * (MEANS + (1 - sigma) * SDS**2 / variance * (y - mean))).sum(-1)
    return (x - x0) / sigma


def reward(x: Tensor) -> Tensor:
    return -STRENGTH * (x[:, 0] - TARGET) ** 2


def tilted_mean() -> float:
    x = torch.linspace(-6, 6, 100_001, dtype=torch.float64)
    prior = (SHARES / SDS * torch.exp(-0.5 * ((x[:, None] - MEANS) / SDS) ** 2)).sum(1)
    weight = prior * reward(x[:, None]).exp()
    return float((weight * x).sum() / weight.sum())


def noise(batch: int, seed: int, width: int = 1) -> Tensor:
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(particles: Particles, seed: int = 0, groups: int = 1, steps: int = 40, width: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1000 + seed)
    levels = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    x = noise(groups * particles.particles, seed, width)
    return sample_flow(velocity, x, levels, guidance=particles, generator=generator)


def weighted_means(n: int, runs: int, **options: Any) -> Tensor:
    means = []
    for seed in range(runs):
        particles = Particles(n, reward, temperature=1.0, select=False, **options)
        x = run(particles, seed)
        means.append((torch.tensor(particles.log.weights, dtype=torch.float64) * x[:, 0]).sum())
    return torch.stack(means)


# --- truth


@pytest.mark.parametrize("options", [{}, {"potential": "max", "resample": (0.1, 0.3)}, {"resample": (0.5,)}])
def test_weighted_mean_tends_to_that_of_the_tilted_prior(options: dict[str, Any]) -> None:
    exact = tilted_mean()
    assert abs(exact - 0.525) < 1e-3  # the prior's own is -0.25
    many = weighted_means(512, 16, renoise=0.0, **options)
    error = float(many.std() / len(many) ** 0.5)
    assert error < 0.04
    assert abs(float(many.mean()) - exact) < 3.5 * error + 0.01  # Euler's error
    few = weighted_means(32, 16, renoise=0.0, **options)
    assert float((many - exact).square().mean()) < 0.4 * float((few - exact).square().mean())


def test_bias_of_new_noise_goes_with_its_part() -> None:
    """New noise goes by one long Euler step to a lower level and exactly back: as wrong as that step is long."""
    biases = [abs(float(weighted_means(512, 12, renoise=eta).mean()) - tilted_mean()) for eta in (0.05, 0.9)]
    assert biases[0] < 0.05 < biases[1]


@pytest.mark.parametrize("potential", ["difference", "max"])
def test_equal_rewards_change_nothing(potential: str) -> None:
    particles = Particles(8, lambda x: torch.full((len(x),), 3.0), potential=potential, select=False)
    x = run(particles, groups=2)
    plain = sample_flow(velocity, noise(16, 0), torch.linspace(1, 0, 41, dtype=torch.float64))
    assert torch.equal(x, plain)
    assert all(record.ancestors == list(range(16)) for record in particles.log.resamplings)
    assert particles.log.weights == pytest.approx([1 / 8] * 16)


def test_the_number_of_offspring_is_right_on_average_and_never_off_by_one() -> None:
    weights = normalised(torch.log(torch.tensor([[0.05, 0.35, 0.2, 0.4], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)))
    for count in (4, 3, 1):
        draws = 500
        uniform = (torch.arange(draws, dtype=torch.float64) + 0.5) / draws
        chosen = torch.stack([resampled(weights, u.expand(2), count) for u in uniform])
        offspring = torch.nn.functional.one_hot(chosen, 4).sum(2).double()
        torch.testing.assert_close(offspring.mean(0), count * weights, rtol=0, atol=2e-3)
        assert bool(((offspring - count * weights).abs() < 1).all())


@pytest.mark.parametrize("u", [0.0, 1 - 2**-40])
def test_who_has_no_weight_has_no_offspring(u: float) -> None:
    weights = torch.tensor([[0.0, 0.5, 0.5, 0.0]], dtype=torch.float64)
    assert resampled(weights, torch.tensor([u], dtype=torch.float64), 4).tolist() == [[1, 1, 2, 2]]


def test_seeds_reproduce() -> None:
    first, again, other = (run(Particles(16, reward), seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_copies_get_new_noise_and_the_first_offspring_keeps_its_own() -> None:
    def third(x: Tensor) -> Tensor:
        return torch.arange(4).eq(2).double()

    def selected(**options: Any) -> Tensor:
        return run(Particles(4, third, resample=(0.5,), temperature=1e-3, select=False, **options))

    plain = sample_flow(velocity, noise(4, 0), torch.linspace(1, 0, 41, dtype=torch.float64))
    assert torch.equal(selected(renoise=0.0), plain[2].expand(4, 1))
    renewed = selected(renoise=0.6)
    assert torch.equal(renewed[0], plain[2])
    assert len(renewed.unique()) == 4


def test_new_noise_has_the_variance_of_noise() -> None:
    particles = Particles(2, reward, renoise=0.6)
    e, xi = noise(2, 0, 50_000), noise(2, 1, 50_000)
    renewed = particles.renewed(e, xi, torch.tensor([False, True]))
    assert torch.equal(renewed[0], e[0])
    assert float(renewed[1].var()) == pytest.approx(1.0, abs=0.03)
    assert float((renewed[1] * e[1]).mean()) == pytest.approx(0.4**0.5, abs=0.03)


# --- groups, pruning, selection


def test_groups_do_not_mix_and_the_best_of_each_comes_out() -> None:
    particles = Particles(8, reward, temperature=0.5)
    x = run(particles, groups=3)
    assert x.shape == (3, 1)
    for record in particles.log.resamplings:
        assert [row // 8 for row in record.ancestors] == [row // 8 for row in range(24)]
    rewards = torch.tensor(particles.log.rewards["reward"]).view(3, 8)
    assert particles.log.selected == (rewards.argmax(1) + 8 * torch.arange(3)).tolist()
    torch.testing.assert_close(reward(x), rewards.amax(1).double(), rtol=1e-6, atol=1e-7)
    assert [row // 8 for row in particles.log.founders] == [0, 1, 2]


def test_pruning_saves_evaluations() -> None:
    rows: list[int] = []

    def counted(x: Tensor, sigma: Tensor) -> Tensor:
        rows.append(len(x))
        return velocity(x, sigma)

    particles = Particles(4, reward, resample=(0.2, 0.4, 0.6), prune=(3, 2, 1))
    x = sample_flow(counted, noise(8, 0), torch.linspace(1, 0, 11, dtype=torch.float64), guidance=particles)
    assert x.shape == (2, 1)
    assert rows == [8] * 3 + [6] * 2 + [4] * 2 + [2] * 3
    assert particles.log.evaluations == sum(rows)
    assert particles.log.as_json()["left"] == [6, 4, 2]


def test_levels_at_the_end_of_a_short_schedule_are_left_out() -> None:
    particles = Particles(4, reward, resample=(0.1, 0.2, 0.9), prune=(3, 2, 1))
    assert particles.rounds(4) == {0: 2}
    assert particles.rounds(1) == {}
    assert run(particles, steps=1).shape == (1, 1)


def test_more_particles_find_more() -> None:
    found = [torch.cat([reward(run(Particles(n, reward), seed)) for seed in range(8)]).mean() for n in (2, 8)]
    assert found[1] > found[0]


# --- rewards


class Unanswered(Constraint):
    """Has no solution below zero."""

    name = "unanswered"

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        if bool((fields < 0).any()):
            raise NoSolution("fields", "below zero", "more")
        return fields - 2.0


def test_a_law_without_a_residual_has_the_worst_reward_and_kills_nobody_alone() -> None:
    x = torch.tensor([[1.0], [-1.0], [2.0], [torch.nan]], dtype=torch.float64)
    found = evaluate({"law": Unanswered()}, x, None)["law"].tolist()
    assert found == pytest.approx([0.0, -torch.inf, 6 * 2.302585, -torch.inf])
    particles = Particles(4, Unanswered(), select=False)
    y = run(particles)
    assert bool(y.isfinite().all())
    hopeless = Particles(4, [Unanswered(), Equality(lambda x: x * torch.nan, "nan")])
    assert run(hopeless).shape == (1, 1)
    assert all(record.ancestors == [0, 1, 2, 3] for record in hopeless.log.resamplings)


def bright(seed: int, rising: float) -> Tensor:
    """A picture ``[1, 1, T, H, W]`` that moves, and whose mass rises by this part."""
    smooth = torch.zeros(1, 1, 9, 16, 16)
    for t in range(9):
        smooth[..., t, 4:8, 2 + (t + seed) % 9 : 6 + (t + seed) % 9] = 1.0 + rising * t / 8
    return smooth


@pytest.mark.parametrize("nothing", [0.0, 0.5])
def test_a_law_prefers_no_video_that_shows_nothing(nothing: float) -> None:
    grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    blank, good, poor = torch.full((1, 1, 9, 16, 16), nothing), bright(0, 0.1), bright(1, 0.4)
    rewards = evaluate({"mass": MassConservation()}, torch.cat([blank, poor, good]), grid)["mass"]
    assert rewards.argsort(descending=True).tolist() == [2, 1, 0]
    for choice in (BestOfN([MassConservation()], n=3), BestOfN(rewards=[MassConservation()], n=3)):
        assert choice.sample(iter([blank, poor, good]).__next__, grid=grid).equal(good)
        assert choice.sample(iter([blank] * 3).__next__, grid=grid).equal(blank)
    broken = torch.full_like(blank, torch.nan)
    assert BestOfN([MassConservation()], n=2).sample(iter([broken, blank]).__next__, grid=grid).equal(blank)


def test_laws_and_functions_are_added() -> None:
    law = Equality(lambda x: x - 1.0, "one")
    rewards: dict[str, Any] = {"law": law, "size": lambda x: -x[:, 0].abs()}
    particles = Particles(16, rewards)
    run(particles)
    assert list(particles.log.rewards) == ["law", "size"]
    assert list(particles.constraints) == ["law"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Particles(1, reward), "n=1"),
        (lambda: Particles(4, []), "rewards"),
        (lambda: Particles(4, [reward, reward]), "two of the name reward"),
        (lambda: Particles(4, reward, resample=(0.0, 0.5)), "resample=0.0"),
        (lambda: Particles(4, reward, resample=(0.5, 1.0)), "resample=1.0"),
        (lambda: Particles(4, reward, resample=(0.5, 0.3)), "resample"),
        (lambda: Particles(4, reward, resample=()), "resample"),
        (lambda: Particles(4, reward, temperature=0.0), "temperature"),
        (lambda: Particles(4, reward, potential="sum"), "potential"),
        (lambda: Particles(4, reward, renoise=1.5), "renoise"),
        (lambda: Particles(4, reward, resample=(0.5,), prune=(3, 2)), "prune"),
        (lambda: Particles(4, reward, resample=(0.3, 0.5), prune=(2, 3)), "prune"),
        (lambda: Particles(4, reward, resample=(0.3, 0.5), prune=(5, 3)), "prune"),
        (lambda: Particles(4, reward, resample=(0.3,), prune=(0,)), "prune=0"),
        (lambda: Particles(4, reward, inside=Particles(2, reward)), "inside"),
        (lambda: Composition([Particles(2, reward), Projection(Unanswered())]), "inside=Composition"),
        (lambda: guided_denoiser(lambda x, sigma: x, Particles(2, reward)), "particles=2"),
        (
            lambda: sample_flow_heun(velocity, noise(2, 0), torch.tensor([1.0, 0.0]), guidance=Particles(2, reward)),
            "parti",
        ),
        (
            lambda: sample_flow(velocity, noise(6, 0), torch.tensor([1.0, 0.0]), guidance=Particles(4, reward)),
            "batch=6",
        ),
        (lambda: run(Particles(4, {"bad": lambda x: x})), r"rewards=.*numbers, one of each sample, as bad"),
        (lambda: run(Particles(4, {"bad": lambda x: 1.0})), r"as bad"),  # type: ignore[arg-type]
        (lambda: run(Particles(4, {"bad": lambda x: x[:, 0] * torch.nan})), "NaN for every sample as bad"),
    ],
)
def test_each_mistake_is_one_clear_error(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


# --- a guidance inside

SUM = Equality(lambda x: x.sum(1, keepdim=True) - 1.5, "sum")


@pytest.mark.parametrize(
    "inside", [Projection([SUM]), PiGDM([SUM], renoise=0.3), AugmentedLagrangian([SUM], terminal=True)]
)
def test_the_guidance_inside_acts_on_each_particle(inside: Any) -> None:
    particles = Particles(4, {"first": lambda x: x[:, 0]}, prune=(3, 3, 2, 2, 1), inside=inside)
    x = run(particles, groups=2, width=3)
    assert x.shape == (2, 3)
    assert bool(((x.sum(1) - 1.5).abs() < 1e-9).all())
    assert particles.final == inside.final


def test_windows_inside_are_kept() -> None:
    particles = Particles(4, reward, inside=X0Gradient([SUM], start=0.5))
    assert [particles.active(step, 4) for step in range(4)] == [False, False, True, True]
    assert [Particles(4, reward).active(step, 4) for step in range(4)] == [False] * 4


def test_what_is_remembered_of_a_sample_goes_with_it() -> None:
    x = noise(3, 0, 4)
    moved, alone = AugmentedLagrangian([SUM]), AugmentedLagrangian([SUM])
    moved.correct(x, x_t=x, sigma=0.5)
    moved.follow(torch.tensor([2, 2]))
    alone.correct(x[2:], x_t=x[2:], sigma=0.5)
    found = moved.correct(x[[2, 2]], x_t=x[[2, 2]], sigma=0.5)
    torch.testing.assert_close(found, alone.correct(x[2:], x_t=x[2:], sigma=0.5).expand(2, 4))
