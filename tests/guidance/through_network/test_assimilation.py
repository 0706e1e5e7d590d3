"""Model, law and observation joined, on heat whose truth is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from physgen.constraints import Constraint, MassConservation, Observed, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Assimilation
from physgen.sampling import sample_flow

GRID = Grid(spacing=(1.0, 1.0), dt=1.0)
D = 0.4


def heat(**constants: float) -> ReactionDiffusion:
    return ReactionDiffusion("diffusion", constants, fitted=() if constants else ["D"], form="flow_map")


def blobs(seed: int) -> Tensor:
    """A first frame of two blobs."""
    generator = torch.Generator().manual_seed(seed)
    places = 4 + 12 * torch.rand(2, 2, 1, 1, generator=generator, dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    return torch.exp(-((y - places[:, 0]) ** 2 + (x - places[:, 1]) ** 2) / 8).sum(0)


TRUTH = heat(c=D).project(blobs(0).expand(1, 1, 9, 20, 20).clone(), GRID)
FRAMES = torch.arange(9.0, dtype=torch.float64).view(9, 1, 1)
MASK = torch.zeros(1, 9, 20, 20, dtype=torch.bool)
MASK[:, 0, :, :10] = True
MASK[:, 6, :, 10:] = True
SEEN = Observed(TRUTH[0], MASK)


def model(seed: int = 1) -> Tensor:
    """What a model might draw: nearly right, but no heat: wrong by a smooth field that comes and goes."""
    return TRUTH + 0.1 * (blobs(seed) - 0.3) * torch.sin(FRAMES)


def error(fields: Tensor) -> float:
    return float((fields - TRUTH)[0][~MASK].square().mean().sqrt())


def test_truth_is_given_back() -> None:
    assert error(Assimilation([SEEN, heat(c=D)]).projection(TRUTH, GRID).fields) < 1e-6


def test_joined_is_nearer_than_model_and_law_and_finds_the_constant() -> None:
    background = model()
    afterwards = heat().project(torch.where(MASK, TRUTH, background), GRID)
    found = Assimilation([SEEN, heat()]).projection(background, GRID)
    assert error(found.fields) < 0.6 * min(error(background), error(afterwards))
    assert found.problems[0].fits["reaction_diffusion"].values["D_c"][0] == pytest.approx(D, rel=0.05)
    held = found.problems[0].constraints["reaction_diffusion"]
    assert held.satisfied(found.fields, GRID, 1e-6).all()


def test_a_small_weight_leaves_what_was_seen_to_itself() -> None:
    """Deviations where something was seen fall with the weight of what was not."""
    deviations = []
    for weight in (1.0, 0.01):
        fields = Assimilation([SEEN, heat(c=D)], weight=weight).projection(model(), GRID).fields
        deviations.append(SEEN.describe(fields, GRID)["deviation"][0])
    assert deviations[1] < 0.2 * deviations[0]


def test_each_sample_is_joined_by_itself_and_one_that_is_not_finite_stays() -> None:
    batch = torch.cat([model(1), model(2)])
    batch[1, 0, 3, 2, 2] = torch.nan
    found = Assimilation([SEEN, heat(c=D)]).projection(batch, GRID).fields
    torch.testing.assert_close(found[:1], Assimilation([SEEN, heat(c=D)]).projection(batch[:1], GRID).fields)
    assert torch.equal(found[1].isnan(), batch[1].isnan())


def test_the_law_is_not_fitted_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    law = heat()
    monkeypatch.setattr(law, "fit", lambda *_: pytest.fail("fitted"))
    x_t = TRUTH.clone().requires_grad_()
    correction = Assimilation([SEEN, law]).correction(0.5 * x_t, x_t=x_t, sigma=0.5, grid=GRID)
    assert correction.norm > 0
    assert list(correction.residuals) == ["observed"]


@pytest.mark.slow
def test_a_flow_keeps_to_the_observation_and_ends_on_the_law() -> None:
    def velocity(x: Tensor, s: Tensor) -> Tensor:
        """A model whose samples vary around a wrong video with a standard deviation of 0.3."""
        mean = model()
        gain = (1 - s) * 0.09 / ((1 - s) ** 2 * 0.09 + s**2)
        return (x - (mean + gain * (x - (1 - s) * mean))) / s

    noise = torch.randn(TRUTH.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sigmas, generator = torch.linspace(1, 0, 13, dtype=torch.float64), torch.Generator().manual_seed(4)
    guidance = Assimilation([SEEN, heat()])
    found = sample_flow(velocity, noise, sigmas, guidance=guidance, grid=GRID, generator=generator)
    assert SEEN.describe(found, GRID)["deviation"][0] < 0.1
    fitted = heat().fit(found, GRID)
    assert fitted.explained[0] > 0.999


def test_bad_input() -> None:
    sets: list[list[Constraint]] = [[heat()], [SEEN], [SEEN, heat(), MassConservation()]]
    for laws in sets:
        with pytest.raises(InvalidArgument, match="one Observed and one ReactionDiffusion"):
            Assimilation(laws)
    with pytest.raises(InvalidArgument, match="the shape of the observed values"):
        Assimilation([SEEN, heat()]).projection(TRUTH[..., :10], GRID)
    with pytest.raises(InvalidArgument, match="weight=0"):
        Assimilation([SEEN, heat()], weight=0)
    with pytest.raises(InvalidArgument, match="a reading"):
        Assimilation([Observed(TRUTH[0], MASK, reading=lambda fields: fields), heat()])


def test_an_ensemble_says_where_the_sample_can_be_trusted() -> None:
    """Of samples that agree, and are right, on the right half of the picture alone, that half counts."""
    noise = torch.Generator().manual_seed(5)
    smooth = F.avg_pool2d(torch.randn(6, 9, 24, 24, generator=noise, dtype=torch.float64), 5, 1)[:, None]
    wrong = 0.5 * smooth
    wrong[..., 10:] *= 0.02
    little = Observed(TRUTH[0], MASK & (FRAMES < 1))
    guidance = Assimilation([little, heat()])
    members = guidance.members(TRUTH + wrong, torch.Generator().manual_seed(0))
    plain = guidance.projection(TRUTH + wrong, GRID).fields
    told = each(members, TRUTH + wrong)
    errors = [float((found - TRUTH)[:, ~MASK].square().mean().sqrt()) for found in (TRUTH + wrong, plain, told)]
    assert errors[2] < 0.8 * errors[1] < 0.8 * errors[0]


def test_noise_of_what_was_seen_is_not_fitted() -> None:
    """Joined with a sample that is right, noisy values move it by less than a tenth of their noise."""
    generator = torch.Generator().manual_seed(6)
    values = TRUTH[0] + 0.1 * torch.randn(TRUTH.shape[1:], generator=generator, dtype=torch.float64)
    seen = Observed(values, MASK, 0.1)
    found = Assimilation([seen, heat(c=D)], spread=0.02).projection(TRUTH, GRID, (0.0, 1.0)).fields
    assert float((found - TRUTH)[:, MASK].square().mean().sqrt()) < 0.01
    assert float(found.min()) > -1e-9


def test_bad_spread() -> None:
    with pytest.raises(InvalidArgument, match="spread=0"):
        Assimilation([SEEN, heat()], spread=0)
    with pytest.raises(InvalidArgument, match="finite values > 0 of the shape"):
        Assimilation([SEEN, heat()], spread=torch.ones(2, 2))
    with pytest.raises(InvalidArgument, match="an ensemble of two or more"):
        Assimilation([SEEN, heat()]).members(TRUTH, torch.Generator())


def each(members: tuple[Assimilation, ...], fields: Tensor) -> Tensor:
    pairs = zip(members, fields.split(1), strict=True)
    return torch.cat([member.projection(one, GRID).fields for member, one in pairs])


def test_an_ensemble_differs_by_what_noise_left_open() -> None:
    """With 16 right samples all that is wrong is the noise of what was seen: the ensemble shows it, plain joins do not.

    Its spread is the error of the mean over draws of the noise, and its mean is that of samples without more noise.
    """
    generator = torch.Generator().manual_seed(7)
    samples, everywhere = TRUTH.expand(16, -1, -1, -1, -1), torch.ones_like(MASK)
    off, spreads, apart = [], [], []
    for _ in range(4):
        noisy = TRUTH[0] + 0.1 * torch.randn(TRUTH.shape[1:], generator=generator, dtype=torch.float64)
        guidance = Assimilation([Observed(noisy, everywhere, 0.1), heat(c=D)])
        wide = samples + 0.2 * torch.randn(16, 1, 1, 20, 20, generator=generator, dtype=torch.float64)
        found = each(guidance.members(wide, generator), samples.clone())
        plain = guidance.members(wide, generator)[0]
        plain.more_noise = torch.zeros(())
        one = plain.projection(samples[:1], GRID).fields
        off.append(float((one - TRUTH).square().mean()))
        spreads.append(float(found.var(0).mean()))
        apart.append(float((found.mean(0) - one[0]).square().mean()))
    error, spread = (sum(values) ** 0.5 for values in (off, spreads))
    assert spread == pytest.approx(error, rel=0.25)
    assert sum(apart) ** 0.5 < 0.15 * error


def test_each_member_keeps_to_the_values_of_its_own_sample() -> None:
    both = torch.cat([TRUTH, 0.5 * TRUTH])
    members = Assimilation([Observed(both, MASK), heat(c=D)]).members(both, torch.Generator())
    torch.testing.assert_close(each(members, both), both, rtol=0.0, atol=1e-6)


def test_an_ensemble_of_hard_values_has_no_more_noise() -> None:
    members = Assimilation([SEEN, heat(c=D)]).members(torch.cat([model(1), model(2)]), torch.Generator())
    assert not any(bool(member.more_noise.any()) for member in members)


def test_more_noise_has_the_sd_of_the_observation_and_sums_to_nothing() -> None:
    noise = torch.linspace(0.05, 0.2, 20, dtype=torch.float64)
    seen = Observed(TRUTH[0], MASK, noise)
    members = Assimilation([seen, heat()]).members(torch.cat([model(i) for i in range(8)]), torch.Generator())
    drawn = torch.stack([member.more_noise for member in members])
    assert not drawn[:, ~MASK].any()
    assert float(drawn.sum(0).abs().max()) < 1e-12
    measured = drawn[:, 0, 0, :, :10].square().mean((0, 1)) * 8 / 7
    torch.testing.assert_close(measured.sqrt() * (7 / 8) ** 0.5, noise[:10], rtol=0.25, atol=0.0)
