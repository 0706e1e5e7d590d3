"""Update rules against what they are in closed form."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import Equality, Inequality, Observed, PhaseOrder, ReactionDiffusion, ReactionSystem
from physgen.constraints.fit import Fit
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import (
    DPS,
    TFG,
    Assimilation,
    AugmentedLagrangian,
    BestOfN,
    Composition,
    Guidance,
    PiGDM,
    Projection,
    X0Gradient,
)
from physgen.sampling import guided_denoiser

GUIDANCES: list[Any] = [X0Gradient, Projection, PiGDM, DPS, AugmentedLagrangian, TFG]
N = 12


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


W, B = random(3, N, seed=7), random(3, seed=8)
LINEAR = Equality(lambda x: x @ W.T - B)
#: covariance of a Gaussian prior of mean zero
ROOT = random(N, N, seed=9) / 3
PRIOR = ROOT @ ROOT.T + 0.05 * torch.eye(N, dtype=torch.float64)


def estimate(x_t: Tensor, sigma: float) -> Tensor:
    """E[x0 | x_t] of the prior."""
    noisy = (1 - sigma) ** 2 * PRIOR + sigma**2 * torch.eye(N, dtype=torch.float64)
    return torch.linalg.solve(noisy, ((1 - sigma) * x_t).T).T @ PRIOR


def correct(guidance: Guidance, sigma: float, batch: int = 2) -> tuple[Tensor, Tensor]:
    x_t = random(batch, N, seed=1).requires_grad_(guidance.through_network)
    x0_hat = estimate(x_t, sigma)
    return x0_hat.detach(), guidance.correct(x0_hat, x_t=x_t, sigma=sigma)


@pytest.mark.parametrize("sigma", [0.2, 0.5, 0.9])
def test_pigdm_is_the_posterior_mean_of_independent_values(sigma: float) -> None:
    """x0 ~ N(0, 1): E[x0 | x_t, W x0 = b] = x0_hat + W^T (W W^T)^-1 (b - W x0_hat)."""
    x_t = random(2, N, seed=1).requires_grad_()
    x0_hat = (1 - sigma) * x_t / (sigma**2 + (1 - sigma) ** 2)
    exact = x0_hat + torch.linalg.solve(W @ W.T, (B - x0_hat @ W.T).T).T @ W
    torch.testing.assert_close(PiGDM([LINEAR]).correct(x0_hat, x_t=x_t, sigma=sigma), exact.detach())


def test_pigdm_with_noise_is_its_formula() -> None:
    sigma, noise = 0.4, 0.7
    r2 = sigma**2 / (sigma**2 + (1 - sigma) ** 2)
    x_t = random(2, N, seed=1).requires_grad_()
    x0_hat = estimate(x_t, sigma)
    inner = torch.linalg.solve(r2 * W @ W.T + noise**2 * torch.eye(3, dtype=W.dtype), (B - x0_hat @ W.T).T).T @ W
    (g,) = torch.autograd.grad(x0_hat, x_t, inner.detach())
    found = PiGDM([LINEAR], noise=noise).correct(estimate(x_t, sigma), x_t=x_t, sigma=sigma)
    torch.testing.assert_close(found, (x0_hat + sigma**2 / (1 - sigma) * g).detach(), rtol=1e-5, atol=1e-6)


def test_pigdm_of_pure_noise_is_the_projection() -> None:
    x0_hat, x0 = correct(PiGDM([LINEAR]), 1.0)
    torch.testing.assert_close(x0, Projection([LINEAR]).correct(x0_hat, x_t=x0_hat, sigma=1.0))


def test_dps_follows_the_gradient_with_respect_to_x_t() -> None:
    sigma = 0.6
    x_t = random(2, N, seed=1).requires_grad_()
    loss = LINEAR.loss(estimate(x_t, sigma), None).sum()
    (gradient,) = torch.autograd.grad(loss, x_t)
    x0_hat, x0 = correct(DPS([LINEAR]), sigma)
    cosine = torch.nn.functional.cosine_similarity(x0_hat - x0, gradient)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    assert (LINEAR.loss(x0, None) < LINEAR.loss(x0_hat, None)).all()


def test_several_constraints_are_met_at_once_whatever_their_scales() -> None:
    small = Equality(lambda x: 1e-3 * (x[:, :1] - 0.2), "small")
    large = Equality(lambda x: 1e3 * (x[:, :2].sum(1) - 1.0), "large")
    x = random(3, N, seed=3)
    x0 = X0Gradient([small, large], steps=8).correct(x, x_t=x, sigma=1.0)
    assert (x0[:, 0] - 0.2).abs().max() < 1e-3
    assert (x0[:, :2].sum(1) - 1.0).abs().max() < 1e-3


def test_what_is_below_the_noise_of_true_data_is_left_alone() -> None:
    class Noisy(Equality):
        noise_floor = 2.0

    law = Noisy(lambda x: x[:, :1])
    x = torch.tensor([[1.5, 0.0], [2.5, 0.0], [-2.25, 0.0]])
    x0 = X0Gradient([law]).correct(x, x_t=x, sigma=0.99)
    torch.testing.assert_close(x0[:, 0], torch.tensor([1.5, 2.0, -2.0]))
    assert PhaseOrder().noise_floor > 0 == PhaseOrder(form="clock").noise_floor


@pytest.mark.parametrize("cls", [X0Gradient, Projection, AugmentedLagrangian, PiGDM, DPS])
def test_inequalities_leave_what_satisfies_them(cls: Any) -> None:
    guidance = cls([Inequality(lambda x: x[:, :1] - 100.0)])
    x0_hat, x0 = correct(guidance, 0.5)
    torch.testing.assert_close(x0, x0_hat)


def test_multipliers_reach_the_constrained_minimum() -> None:
    """Equality and inequality; the exact answer is the projection."""
    laws = [LINEAR, Inequality(lambda x: x[:, 3:5] + 0.3)]
    guidance = AugmentedLagrangian(laws, steps=5)
    x = random(2, N, seed=4) / 2
    for _ in range(80):
        x0 = guidance.correct(x, x_t=x, sigma=0.95)
    torch.testing.assert_close(x0, Projection(laws).correct(x, x_t=x, sigma=0.95), rtol=0, atol=2e-3)
    guidance.reset()
    first = guidance.correct(x, x_t=x, sigma=0.95)
    assert (first - x0).abs().max() > 1e-3


def test_tfg_without_smoothing_or_recurrence_is_dps_then_x0_gradient() -> None:
    x0_hat, x0 = correct(TFG([LINEAR], smoothing=0.0, recurrence=1), 0.6)
    _, dps = correct(DPS([LINEAR]), 0.6)
    expected = X0Gradient([LINEAR]).correct(dps, x_t=dps, sigma=1.0)
    torch.testing.assert_close(x0, expected)
    assert (x0 != x0_hat).all()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_pigdm_moves_nothing_where_nothing_is_uncertain(noise: float) -> None:
    x0_hat, x0 = correct(PiGDM([LINEAR], noise=noise), 0.0)
    torch.testing.assert_close(x0, x0_hat)


def test_windows_inside_a_composition_are_refused_where_the_step_is_unknown() -> None:
    composed = Composition([X0Gradient([LINEAR], stop=0.5), Projection([LINEAR], start=0.5)])
    with pytest.raises(InvalidArgument, match=r"start=0\.5|stop=0\.5"):
        guided_denoiser(lambda x, sigma: x, composed)


def test_a_fit_that_is_not_finite_counts_for_nothing() -> None:
    class Fitted(Equality):
        fitted, holds = ("k",), True
        found = iter([[2.0], [float("nan")], [4.0]])

        def fit(self, fields: Tensor, grid: Grid | None) -> Fit:
            return Fit({"k": next(self.found)})

        def with_constants(self, constants: Any) -> Equality:
            (k,) = constants.values["k"]
            used.append(k)
            return Equality(lambda x: x[:, :1] - k)

    used: list[float] = []
    guidance = X0Gradient([Fitted(lambda x: x)])
    for _ in range(3):
        guidance.correct(random(1, N), x_t=random(1, N), sigma=0.5)
    assert used == [2.0, 2.0, 3.0]


def test_a_sample_without_a_projection_is_dropped_alone() -> None:
    """du/dt = u^2 is infinite at t = 1 / u: after 6 frames of 0.4 for the second sample."""
    explosion = ReactionDiffusion(ReactionSystem(["u"], [], ["u**2"]), {"u": 0.0}, form="flow_map")
    fields = torch.tensor([0.1, 1.5]).view(2, 1, 1, 1).expand(2, 1, 6, 4)
    for laws in ([explosion], [explosion, Inequality(lambda x: x.flatten(1) - 9.0)]):
        correction = Projection(laws).correction(fields, x_t=fields, sigma=0.5, grid=Grid((1.0,), 0.4))
        assert correction.dropped == 1
        assert torch.equal(correction.x0[1], fields[1])
        assert explosion.residual(correction.x0[:1], Grid((1.0,), 0.4)).abs().max() < 1e-5


def test_the_best_of_n_is_chosen_sample_by_sample() -> None:
    draws = [random(5, N, seed=seed) for seed in range(4)]
    stream = iter(draws)
    best = BestOfN([LINEAR], n=4).sample(lambda: next(stream))
    losses = torch.stack([LINEAR.loss(x, None) for x in draws])
    torch.testing.assert_close(LINEAR.loss(best, None), losses.amin(0))


def test_draws_that_are_not_finite_are_not_chosen() -> None:
    bad, good = random(2, N), random(2, N, seed=1)
    bad[0, 0] = torch.nan
    stream = iter([bad, good])
    assert BestOfN([LINEAR], n=2).sample(lambda: next(stream)).isfinite().all()


def assimilation() -> Assimilation:
    observed = Observed(torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4, dtype=torch.bool), 0.1)
    return Assimilation({"observed": observed, "law": ReactionDiffusion("diffusion", {"c": 0.1}, form="flow_map")})


def test_a_composition_is_one_after_the_other_inside_their_windows() -> None:
    other = Equality(lambda x: x[:, :1] - 0.3, "first")
    composed = Composition([X0Gradient([LINEAR], stop=0.5), Projection([other], start=0.5)])
    x = random(2, N, seed=5)
    assert composed.active(0, 4)
    early = composed.correct(x, x_t=x, sigma=0.9, position=(0, 4))
    torch.testing.assert_close(early, X0Gradient([LINEAR]).correct(x, x_t=x, sigma=0.9))
    assert composed.active(3, 4)
    late = composed.correct(x, x_t=x, sigma=0.2, position=(3, 4))
    torch.testing.assert_close(late, Projection([other]).correct(x, x_t=x, sigma=0.2))
    assert composed.terminal
    assert len(composed.constraints) == 2
    assert "he2024mpgd" in composed.citation()
    assert "utkarsh2025pcfm" in composed.citation()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Composition([X0Gradient([LINEAR])]), "guidances"),
        (lambda: Composition([X0Gradient([LINEAR]), DPS([LINEAR])]), "through_network"),
        (lambda: Composition([X0Gradient([LINEAR]), X0Gradient([LINEAR], renoise=0.5)]), "renoise"),
        (lambda: Composition([assimilation(), Projection([LINEAR], renoise=0.9)]), "Assimilation alone"),
        (lambda: AugmentedLagrangian([LINEAR], penalty=0.0), "penalty"),
        (lambda: PiGDM([LINEAR], noise=-1.0), "noise"),
        (lambda: TFG([LINEAR], recurrence=0), "recurrence"),
        (lambda: TFG([LINEAR], draws=0), "draws"),
        (lambda: TFG([LINEAR], smoothing=-1.0), "smoothing"),
        (lambda: BestOfN([LINEAR], n=1), "n=1"),
        (lambda: BestOfN([], n=2), "constraints"),
        (lambda: X0Gradient([LINEAR], renoise=1.5), "renoise"),
    ],
)
def test_bad_arguments(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


@pytest.mark.parametrize("cls", [PiGDM, DPS, TFG])
def test_the_network_needs_a_graph(cls: Any) -> None:
    with pytest.raises(InvalidArgument, match="x0_hat"):
        cls([LINEAR]).correct(random(2, N), x_t=random(2, N), sigma=0.5)


@pytest.mark.parametrize("cls", GUIDANCES)
def test_everything_can_be_cited(cls: Any) -> None:
    text = cls([LINEAR]).citation()
    assert text.startswith("@")
    assert text.count("{") == text.count("}")


def test_constants_are_fitted_once_a_correction_and_averaged_over_the_run() -> None:
    """Decay of one mode at D = 1, then at D = 3: the second correction uses their mean."""
    grid = Grid((1.0,), dt=0.5)
    mode = torch.cos(torch.pi * (torch.arange(16, dtype=torch.float64) + 0.5) / 16)
    rate = 2 - 2 * torch.cos(torch.tensor(torch.pi / 16, dtype=torch.float64))
    time = 0.5 * torch.arange(6, dtype=torch.float64)
    videos = [(torch.exp(-D * rate * time)[:, None] * mode)[None, None] for D in (1.0, 3.0)]
    guidance = X0Gradient([ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")])
    used = []
    for video in videos:
        guidance.correction(video, x_t=video, sigma=0.5, grid=grid)
        (average,) = guidance._fit._averages.values()
        used.append(average["D_c"][0])
    assert used == pytest.approx([1.0, 2.0], rel=1e-3)
    guidance.reset()
    guidance.correction(videos[1], x_t=videos[1], sigma=0.5, grid=grid)
    (average,) = guidance._fit._averages.values()
    assert average["D_c"][0] == pytest.approx(3.0, rel=1e-3)
