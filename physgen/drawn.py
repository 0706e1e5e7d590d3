"""One request to a world, drawn guided, unguided and projected afterwards, all from the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import instance, whole
from physgen.errors import InvalidArgument, ModelFailure
from physgen.grid import Grid
from physgen.guidance import Assimilation, BestOfN, Guidance, GuidanceLog, Particles
from physgen.guidance.base import read_guidance
from physgen.observables import Observable
from physgen.projected import project_video
from physgen.sampling.diffusers import guide
from physgen.sampling.network import networks
from physgen.sampling.rows import LivingRows, called_with
from physgen.tensors import finite_samples
from physgen.worlds import Request, World

#: without guidance; that video projected onto the laws; under guidance
ARMS = UNGUIDED, AFTERWARDS, GUIDED = ("unguided", "afterwards", "guided")
#: between the seeds of the further draws of `BestOfN`, or the further `Particles`, and those of the first
ANOTHER = 1_000_000
#: between the seed of a video and that of the noise that its guidance draws anew
NEW_NOISE = 1_000_000_000_000


@dataclass(frozen=True)
class Arm:
    """Videos that were drawn in one way, and what they cost.

    Attributes:
        video: ``[N, 3, T, H, W]`` in [0, 1], one of each seed.
        seconds: that drawing them took.
        nfe: evaluations of the network, sample by sample, those of classifier-free guidance counted one by one.
        logs: what guidance did, for each video.
    """

    video: Float[Tensor, "N 3 T H W"]
    seconds: float
    nfe: int
    logs: tuple[GuidanceLog, ...]

    @property
    def log(self) -> GuidanceLog:
        """What guidance did for the first video."""
        return self.logs[0]

    @property
    def first(self) -> Arm:
        """The first video alone, with its share of the cost."""
        count = len(self.video)
        return Arm(self.video[:1], self.seconds / count, self.nfe // count, self.logs[:1])


@dataclass(frozen=True)
class Drawn:
    """The arms that were drawn, each from the same noise; ``None`` where one was not asked for."""

    unguided: Arm | None = None
    afterwards: Arm | None = None
    guided: Arm | None = None

    @property
    def arms(self) -> dict[str, Arm]:
        """Those that were drawn, by name."""
        found = {name: getattr(self, name) for name in ARMS}
        return {name: arm for name, arm in found.items() if arm is not None}


def draw(
    world: World,
    request: Request,
    guidance: Guidance | BestOfN | None = None,
    *,
    observable: Observable | None = None,
    grid: Grid | None = None,
    samples: int = 1,
    arms: Sequence[str] | None = None,
) -> Drawn:
    """Videos of a request: unguided, those projected afterwards, and guided, all from the same noise.

    Args:
        world: where they are drawn.
        request: what of.
        guidance: what corrects the guided arm, and what the finished videos of ``afterwards`` are projected onto; the
            best of several draws has no projection, nor has what knows no law. Without it there is the unguided arm
            alone. `Particles` begin from the noise of as many draws of `BestOfN`, and the best of them is the video.
        observable: how fields are read off a video; the world's for the prompt where None.
        grid: of the fields, likewise.
        samples: videos of each arm, from the seeds ``seed, seed + 1, ...``. `Assimilation` joins two or more with their
            law as an ensemble, see `Assimilation.members`; `Ensemble` says what they show together.
        arms: which of `ARMS`; all that there are where None.

    Raises:
        InvalidArgument: an arm that there is not, no samples, particles of which none is
            selected, and what the world and `guide` refuse.
        ModelFailure: a video that is NaN or infinite.

    Source: the contract of this package.

    >>> from physgen import load_world
    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import Projection
    >>> request = Request("one drop of red dye diffusing quickly in water", seed=0, steps=2)
    >>> drawn = draw(load_world("micro"), request, Projection([MassConservation()]))
    >>> list(drawn.arms), drawn.guided.nfe == drawn.unguided.nfe
    (['unguided', 'afterwards', 'guided'], True)
    """
    instance("world", world, World, "a World: load_world(name) loads one")
    instance("request", request, Request, "a Request(prompt, seed)")
    if guidance is not None and not isinstance(guidance, BestOfN):
        read_guidance(guidance)
    if isinstance(guidance, Particles) and not guidance.select:
        raise InvalidArgument("guidance", "Particles with select=False", "select=True: one video of each seed")
    samples = whole("samples", samples)
    projects = isinstance(guidance, Guidance) and bool(guidance.final)
    possible = [UNGUIDED, *([AFTERWARDS] if projects else []), *([GUIDED] if guidance else [])]
    wanted = possible if arms is None else arms
    if not isinstance(wanted, Sequence) or not wanted or not set(wanted) <= set(possible):
        raise InvalidArgument("arms", wanted, f"a list of some of {', '.join(possible)}")
    observable = world.observable(request.prompt) if observable is None else observable
    grid = world.grid(request.prompt) if grid is None else grid
    seeds = range(request.seed, request.seed + samples)

    def sample(seed: int, *also: int) -> Tensor:
        options: dict[str, Any] = {"steps": request.steps, "guidance_scale": request.guidance_scale, "also": also}
        return world.sample(request.prompt, seed=seed, **options)

    def guided(seed: int) -> tuple[Tensor, GuidanceLog]:
        if isinstance(guidance, BestOfN):
            draws = iter(range(seed, seed + ANOTHER * guidance.n, ANOTHER))
            return guidance.sample(lambda: sample(next(draws)), decode=observable, grid=grid), GuidanceLog()
        assert guidance is not None
        generator = torch.Generator().manual_seed(seed + NEW_NOISE)
        acting = guidance.on_the_way if isinstance(guidance, Assimilation) and samples > 1 else guidance
        with guide(world.pipe, acting, observable=observable, grid=grid, generator=generator) as log:
            return sample(*range(seed, seed + ANOTHER * guidance.particles, ANOTHER)), log

    found: dict[str, Arm] = {}
    if UNGUIDED in wanted or AFTERWARDS in wanted:
        found[UNGUIDED] = _timed(world.pipe, lambda seed: (sample(seed), GuidanceLog()), seeds)
    if AFTERWARDS in wanted:
        assert isinstance(guidance, Guidance)
        found[AFTERWARDS] = _projected(found[UNGUIDED], [guidance] * samples, observable, grid)
    if GUIDED in wanted:
        found[GUIDED] = _timed(world.pipe, guided, seeds)
        if isinstance(guidance, Assimilation) and samples > 1:
            generator = torch.Generator().manual_seed(request.seed + NEW_NOISE)
            members = guidance.members(observable(found[GUIDED].video), generator)
            found[GUIDED] = _projected(found[GUIDED], members, observable, grid)
    return Drawn(**{name: arm for name, arm in found.items() if name in wanted})


def _timed(pipe: Any, work: Callable[[int], tuple[Tensor, GuidanceLog]], seeds: Sequence[int]) -> Arm:
    counted = LivingRows()
    with called_with(counted, networks(pipe)):
        began = time.perf_counter()
        drawn = [work(seed) for seed in seeds]
        seconds = time.perf_counter() - began
    for seed, (video, _) in zip(seeds, drawn, strict=True):
        if not bool(finite_samples(video).all()):
            raise ModelFailure(
                f"the video of seed {seed} is NaN or infinite: {type(pipe.scheduler).__name__} or the model"
            )
    return Arm(torch.cat([video for video, _ in drawn]), seconds, counted.evaluations, tuple(log for _, log in drawn))


def _projected(free: Arm, guidances: Sequence[Guidance], observable: Observable, grid: Grid) -> Arm:
    """Videos that were drawn, each projected by a guidance of its own; their cost is that of both."""
    began = time.perf_counter()
    pairs = zip(free.video.split(1), guidances, strict=True)
    found = [project_video(video, guidance, observable, grid) for video, guidance in pairs]
    seconds = free.seconds + time.perf_counter() - began
    logs = tuple(
        replace(log, terminal=one.record, dropped=log.dropped + one.record.dropped)
        for log, one in zip(free.logs, found, strict=True)
    )
    return Arm(torch.cat([one.video for one in found]), seconds, free.nfe, logs)
