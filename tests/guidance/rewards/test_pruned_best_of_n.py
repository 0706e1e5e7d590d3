"""Best of n, pruned or not, by laws and rewards: the samples are those drawn alone, and the cost is what it says."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from physgen.constraints import Equality
from physgen.errors import InvalidArgument
from physgen.guidance import BestOfN, OfVideo, PrunedBestOfN
from physgen.guidance.rewards.reward import evaluate
from physgen.sampling.flow import sample_flow

LEVELS = torch.linspace(1, 0, 31, dtype=torch.float64)


def velocity(x: Tensor, s: Tensor) -> Tensor:
    """Of a standard normal prior: a larger noise makes a larger sample, so that early estimates rank alike."""
    return (2 * s - 1) * x / (s**2 + (1 - s) ** 2)


def first(x: Tensor) -> Tensor:
    return x[:, 0]


def noise(batch: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, generator=torch.manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("levels", "left"), [((0.1, 0.3), (2, 1)), ((0.5,), (1,)), ((0.2, 0.4, 0.6), (3, 3, 1)), ((0.5,), (4,))]
)
def test_each_group_gives_its_best_as_it_would_be_alone_at_the_cost_that_is_said(
    levels: tuple[float, ...], left: tuple[int, ...]
) -> None:
    guidance = PrunedBestOfN(4, first, levels=levels, left=left)
    x = noise(8)
    alone = sample_flow(velocity, x, LEVELS).view(2, 4, 3)
    found = sample_flow(velocity, x, LEVELS, guidance=guidance)
    best = alone[torch.arange(2), alone[..., 0].argmax(1)]
    assert torch.equal(found, best)
    assert guidance.log.evaluations == pytest.approx(2 * guidance.cost(30) * 30)
    assert guidance.log.founders == [int(alone[0, :, 0].argmax()), 4 + int(alone[1, :, 0].argmax())]


def test_the_defaults_cost_less_than_two_samples() -> None:
    for total in (20, 30, 50):
        assert 1.3 < PrunedBestOfN(4, first).cost(total) < 1.8


def test_who_looks_worst_early_is_dropped_even_if_it_would_end_best() -> None:
    """The reward of the estimates ranks the other way round from that of the finished samples."""
    seen: list[int] = []

    def turning(x: Tensor) -> Tensor:
        seen.append(len(x))
        return -x[:, 0] if len(seen) == 1 else x[:, 0]

    x = noise(4)
    alone = sample_flow(velocity, x, LEVELS)
    found = sample_flow(velocity, x, LEVELS, guidance=PrunedBestOfN(4, turning, levels=(0.4,), left=(1,)))
    assert torch.equal(found[0], alone[alone[:, 0].argmin()])
    assert seen == [4, 1]


def test_ties_and_no_reward_at_all_keep_the_first() -> None:
    for reward in (lambda x: torch.zeros(len(x)), lambda x: torch.full((len(x),), -torch.inf)):
        guidance = PrunedBestOfN(4, reward)
        sample_flow(velocity, noise(4), LEVELS, guidance=guidance)
        assert guidance.log.founders == [0]


def test_rewards_of_a_video_see_it_clamped_and_not_finite_ones_have_none() -> None:
    bright = OfVideo(lambda video: video.flatten(1).mean(1), "bright", ("mean",))
    video = torch.full((3, 3, 2, 4, 4), 2.0)
    video[1] = 0.25
    video[2, 0, 0, 0, 0] = torch.nan
    assert evaluate({"bright": bright}, None, None, video=video)["bright"].tolist() == [1.0, 0.25, -torch.inf]


def test_best_of_n_by_rewards_by_laws_and_by_both() -> None:
    draws = [torch.tensor([[3.0], [1.2]]), torch.tensor([[1.1], [9.0]]), torch.tensor([[5.0], [5.0]])]

    def best(**options: object) -> list[list[float]]:
        stream = iter(draws)
        return BestOfN(n=3, **options).sample(lambda: next(stream)).tolist()  # type: ignore[arg-type]

    law = Equality(lambda x: x - 1.0)
    assert best(rewards=first) == [[5.0], [9.0]]
    with pytest.raises(InvalidArgument, match="first looks at the decoded video"):
        best(rewards=OfVideo(first, "first"))
    videos = iter([torch.full((2, 3, 1, 2, 2), 0.3), torch.full((2, 3, 1, 2, 2), 0.6)])
    bright = OfVideo(lambda video: video.flatten(1).mean(1), "bright")
    found = BestOfN(n=2, rewards=bright).sample(lambda: next(videos), decode=lambda x: x[:, :1])
    assert float(found.min()) == pytest.approx(0.6)
    assert best(constraints=law) == [[torch.tensor(1.1).item()], [torch.tensor(1.2).item()]]
    assert best(constraints=law, rewards=lambda x: 100 * x[:, 0]) == [[5.0], [9.0]]
    with pytest.raises(InvalidArgument, match="constraints"):
        best()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: PrunedBestOfN(1, first), "n=1"),
        (lambda: PrunedBestOfN(4, first, levels=(0.1,), left=(2, 1)), "prune"),
        (lambda: PrunedBestOfN(4, first, levels=(0.1,), left=(5,)), "prune"),
        (lambda: PrunedBestOfN(4, []), "rewards"),
        (
            lambda: sample_flow(velocity, noise(4), LEVELS, guidance=PrunedBestOfN(4, OfVideo(first, "first"))),
            "rewards of fields: first looks at the decoded video",
        ),
    ],
)
def test_what_is_refused(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        wrong()
