"""Several samples of one prompt that compete: those with little reward die, those with much have offspring."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from physgen.arguments import finite, instance, whole
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance.base import Guidance
from physgen.guidance.log import ParticlesLog, Resampling
from physgen.guidance.problem import Decode
from physgen.guidance.rewards.base import RewardGuidance
from physgen.guidance.rewards.population import POTENTIALS, Offspring, Population
from physgen.guidance.rewards.reward import Rewards, evaluate, name_rewards, total_of
from physgen.tensors import of_samples


class Particles(RewardGuidance):
    """Sequential Monte Carlo on the flow: no derivative of the network, of the decoder or of a law is taken.

    weights at a level:  w_i ~ G_i,  G = exp((r(x0*) - r before) / temperature)   ("difference")
                                     G = exp(max over the levels so far of r / temperature)   ("max")
    copies:              x <- (1 - s') x0* + s' (sqrt(1 - eta) e + sqrt(eta) xi),  xi new noise, s' the next level
    at the end:          w_i ~ exp(r(x) / temperature) / product of the G of its ancestors

    where r is the sum of the rewards, of the estimates x0* at a level and of the finished samples at the end. The
    weighted samples of a group are drawn, for many particles, short steps and little new noise, from the model's
    distribution times exp(r / temperature). The first offspring of a sample keeps its noise, so that equal rewards
    change nothing. With ``select`` the sample of each group that has most reward is what comes out.

    A batch is groups of `n` neighbours: in a pipeline ``num_videos_per_prompt=n``. With ``prune`` the network
    evaluates fewer samples from level to level. A pipeline keeps its batch, where rows that died hold what a living one
    has; its network is called with the living ones alone.

    Args:
        n: particles of a group.
        rewards: laws (-log of the RMS residual) and functions from fields [B, S, T, *space], or samples where nothing
            is decoded, to [B], of which more is better; by name, in a list, or one. One that is `OfVideo` sees the
            decoded video instead of the fields.
        resample: fractions of the schedule, counted in steps, after which the particles are resampled.
        temperature: of the weights: less makes them more unequal.
        potential: ``difference`` or ``max``.
        renoise: eta, the part of the noise of a copy that is drawn anew. Without it copies part only where the
            scheduler itself draws noise.
        prune: particles of a group that are left after each level, such as (3, 2, 1); `n` where None.
        select: whether the best of each group comes out, instead of all that are left.
        inside: a guidance that acts on each particle, whose terminal projection acts on what comes out.

    The defaults were the best of 18 settings for the order of phases in `micro`, on five to nine prompts each.

    Attributes:
        log: of the last run.

    Raises:
        InvalidArgument: fewer than two particles, no rewards, fractions that do not ascend between 0 and 1, a
            temperature that is not positive, an unknown potential, a renoise outside [0, 1], as many numbers to be left
            as levels, none of them more than the one before; particles inside particles. In use: a batch that is no
            multiple of n, and see `evaluate`.

    Source: Singhal et al., arXiv:2501.06848, with difference and max potential; new noise on a flow: Kim et al.,
        arXiv:2503.19385.

    >>> from physgen.sampling import sample_flow
    >>> gaussian = lambda x, s: (2 * s - 1) * x / (s**2 + (1 - s) ** 2)  # samples of a standard normal prior
    >>> noise = torch.randn(64, 1, generator=torch.manual_seed(0))
    >>> best = Particles(64, lambda x: -((x[:, 0] - 1.0) ** 2), temperature=0.1)
    >>> bool((sample_flow(gaussian, noise, torch.linspace(1, 0, 21), guidance=best) - 1).abs() < 0.1)
    True
    """

    log: ParticlesLog
    reference: ClassVar[str] = """@misc{singhal2025fksteering,
  title = {A General Framework for Inference-time Scaling and Steering of Diffusion Models},
  author = {Singhal, Raghav and Horvitz, Zachary and Teehan, Ryan and Ren, Mengye and Yu, Zhou and McKeown, Kathleen
            and Ranganath, Rajesh},
  year = {2025},
  eprint = {2501.06848},
  archiveprefix = {arXiv}
}

@misc{kim2025inference,
  title = {Inference-Time Scaling for Flow Models via Stochastic Generation and Rollover Budget Forcing},
  author = {Kim, Jaihoon and Yoon, Taehoon and Hwang, Jisung and Sung, Minhyuk},
  year = {2025},
  eprint = {2503.19385},
  archiveprefix = {arXiv}
}"""

    def __init__(
        self,
        n: int,
        rewards: Rewards,
        *,
        resample: Sequence[float] = (0.3, 0.45, 0.6, 0.7, 0.8),
        temperature: float = 0.1,
        potential: str = "difference",
        renoise: float = 0.9,
        prune: Sequence[int] | None = None,
        select: bool = True,
        inside: Guidance | None = None,
    ) -> None:
        self.particles = whole("n", n, least=2)
        self.resample = _fractions(resample)
        self.temperature = finite("temperature", temperature, "a number > 0", lambda value: value > 0)
        if potential not in POTENTIALS:
            raise InvalidArgument("potential", potential, ", ".join(POTENTIALS))
        self.potential = potential
        self.new_noise = finite("renoise", renoise, "0 to 1", lambda eta: 0 <= eta <= 1)
        self.left = _left(prune, self.particles, len(self.resample))
        self.select = instance("select", select, bool, "true or false")
        super().__init__(name_rewards(rewards), inside)
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.log = ParticlesLog()
        self._population: Population | None = None

    def rounds(self, total: int) -> dict[int, int]:
        """Steps (from 0) of `total` at which particles are resampled, and how many of a group are left.

        A level that falls on the last step is left out: there the best one is chosen.

        >>> Particles(4, lambda x: x[:, 0], resample=(0.25, 0.5, 0.9), prune=(3, 2, 1)).rounds(4)
        {1: 3, 2: 2}
        """
        steps = {int(fraction * total): left for fraction, left in zip(self.resample, self.left, strict=True)}
        return {step: left for step, left in steps.items() if step < total - 1}

    def offspring(
        self,
        x0: Float[Tensor, "B *shape"],
        *,
        position: tuple[int, int],
        sigma: float,
        decode: Decode | None = None,
        grid: Grid | None = None,
        generator: torch.Generator | None = None,
        video: Decode | None = None,
    ) -> Offspring | None:
        """Who lives on after this step, by the rewards of the estimates ``x0``; None where nobody is resampled.

        `video` decodes samples to what `OfVideo` rewards see.

        Raises:
            InvalidArgument: a batch that is no multiple of n, and see `evaluate`.
        """
        started = time.perf_counter()
        if not position[0] or self._population is None:
            self._population = Population(len(x0), self.particles)
        population, left = self._population, self.rounds(position[1]).get(position[0])
        if left is None or population.alive == 1:
            return None
        rewards = self._rewards(x0, decode, grid, video)
        found = self.choose(population, total_of(rewards), left, generator)
        self.follow(found.ancestors)
        self.log.resamplings.append(
            Resampling(
                step=position[0],
                sigma=sigma,
                rewards={name: values.tolist() for name, values in rewards.items()},
                weights=found.weights.flatten().tolist(),
                ancestors=found.ancestors.tolist(),
                seconds=time.perf_counter() - started,
            )
        )
        return found

    def choose(
        self, population: Population, reward: Float64[Tensor, "B"], left: int, generator: torch.Generator | None
    ) -> Offspring:
        """Who lives on, `left` of each group, by the sum of the rewards: drawn by systematic resampling."""
        device = generator.device if generator else None
        uniform = torch.rand(population.groups, generator=generator, device=device, dtype=torch.float64).cpu()
        return population.resample(reward / self.temperature, self.potential, left, uniform)

    def finish(
        self,
        x: Float[Tensor, "B *shape"],
        *,
        decode: Decode | None = None,
        grid: Grid | None = None,
        video: Decode | None = None,
    ) -> Int64[Tensor, "K"]:
        """Rows of the finished samples that come out: the best of each group, or all that are left."""
        if self._population is None:
            self._population = Population(len(x), self.particles)
        rewards = self._rewards(x, decode, grid, video)
        selected = self._population.best(total_of(rewards))
        self.log.rewards = {name: values.tolist() for name, values in rewards.items()}
        self.log.weights = self._population.weights(total_of(rewards) / self.temperature).flatten().tolist()
        self.log.selected = selected.tolist()
        self.log.founders = self._population.founders[selected].tolist()
        return selected if self.select else torch.arange(len(x))

    def renewed(
        self, noise: Float[Tensor, "B *shape"], xi: Float[Tensor, "B *shape"], fresh: Bool[Tensor, "B"]
    ) -> Float[Tensor, "B *shape"]:
        """The noise of the offspring: of copies sqrt(1 - eta) e + sqrt(eta) xi."""
        mixed = (1 - self.new_noise) ** 0.5 * noise + self.new_noise**0.5 * xi
        return torch.where(of_samples(fresh.to(noise.device), noise), mixed, noise)

    def _rewards(
        self, x: Tensor, decode: Decode | None, grid: Grid | None, video: Decode | None
    ) -> dict[str, Float64[Tensor, "B"]]:
        with torch.no_grad():
            fields, shown = self.seen(x, decode, grid, video)
        return evaluate(self.rewards, fields, grid, video=shown)


def _fractions(resample: Any) -> tuple[float, ...]:
    allowed = "a list of fractions of the schedule that ascend between 0 and 1"
    if not isinstance(resample, Sequence) or isinstance(resample, str) or not resample:
        raise InvalidArgument("resample", resample, allowed)
    fractions = tuple(finite("resample", fraction, allowed, lambda value: 0 < value < 1) for fraction in resample)
    if sorted(set(fractions)) != list(fractions):
        raise InvalidArgument("resample", list(resample), allowed)
    return fractions


def _left(prune: Any, n: int, levels: int) -> tuple[int, ...]:
    if prune is None:
        return (n,) * levels
    allowed = (
        f"{levels} whole numbers, one of each level of resample, from {n} down to 1, none more than the one before"
    )
    if not isinstance(prune, Sequence) or isinstance(prune, str) or len(prune) != levels:
        raise InvalidArgument("prune", prune, allowed)
    left = tuple(whole("prune", count) for count in prune)
    if sorted((n, *left), reverse=True) != [n, *left]:
        raise InvalidArgument("prune", list(prune), allowed)
    return left
