"""The samplers that are compared, each from the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.micro.cases import Case
from physgen.guidance import BestOfN, Projection
from physgen.guidance.problem import rms
from physgen.sampling.guide import guide
from physgen.worlds import World

#: settings of ``conf/guidance``, at their defaults; TFG visits a level twice, which no scheduler does, and
#: ConditionalMean takes 16 times the time of an unguided sample even under one law for each frame
SOFT, HARD = "x0_gradient", "projection"
GUIDED = (SOFT, HARD, "augmented_lagrangian", "dps", "pigdm")
#: guidances that take minutes a video: many products with the Jacobian, each through every sub-step of the flow map
SLOW = {
    "diffusion": ("pigdm",),
    "fisher_kpp": ("pigdm",),
    "gray_scott": ("augmented_lagrangian", "dps", "pigdm"),
}
UNGUIDED, PROJECTED, BEST = "unguided", "unguided + projection", "best of 2"
ARMS = (UNGUIDED, PROJECTED, BEST, *GUIDED)
#: between the seeds of the second draws and those of the first
ANOTHER = 1_000_000


@dataclass(frozen=True)
class Drawn:
    """A video ``[1, 3, T, H, W]`` in [0, 1], the seconds it took, and what its terminal projection said."""

    video: Float[Tensor, "1 3 T H W"]
    seconds: float
    terminal: dict[str, Any] = field(default_factory=dict)


def draw(world: World, case: Case) -> dict[str, Drawn]:
    """The case in every arm that is not `SLOW`; seconds are of this process, one arm after the other."""
    constraint = case.constraint()
    unguided = timed(lambda: Drawn(sample(world, case), 0.0))
    projected = timed(lambda: project(world, case, constraint, unguided.video))
    drawn = {
        UNGUIDED: unguided,
        PROJECTED: Drawn(projected.video, unguided.seconds + projected.seconds, projected.terminal),
        BEST: timed(lambda: best(world, case, constraint)),
    }
    names = [name for name in GUIDED if name not in SLOW.get(case.law, ())]
    return drawn | {name: timed(partial(guided, world, case, constraint, name)) for name in names}


def timed(work: Callable[[], Drawn]) -> Drawn:
    """What it draws, with its seconds."""
    began = time.perf_counter()
    drawn = work()
    return Drawn(drawn.video, time.perf_counter() - began, drawn.terminal)


def sample(world: World, case: Case, shift: int = 0) -> Tensor:
    """A sample without guidance; ``shift`` is added to the seed."""
    return world.sample(case.prompt.caption, seed=case.prompt.seed + shift)


def project(world: World, case: Case, constraint: Constraint, video: Tensor) -> Drawn:
    """What `guide` does to a finished video."""
    observable, grid = world.observable(case.prompt.caption), world.grid(case.prompt.caption)
    target = Projection([constraint]).project(observable(video.double()), grid, observable.bounds)
    moved = torch.where(target.isfinite().all(), observable.embed(video, target.nan_to_num()).clamp(0, 1), video)
    return Drawn(moved, 0.0, {"moved_rms": rms(moved - video)})


def best(world: World, case: Case, constraint: Constraint) -> Drawn:
    """The better of two draws."""
    shifts = iter((0, ANOTHER))
    chosen = BestOfN([constraint], n=2).sample(
        lambda: sample(world, case, next(shifts)),
        decode=world.observable(case.prompt.caption),
        grid=world.grid(case.prompt.caption),
    )
    return Drawn(chosen, 0.0)


def guided(world: World, case: Case, constraint: Constraint, name: str) -> Drawn:
    """A sample under a guidance of the command line."""
    caption = case.prompt.caption
    options: dict[str, Any] = {"observable": world.observable(caption), "grid": world.grid(caption)}
    with guide(world.pipe, default_guidance(name, [constraint]), **options) as log:
        video = sample(world, case)
    return Drawn(video, 0.0, log.terminal)
