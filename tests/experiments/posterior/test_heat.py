"""The analytic mixture against definitions, Monte Carlo and brute force; the distances on known distributions."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.posterior.heat.arms import ARMS, PLAIN
from physgen.experiments.posterior.heat.differences import covariance_by_difference
from physgen.experiments.posterior.heat.distances import distances, sliced_wasserstein
from physgen.experiments.posterior.heat.mixture import Conditioned, Mixture
from physgen.experiments.posterior.heat.videos import (
    CELLS,
    DIFFUSIVITIES,
    FRAMES,
    SHAPE,
    constraint_matrix,
    heat_constraints,
    heat_mixture,
    heat_posterior,
    initial_condition,
)
from physgen.experiments.posterior.levels import levels
from physgen.experiments.posterior.network import Counted
from physgen.experiments.posterior.peers import eci, pcfm
from physgen.experiments.runs.progress import read_records


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def heat() -> Mixture:
    return heat_mixture()


@pytest.fixture(scope="module")
def given(heat: Mixture) -> Conditioned:
    return heat_posterior(heat, initial_condition(heat, 0))


def plane() -> Mixture:
    """Three components in the plane, of unequal weight."""
    factors = torch.randn(3, 2, 1, generator=generator(1), dtype=torch.float64)
    return Mixture(factors, floor=0.3, weights=torch.tensor([0.5, 0.3, 0.2]))


@pytest.mark.parametrize("sigma", [0.02, 0.4, 0.97])
def test_velocity_is_the_score(heat: Mixture, sigma: float) -> None:
    clean = heat.sample(4, generator())
    x = (1 - sigma) * clean + sigma * torch.randn(clean.shape, generator=generator(1), dtype=torch.float64)
    x.requires_grad_()
    (score,) = torch.autograd.grad(torch.logsumexp(heat.log_densities(x, sigma), 1).sum(), x)
    torch.testing.assert_close((x + sigma**2 * score) / (1 - sigma), heat.clean(x, sigma))
    torch.testing.assert_close(-(x + sigma * score) / (1 - sigma), heat.velocity(x, sigma))


def test_density_of_a_component_is_the_normal_density() -> None:
    mixture, x, sigma = plane(), torch.tensor([[0.4, -0.2]]).double(), 0.6
    for component in range(3):
        covariance = 0.16 * mixture.covariance(component) + 0.36 * torch.eye(2, dtype=torch.float64)
        normal = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), covariance)
        expected = normal.log_prob(x) + math.log((0.5, 0.3, 0.2)[component])
        torch.testing.assert_close(mixture.log_densities(x, sigma)[:, component], expected)


def test_clean_is_the_conditional_mean_of_samples() -> None:
    mixture, sigma, x = plane(), 0.6, torch.tensor([[0.5, -0.3]]).double()
    clean = mixture.sample(400_000, generator())
    weights = torch.softmax(-(x - (1 - sigma) * clean).square().sum(1) / (2 * sigma**2), 0)
    torch.testing.assert_close((weights @ clean)[None], mixture.clean(x, sigma), atol=4e-3, rtol=0)


def test_samples_have_the_mixture_s_covariance() -> None:
    mixture = plane()
    expected = sum(weight * mixture.covariance(d) for d, weight in enumerate((0.5, 0.3, 0.2)))
    torch.testing.assert_close(torch.cov(mixture.sample(400_000, generator()).T), expected, atol=1e-2, rtol=0)


def test_posterior_is_what_survives_of_the_prior() -> None:
    mixture = Mixture(torch.randn(3, 4, 2, generator=generator(3), dtype=torch.float64), floor=0.3)
    jacobian, values = torch.tensor([[1.0, 2.0, 0.0, -1.0]]).double(), torch.tensor([0.7]).double()
    exact = Conditioned(mixture, jacobian, values)
    draws = mixture.sample(4_000_000, generator())
    near = draws[(draws @ jacobian.T - values).abs()[:, 0] < 0.02]
    torch.testing.assert_close(near.mean(0), exact.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(near.std(0), exact.std, atol=0.03, rtol=0)
    posterior = exact.sample(100_000, generator(1))
    torch.testing.assert_close(posterior @ jacobian.T, values.expand(100_000, 1))
    torch.testing.assert_close(posterior.std(0), exact.std, atol=0.02, rtol=0)
    torch.testing.assert_close(torch.cov(near.T), torch.cov(posterior.T), atol=0.06, rtol=0)


def test_videos_of_the_prior_solve_the_heat_equation(heat: Mixture) -> None:
    modes = heat.factors.unflatten(1, SHAPE)
    dt, dx = 1 / (FRAMES - 1), 1 / CELLS
    padded = torch.cat([modes[:, :, :1], modes, modes[:, :, -1:]], 2)
    laplacian = padded.diff(n=2, dim=2) / dx**2
    slope = (modes[0, 2:] - modes[0, :-2]) / (2 * dt)
    torch.testing.assert_close(slope, DIFFUSIVITIES[0] * laplacian[0, 1:-1], atol=0.01, rtol=0.05)


def test_posterior_of_heat_keeps_every_diffusivity_and_the_constraints(heat: Mixture, given: Conditioned) -> None:
    initial = initial_condition(heat, 0)
    torch.testing.assert_close(given.weights, torch.full((12,), 1 / 12).double())
    draws = given.sample(64, generator())
    for law in heat_constraints(initial):
        assert law.residual(draws.unflatten(1, SHAPE), None).abs().max() < 1e-9
    rows = torch.cat([law.residual(torch.zeros(1, *SHAPE).double(), None) for law in heat_constraints(initial)], 1)
    expected = draws @ constraint_matrix().T + rows
    got = torch.cat([law.residual(draws.unflatten(1, SHAPE), None) for law in heat_constraints(initial)], 1)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


def test_components_are_told_apart(given: Conditioned) -> None:
    components = torch.arange(12).repeat_interleave(20)
    white = torch.randn(240, given.roots.shape[2], 1, generator=generator(), dtype=torch.float64)
    draws = given.means[components] + (given.roots[components] @ white)[..., 0]
    assert torch.equal(given.component(draws), components)


def test_distances_of_exact_draws_are_small_and_of_one_component_are_not(given: Conditioned) -> None:
    exact = distances(given, given.sample(256, generator(5)), seed=1)
    assert exact.mmse < 1e-4
    assert exact.smse < 1e-4
    assert exact.sw2 < 0.03
    assert exact.tv < 0.2
    one = distances(given, given.means[:1].expand(256, -1), seed=1)
    assert one.tv == pytest.approx(11 / 12)
    assert one.sw2 > 4 * exact.sw2
    assert one.smse == pytest.approx(float(given.std.square().mean()))


def test_sliced_wasserstein_of_shifted_and_scaled_samples() -> None:
    x = torch.randn(2000, 8, generator=generator(), dtype=torch.float64)
    shift = torch.full((8,), 0.5).double()
    assert sliced_wasserstein(x, x + shift, 1000) == pytest.approx(0.5, rel=0.05)
    assert sliced_wasserstein(x, 3 * x, 1000) == pytest.approx(2.0, rel=0.05)
    assert sliced_wasserstein(x, x.flip(0)) == 0


def test_network_counts_evaluations_and_backward_passes() -> None:
    velocity = Counted(lambda x, sigma: x * sigma)
    x = torch.ones(1, 2)
    velocity(x, 0.5)
    leaf = x.requires_grad_()
    v = velocity(leaf, torch.tensor(0.5))
    for _ in range(3):
        torch.autograd.grad(v.sum(), leaf, retain_graph=True)
    assert (velocity.evaluations, velocity.backward_passes) == (2, 3)


def halve(x: Tensor, sigma: float) -> Tensor:
    return x / 2


def test_eci_mixes_and_draws_noise_anew() -> None:
    noise, levels = torch.ones(1, 1).double(), [1.0, 0.5, 0.0]
    once = eci(halve, noise, levels, lambda x: x + 1)
    # clean 1.5, x = 1.25; clean 1.9375
    assert once.item() == pytest.approx(1.9375)
    twice = eci(halve, noise, levels, lambda x: x + 1, mixing=2)
    # at 1: x = 1, clean 1.5, x = 1.25; at 0.5: clean 1.9375, x = 1.46875, clean 2.1015625
    assert twice.item() == pytest.approx(2.1015625)
    assert eci(halve, noise, levels, lambda x: x + 1, resample=1, generator=generator()).item() != once.item()


def test_pcfm_without_penalty_is_eci_and_with_it_lowers_the_residual_on_the_way() -> None:
    noise = torch.randn(3, 2, generator=generator(), dtype=torch.float64)
    seen: list[float] = []

    def project(x: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(x[:, :1]), x[:, 1:]], 1)

    def residual(x: Tensor) -> Tensor:
        seen.append(float((x[:, 0] - 1).square().sum().detach()))
        return x[:, :1] - 1

    levels = [1.0, 0.6, 0.3, 0.0]
    free = pcfm(halve, noise, levels, project, residual, penalty=0.0)
    torch.testing.assert_close(free, project(eci(halve, noise, levels, project)))
    pcfm(halve, noise, levels, project, residual, rate=0.1)
    assert seen[19] < seen[0]


def test_differences_give_the_covariance_of_the_clean_sample() -> None:
    prior, sigma = Mixture(torch.randn(1, 6, 3, generator=generator(4), dtype=torch.float64), floor=0.5), 0.4
    x, v = torch.randn(2, 3, 6, generator=generator(6), dtype=torch.float64)
    eye = torch.eye(6, dtype=torch.float64)
    covariance = torch.linalg.inv(torch.linalg.inv(prior.covariance(0)) + ((1 - sigma) / sigma) ** 2 * eye)
    product = covariance_by_difference(lambda y: prior.clean(y, sigma), prior.clean(x, sigma), x, sigma)
    torch.testing.assert_close(product(v), v @ covariance, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(product(0 * v), 0 * v)


def test_levels_fall_from_exactly_one_to_exactly_zero() -> None:
    for shift in (0.3, 1.0, 3.0):
        sigmas = levels(10, shift)
        assert (sigmas[0], sigmas[-1], len(sigmas)) == (1.0, 0.0, 11)
        assert all(high > low for high, low in pairwise(sigmas))


def options(out: Path, steps: int = 10) -> list[str]:
    return ["benchmark-guidance", "n=32", "seeds=[7]", f"steps={steps}", f"out={out}"]


@pytest.mark.slow
def test_command_writes_results_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(options(out)) == 0
    assert str(out) in capsys.readouterr().out
    records = {record["arm"]: record for record in json.loads((out / "heat.json").read_text())}
    assert list(records) == list(ARMS)
    assert all(record["nfe"] <= 10 for record in records.values())
    assert records["conditional mean, 2 backward"]["vjp"] == 18
    assert records["conditional mean, 2 forward"]["vjp"] == records["unguided"]["vjp"] == 0
    assert all(record["residual"] < 1e-9 for record in records.values())
    assert records["conditional mean, 2 backward"]["sw2"] < 0.5 * records["ECI, mix 1"]["sw2"]
    assert (out / "heat.png").stat().st_size > 10_000
    assert (out / "heat.md").read_text().count("\n| ") == len(ARMS) + 1
    kept = (out / "heat.json").read_text()
    (out / "heat.json").write_text(json.dumps(json.loads(kept)[:-1]))
    assert main(options(out)) == 0
    again = {record["arm"]: record for record in json.loads((out / "heat.json").read_text())}
    assert again["ECI, mix 1"] == records["ECI, mix 1"]
    assert again["conditional mean, 2 backward"]["sw2"] == records["conditional mean, 2 backward"]["sw2"]
    assert main(options(out, steps=20)) == 2


@pytest.mark.slow
def test_classes_as_they_are_come_near_the_posterior_on_evenly_spaced_levels(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*options(out, steps=40), "problem=plain"]) == 0
    records = {record["arm"]: record for record in json.loads((out / "plain.json").read_text())}
    assert list(records) == list(PLAIN)
    assert all(record["nfe"] <= 40 for record in records.values())
    for name in ("DPS", "TFG", "conditional mean"):
        assert records[f"{name}, forward"]["vjp"] == 0 < records[name]["vjp"]
        assert records[f"{name}, forward"]["sw2"] < 0.5 * records["projection"]["sw2"]


@pytest.mark.parametrize("wrong", ["problem=heatt", "n=1", "steps=2", "seeds=[]", "seeds=[1,1]", "seeds=[-1]"])
def test_command_refuses(wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*options(tmp_path / "run"), wrong]) == 2
    assert wrong.partition("=")[0] in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[{", "{}", "[1]"])
def test_a_broken_record_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "heat.json").write_text(text)
    with pytest.raises(InvalidArgument, match=r"out=.*heat\.json is whole"):
        read_records(tmp_path / "heat.json")
    assert (tmp_path / "heat.json").read_text() == text
