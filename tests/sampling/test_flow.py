"""Own sampling loops against the exact flow of a Gaussian."""

from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import Equality
from physgen.errors import InvalidArgument
from physgen.guidance import DPS, TFG, AugmentedLagrangian, Guidance, NoiseSearch, PiGDM, Projection, X0Gradient
from physgen.sampling.flow import sample_flow, sample_flow_heun

SD = torch.tensor([0.5, 1.0, 2.0, 0.2], dtype=torch.float64)
SUM = Equality(lambda x: x.sum(1) - 1.5)


def velocity(x: Tensor, sigma: Tensor) -> Tensor:
    """Of independent Gaussians of those standard deviations."""
    variance = (1 - sigma) ** 2 * SD**2 + sigma**2
    return (sigma - (1 - sigma) * SD**2) * x / variance


def noise(batch: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(batch, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def levels(steps: int) -> Tensor:
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


@pytest.mark.parametrize(("sampler", "order"), [(sample_flow, 1), (sample_flow_heun, 2)])
def test_order_of_convergence(sampler: Any, order: int) -> None:
    """The exact flow from sigma = 1 to 0 multiplies by the standard deviation."""
    errors = [float((sampler(velocity, noise(), levels(n)) - SD * noise()).abs().max()) for n in (160, 320)]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)


def test_new_noise_between_two_levels() -> None:
    """x <- (1 - s') x0 + s' (sqrt(1 - eta) e + sqrt(eta) xi), and the last step draws none."""
    x, xi = noise(), torch.randn(64, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sigmas = torch.tensor([0.8, 0.3, 0.0], dtype=torch.float64)
    x0 = x - 0.8 * velocity(x, sigmas[0])
    e = (x - 0.2 * x0) / 0.8
    y = 0.7 * x0 + 0.3 * (0.6**0.5 * e + 0.4**0.5 * xi)
    found = sample_flow(velocity, x, sigmas, renoise=0.4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, y - 0.3 * velocity(y, sigmas[1]))


GUIDANCES: list[Guidance] = [
    Projection([SUM]),
    X0Gradient([SUM], terminal=True),
    PiGDM([SUM], renoise=0.3),
    DPS([SUM], terminal=True),
    AugmentedLagrangian([SUM], terminal=True),
    TFG([SUM], recurrence=2, terminal=True),
]


SEARCH = NoiseSearch(lambda x: -x[:, 0].square(), iterations=1, euler_steps=2)
SAMPLED = [
    *[(sample_flow, guidance) for guidance in (*GUIDANCES, SEARCH)],
    *[(sample_flow_heun, guidance) for guidance in GUIDANCES if not guidance.renoise and guidance.recurrence == 1],
]


@pytest.mark.parametrize(("sampler", "guidance"), SAMPLED, ids=lambda one: getattr(one, "__name__", type(one).__name__))
def test_inference_mode_changes_nothing(sampler: Any, guidance: Guidance) -> None:
    torch.manual_seed(0)
    expected = sampler(velocity, noise(4), levels(4), guidance=guidance)
    with torch.inference_mode():
        torch.manual_seed(0)
        found = sampler(velocity, noise(4), levels(4), guidance=guidance)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("guidance", GUIDANCES, ids=lambda g: type(g).__name__)
def test_every_guidance_ends_on_the_constraint(guidance: Guidance) -> None:
    x = sample_flow(velocity, noise(), levels(20), guidance=guidance, generator=torch.Generator().manual_seed(0))
    assert (x.sum(1) - 1.5).abs().max() < 1e-9
    assert not x.requires_grad


def test_pigdm_draws_from_the_posterior() -> None:
    """Independent values of unit variance given their sum: mean 1.5 / 4, variance 3 / 4."""

    def unit(x: Tensor, sigma: Tensor) -> Tensor:
        return (2 * sigma - 1) * x / (sigma**2 + (1 - sigma) ** 2)

    x = sample_flow(unit, noise(20_000), levels(100), guidance=PiGDM([SUM]))
    torch.testing.assert_close(x.mean(0), torch.full((4,), 1.5 / 4, dtype=x.dtype), rtol=0, atol=0.03)
    torch.testing.assert_close(x.var(0), torch.full((4,), 0.75, dtype=x.dtype), rtol=0.05, atol=0)


def test_recurrence_visits_every_level_again() -> None:
    seen: list[float] = []

    def counted(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(float(sigma))
        return velocity(x, sigma)

    sample_flow(counted, noise(4), levels(3), guidance=TFG([SUM], recurrence=3))
    assert len(seen) == 9
    assert seen[:4] == pytest.approx([1, 1, 1, 2 / 3])


def test_constraints_on_decoded_samples() -> None:
    """The decoder doubles; samples themselves are not projected at the end."""
    guidance = X0Gradient([Equality(lambda f: f.flatten(1).sum(1) - 3.0)], steps=2, terminal=True)
    plain = sample_flow(velocity, noise(), levels(10))
    x = sample_flow(velocity, noise(), levels(10), guidance=guidance, decode=lambda z: 2 * z[:, None, None])
    left, before = ((2 * y.sum(1) - 3.0).abs() for y in (x, plain))
    assert float(left.median()) < 1e-9
    assert float(left.mean()) < 0.1 * float(before.mean())


def test_callback_sees_every_step() -> None:
    calls: list[tuple[int, Tensor]] = []
    x = sample_flow(velocity, noise(), levels(5), callback=lambda step, x, x0: calls.append((step, x0)))
    assert [step for step, _ in calls] == [0, 1, 2, 3, 4]
    torch.testing.assert_close(calls[-1][1], x)


def test_a_network_that_gives_nan_loses_the_correction_only() -> None:
    def broken(x: Tensor, sigma: Tensor) -> Tensor:
        v = velocity(x, sigma)
        v[0] = torch.nan
        return v

    x = sample_flow(broken, noise(3), levels(4), guidance=Projection([SUM]))
    assert x[0].isnan().all()
    assert (x[1:].sum(1) - 1.5).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("sigmas", "options", "message"),
    [
        (torch.tensor([1.0, 0.5]), {}, "sigmas"),
        (torch.tensor([0.5, 1.0, 0.0]), {}, "sigmas"),
        (torch.tensor([2.0, 0.0]), {}, "sigmas"),
        (torch.tensor([1.0]), {}, "sigmas"),
        (torch.tensor([1.0, 0.0]), {"renoise": 1.5}, "renoise"),
    ],
)
def test_bad_arguments(sigmas: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        sample_flow(velocity, noise(), sigmas, **options)


def test_a_guidance_draws_new_noise_at_the_steps_that_it_corrects() -> None:
    """Outside its window the generator is not asked: three of ten steps are corrected, the last one without noise."""

    def left_of(guidance: Guidance) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        sample_flow(velocity, noise(1), levels(10), guidance=guidance, generator=generator)
        return torch.randn(4, generator=generator)

    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        torch.randn(noise(1).shape, dtype=noise(1).dtype, generator=generator)
    expected = torch.randn(4, generator=generator)
    assert torch.equal(left_of(Projection([SUM], start=0.7, renoise=0.5, terminal=False)), expected)


@pytest.mark.parametrize(("guidance", "name"), [(TFG([SUM]), "recurrence"), (PiGDM([SUM], renoise=0.1), "renoise")])
def test_heun_draws_no_noise(guidance: Guidance, name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        sample_flow_heun(velocity, noise(), levels(3), guidance=guidance)
