"""The noise search against exact flows and finite differences, what it costs, and what it refuses."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from physgen.constraints import Equality, Observed
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import DPS, Composition, NoiseSearch, OfVideo, Particles, Projection
from physgen.guidance.rewards.few_steps import FewSteps
from physgen.guidance.rewards.noise_search import turned
from physgen.guidance.rewards.reward import evaluate, total_of
from physgen.sampling import guided_denoiser
from physgen.sampling.flow import sample_flow, sample_flow_heun

LEVELS = torch.linspace(1, 0, 31, dtype=torch.float64)
WIDTH = 64
MEAN = torch.linspace(-1, 1, WIDTH, dtype=torch.float64)
SD = torch.linspace(0.2, 1.5, WIDTH, dtype=torch.float64)


def velocity(x: Tensor, s: Tensor) -> Tensor:
    """Of independent Gaussian values, exactly."""
    variance = (1 - s) ** 2 * SD**2 + s**2
    x0 = MEAN + (1 - s) * SD**2 / variance * (x - (1 - s) * MEAN)
    return (x - x0) / s


def reward(x: Tensor) -> Tensor:
    return -((x[:, ::2].mean(1) - 0.3) ** 2) - (x[:, 1::2].mean(1) + 0.1) ** 2


def noise(batch: int, seed: int = 0, width: int = WIDTH) -> Tensor:
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(search: NoiseSearch | None, batch: int = 4, seed: int = 0) -> Tensor:
    return sample_flow(velocity, noise(batch, seed), LEVELS, guidance=search)


def test_each_sample_is_searched_for_what_was_observed_of_it() -> None:
    law = Observed(torch.tensor([2.0, -2.0], dtype=torch.float64).view(2, 1, 1, 1, 1), reading=lambda x: x[..., :1])
    search = NoiseSearch(law, iterations=4, euler_steps=2)
    shape = (2, 1, 1, 1, WIDTH)
    found = sample_flow(velocity, noise(2).view(shape), LEVELS, guidance=search)
    plain = sample_flow(velocity, noise(2).view(shape), LEVELS)
    assert bool((law.loss(found, None) < law.loss(plain, None)).all())


def network(width: int = 6) -> Callable[[Tensor, int], Tensor]:
    layers = [nn.Linear(width + 1, 16), nn.Tanh(), nn.Linear(16, width)]
    for seed, layer in enumerate(layers[::2]):
        for parameter in layer.parameters():
            nn.init.normal_(parameter, std=0.7, generator=torch.Generator().manual_seed(seed))
    net = nn.Sequential(*layers).double().requires_grad_(False)
    return lambda x, k: net(torch.cat([x, torch.full_like(x[:, :1], k)], 1))


# --- truth


@pytest.mark.parametrize("count", [1, 3, 4])
def test_the_way_back_is_the_derivative_of_the_few_steps(count: int) -> None:
    levels = [1.0, 0.9, 0.7, 0.5, 0.3, 0.0]
    flow, z = FewSteps(network(), levels, count), noise(2, width=6)
    weight = noise(2, 1, 6)
    points, first = flow.forward(z)
    assert torch.equal(first, network()(z, 0))
    found = flow.back(points, weight)
    (automatic,) = torch.autograd.functional.vjp(lambda x: _through(levels, count, x), z, weight)[1:]
    torch.testing.assert_close(found, automatic, rtol=1e-12, atol=1e-12)
    h = 1e-6
    for i in range(6):
        change = torch.zeros_like(z)
        change[:, i] = h
        up, down = (FewSteps(network(), levels, count).forward(z + sign * change)[0][-1] for sign in (1, -1))
        torch.testing.assert_close(found[:, i], (weight * (up - down) / (2 * h)).sum(1), rtol=1e-7, atol=1e-8)
    assert (flow.evaluations, flow.backward) == (2 * 2 * count, 2 * count)


def _through(levels: list[float], count: int, x: Tensor) -> Tensor:
    """The same Euler steps, written out with a graph."""
    net, total = network(), len(levels) - 1
    steps = [round(k * total / count) for k in range(count)]
    for step, following in zip(steps, [*steps[1:], total], strict=True):
        x = x + (levels[following] - levels[step]) * net(x, step)
    return x


def test_the_gradient_of_the_reward_is_that_of_finite_differences_through_decoder_and_law() -> None:
    """Of a law and a function of decoded fields together."""
    net, grid = network(24), Grid(spacing=(1.0, 1.0), dt=1.0)

    def decode(x: Tensor) -> Tensor:
        return 2.0 + torch.tanh(x).view(-1, 1, 6, 2, 2)

    law = Equality(lambda u: u.sum((1, 3, 4)).diff(dim=1) / 8.0, "mass")
    rewards: dict[str, Any] = {"mass": law, "dark": lambda u: -u.flatten(1).square().mean(1)}
    search = NoiseSearch(rewards)
    levels, z = [1.0, 0.6, 0.3, 0.0], noise(2, 3, 24)

    def objective(x: Tensor) -> Tensor:
        fields = decode(FewSteps(net, levels, 3).forward(x)[0][-1])
        return sum(evaluate(search.rewards, fields, grid).values())  # type: ignore[return-value]

    flow = FewSteps(net, levels, 3)
    point = search._point(flow, z, decode, grid, None)
    torch.testing.assert_close(total_of(point.rewards), objective(z), rtol=1e-12, atol=0)
    found, h = flow.back(point.path, point.gradient), 1e-6
    for i in range(24):
        change = torch.zeros_like(z)
        change[:, i] = h
        expected = (objective(z + change) - objective(z - change)) / (2 * h)
        torch.testing.assert_close(found[:, i], expected, rtol=1e-5, atol=1e-7)


def test_a_move_turns_uphill_by_its_angle_and_keeps_the_length() -> None:
    z, gradient, angle = noise(3), noise(3, 1), torch.tensor([0.0, 0.2, 0.4], dtype=torch.float64)
    found = turned(z, 1e-9 * gradient, angle)
    cosine = torch.nn.functional.cosine_similarity(z, found)
    torch.testing.assert_close(cosine.clamp(max=1.0).acos(), angle, rtol=1e-6, atol=2e-8)
    torch.testing.assert_close(found.norm(dim=1), z.norm(dim=1), rtol=1e-12, atol=0)
    assert bool((((found - z) * gradient)[1:].sum(1) > 0).all())
    assert torch.equal(turned(z, 0 * gradient, angle), z)


def test_the_reward_only_rises_and_the_noise_stays_as_long_as_noise_is() -> None:
    """The flow is that of independent Gaussian values, exactly; |z|^2 has the mean d and the variance 2 d."""
    search = NoiseSearch(reward, iterations=12, euler_steps=len(LEVELS) - 1)
    before, after = reward(run(None, 16)), reward(run(search, 16))
    found = torch.tensor([step["reward"] for step in search.log.rewards], dtype=torch.float64)
    assert bool((found.diff(dim=0) >= 0).all())
    assert torch.equal(found.diff(dim=0) > 0, torch.tensor(search.log.kept))
    torch.testing.assert_close(found[0], before, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[-1], after, rtol=0, atol=1e-12)
    assert float(after.mean()) > 0.05 * float(before.mean())  # the most is 0
    assert search.noise is not None
    squared = search.noise.square().sum(1)
    torch.testing.assert_close(squared, noise(16).square().sum(1), rtol=1e-12, atol=0)
    assert bool(((squared - WIDTH).abs() < 4 * math.sqrt(2 * WIDTH)).all())


def test_the_finished_sample_follows_the_one_of_few_steps() -> None:
    """As far as few steps are near to many; the run is that of the noise that was found, and nothing else."""
    search = NoiseSearch(reward, iterations=8)
    before, after = reward(run(None, 16)), reward(run(search, 16))
    few = torch.tensor(search.log.rewards[-1]["reward"], dtype=torch.float64)
    assert float(after.mean()) > 0.2 * float(before.mean())
    assert float((after - few).abs().mean()) < 0.2 * float((after - before).abs().mean())
    assert search.noise is not None
    assert torch.equal(run(search, 16), sample_flow(velocity, search.noise, LEVELS))


def test_no_iterations_leave_the_sample_as_it_is_and_seeds_reproduce() -> None:
    none = NoiseSearch(reward, iterations=0)
    assert torch.equal(run(none), run(None))
    assert (none.log.evaluations, none.log.decodes, none.cost(30)) == (0, 0, 1.0)
    first, again, other = (run(NoiseSearch(reward), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_samples_of_a_batch_are_searched_each_by_itself() -> None:
    together = run(NoiseSearch(reward, iterations=5), 3)
    for i in range(3):
        alone = sample_flow(velocity, noise(3)[i : i + 1], LEVELS, guidance=NoiseSearch(reward, iterations=5))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-10)


def test_a_law_is_climbed_as_particles_are_rewarded_for_it_and_imposed_by_what_is_inside() -> None:
    law = Equality(lambda x: x[:, :4].mean(1) - 0.5, "mean")
    search = NoiseSearch(law, iterations=8)
    x = run(search)
    few = [step["mean"] for step in search.log.rewards]
    assert min(few[-1]) > max(few[0])
    assert float(law.residual(x, None).abs().mean()) < 0.5 * float(law.residual(run(None), None).abs().mean())
    inside = NoiseSearch(reward, inside=Projection(law))
    assert float(law.residual(run(inside), None).abs().max()) < 1e-6
    assert list(inside.constraints) == ["mean"]


@pytest.mark.parametrize("jacobian", ["backward", "forward"])
def test_a_guidance_through_the_network_inside_acts_from_the_noise_that_was_found(jacobian: str) -> None:
    law = Equality(lambda x: x[:, :4].mean(1) - 0.5, "mean")
    search = NoiseSearch(reward, inside=DPS(law, jacobian=jacobian))
    x = run(search)
    assert search.noise is not None
    assert not torch.equal(search.noise, noise(4))
    alone = sample_flow(velocity, search.noise, LEVELS, guidance=DPS(law, jacobian=jacobian))
    torch.testing.assert_close(x, alone, rtol=0, atol=1e-12)
    assert search.cost(30) == pytest.approx(NoiseSearch(reward).cost(30) + 1 / 30)


# --- cost


@pytest.mark.parametrize(("iterations", "euler_steps"), [(1, 4), (4, 4), (3, 2), (2, 1), (2, 100)])
def test_the_cost_is_what_is_said(iterations: int, euler_steps: int) -> None:
    rows: list[int] = []

    def counted(x: Tensor, s: Tensor) -> Tensor:
        rows.append(len(x))
        return velocity(x, s)

    search = NoiseSearch(reward, iterations=iterations, euler_steps=euler_steps)
    sample_flow(counted, noise(2), LEVELS, guidance=search)
    assert sum(rows) == search.log.evaluations + 2 * 30
    counted_cost = 1 + (search.log.evaluations + search.log.backward) / 60
    undone = sum(not any(kept) for kept in search.log.kept[:-1])
    assert counted_cost == pytest.approx(search.cost(30) - undone * 2 * min(euler_steps, 30) / 30)


def test_a_reward_that_nothing_moves_keeps_the_noise() -> None:
    for flat in (lambda x: 0.0 * x[:, 0], lambda x: x[:, 0] * 0 - torch.inf, lambda x: (x[:, 0] * 0).sqrt()):
        search = NoiseSearch(flat)
        assert torch.equal(run(search), run(None))


# --- what is refused


def hard(x: Tensor) -> Tensor:
    return (x[:, 0] > 0).double()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: NoiseSearch([]), "rewards"),
        (lambda: NoiseSearch(reward, iterations=-1), "iterations=-1"),
        (lambda: NoiseSearch(reward, euler_steps=0), "euler_steps=0"),
        (lambda: NoiseSearch(reward, angle=0.0), "angle=0.0"),
        (lambda: NoiseSearch(reward, angle=2.0), "angle=2.0"),
        (lambda: NoiseSearch(OfVideo(reward, "count", ("peaks",), False)), "rewards='count'.*derivative"),
        (lambda: run(NoiseSearch({"hard": hard})), "rewards='hard'.*derivative"),
        (lambda: run(NoiseSearch({"law": Equality(lambda x: hard(x) - 2.0)})), "rewards='law'.*derivative"),
        (lambda: run(NoiseSearch(OfVideo(reward, "bright"))), "bright looks at the decoded video"),
        (lambda: NoiseSearch(reward, inside=Particles(2, reward)), "inside='Particles'"),
        (lambda: NoiseSearch(reward, inside=NoiseSearch(reward)), "inside='NoiseSearch'"),
        (lambda: NoiseSearch(reward, inside=DPS(Equality(lambda x: x), renoise=0.9)), "inside='DPS with renoise=0.9'"),
        (lambda: Particles(2, reward, inside=NoiseSearch(reward)), "inside='NoiseSearch'"),
        (lambda: Composition([NoiseSearch(reward), Projection(Equality(lambda x: x))]), "inside=Composition"),
        (lambda: guided_denoiser(lambda x, sigma: x, NoiseSearch(reward)), "searches=True"),
        (lambda: sample_flow_heun(velocity, noise(2), LEVELS, guidance=NoiseSearch(reward)), "searches=True"),
        (lambda: sample_flow(velocity, noise(2), LEVELS[5:], guidance=NoiseSearch(reward)), "starts as noise"),
        (
            lambda: sample_flow(lambda x, s: torch.ones_like(x), noise(2), LEVELS, guidance=NoiseSearch(reward)),
            "velocity='no graph'",
        ),
    ],
)
def test_each_mistake_is_one_clear_error(wrong: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        wrong()
