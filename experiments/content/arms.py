"""Ways to choose a video by its content, and what each costs.

The candidates of a prompt are drawn once, and rewards of their early estimates are kept. Neither best of n nor its
pruned form changes a sample, so that every such arm, by any reward, is one of the candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import whole
from physgen.drawn import ANOTHER, GUIDED, Request, draw
from physgen.experiments.draw.prompts import Prompt
from physgen.guidance import NoiseSearch, OfVideo, Particles, PrunedBestOfN
from physgen.guidance.rewards.population import Population
from physgen.sampling.diffusers import guide
from physgen.worlds import World

#: samples that the arms choose among
CANDIDATES = 4
#: fractions of the schedule at which early estimates are read
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
#: pruned arm -> samples that begin, fractions at which some are dropped, and how many are left
PRUNED: dict[str, tuple[int, tuple[float, ...], tuple[int, ...]]] = {
    "pruned best of 4 (2 left at 0.1, 1 at 0.3)": (4, (0.1, 0.3), (2, 1)),
    "pruned best of 4 (1 left at 0.2)": (4, (0.2,), (1,)),
    "pruned best of 2 (1 left at 0.5)": (2, (0.5,), (1,)),
    "pruned best of 2 (1 left at 0.6)": (2, (0.6,), (1,)),
}


@dataclass(frozen=True)
class Scouted:
    """The candidates of a prompt, finished, and what every reward read of them.

    Attributes:
        videos: ``[N, 3, T, H, W]``, of the seeds that `BestOfN` and `Particles` begin from.
        early: by fraction of the schedule, the rewards of the estimates by name, ``[N]`` each.
        final: the rewards of the finished videos.
        evaluations: of the network for one of them.
    """

    videos: Float[Tensor, "N 3 T H W"]
    early: Mapping[float, Mapping[str, list[float]]]
    final: Mapping[str, list[float]]
    evaluations: int


@dataclass(frozen=True)
class Choice:
    """The candidate that an arm comes to, and its cost: evaluations of the network, and decodes with the last one."""

    candidate: int
    evaluations: int
    decodes: int


def scout(world: World, prompt: Prompt, rewards: Mapping[str, OfVideo], steps: int | None = None) -> Scouted:
    """Draw the candidates of a prompt in one batch, and read each of them at every level.

    In few steps several levels may be of the same step.
    """
    total = whole("steps", steps or world.spec.steps, least=3)
    nobody_dies = [CANDIDATES] * len(LEVELS)
    watching = PrunedBestOfN(CANDIDATES, rewards, levels=LEVELS, left=nobody_dies, select=False)
    also = [prompt.seed + ANOTHER * k for k in range(1, CANDIDATES)]
    observable, grid = world.observable(prompt.caption), world.grid(prompt.caption)
    with guide(world.pipe, watching, observable=observable, grid=grid):
        videos = world.sample(prompt.caption, seed=prompt.seed, steps=steps, also=also)
    log = watching.log
    read = {one.step: one.rewards for one in log.resamplings}
    early = {level: read[int(level * total)] for level in LEVELS}
    return Scouted(videos, early, log.rewards, log.evaluations // CANDIDATES)


def best_of(scouted: Scouted, n: int, reward: str) -> Choice:
    """The best of the first n candidates by a reward."""
    final = torch.tensor(scouted.final[reward][:n], dtype=torch.float64)
    return Choice(int(final.argmax()), n * scouted.evaluations, n)


def prune(scouted: Scouted, arm: str, reward: str, steps: int) -> Choice:
    """The candidate that `PrunedBestOfN` of this arm would give, by a reward."""
    n, levels, left = PRUNED[arm]
    guidance = PrunedBestOfN(n, lambda video: video, levels=levels, left=left)
    population, decodes = Population(n, n), 0
    for level, count in zip(levels, left, strict=True):
        decodes += population.alive
        population.keep(_of(scouted.early[level][reward], population.founders), count)
    decodes += population.alive + 1
    row = int(population.best(_of(scouted.final[reward], population.founders)))
    evaluations = round(guidance.cost(steps) * scouted.evaluations)
    return Choice(int(population.founders[row]), evaluations, decodes)


def draw_particles(
    world: World, prompt: Prompt, rewards: Mapping[str, OfVideo], n: int
) -> tuple[Float[Tensor, "1 3 T H W"], Choice]:
    """The video that `Particles` with their defaults choose, and its cost."""
    drawn = draw(world, Request(prompt.caption, prompt.seed), Particles(n, rewards), arms=[GUIDED]).guided
    assert drawn
    assert drawn.log.particles
    return drawn.video, Choice(-1, drawn.nfe, drawn.log.particles.decodes + 1)


def draw_search(
    world: World, prompt: Prompt, reward: OfVideo, iterations: int
) -> tuple[Float[Tensor, "1 3 T H W"], Choice]:
    """The video from the noise that `NoiseSearch` finds; each way back through the network counts as an evaluation."""
    guidance = NoiseSearch(reward, iterations=iterations)
    drawn = draw(world, Request(prompt.caption, prompt.seed), guidance, arms=[GUIDED]).guided
    assert drawn
    assert drawn.log.search
    return drawn.video, Choice(-1, drawn.nfe + drawn.log.search.backward, drawn.log.search.decodes + 1)


def draw_with_steps(world: World, prompt: Prompt, steps: int) -> tuple[Float[Tensor, "1 3 T H W"], Choice]:
    """An unguided video with more steps."""
    drawn = draw(world, Request(prompt.caption, prompt.seed, steps)).unguided
    assert drawn
    return drawn.video, Choice(-1, drawn.nfe, 1)


def _of(values: Sequence[float], rows: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[rows]
