"""The video of a run: from the world, guided or not, or from the simulator."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import OmegaConf
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.experiments.ablate.options import AblateConfig
from physgen.experiments.ablate.subject import Subject
from physgen.experiments.cli.config import build
from physgen.experiments.draw.drawing import counted_calls
from physgen.experiments.draw.videos import decode, moments
from physgen.guidance import BestOfN, Guidance
from physgen.sampling.guide import GuidanceLog, guide
from physgen.simulators import SIMULATORS
from physgen.worlds import World, WorldSpec

#: between the seeds of the further draws of `BestOfN` and those of the first
ANOTHER = 1_000_000


@dataclass(frozen=True)
class Drawn:
    """A video ``[1, 3, T, H, W]`` in [0, 1], its seconds and network evaluations, and what its guidance logged."""

    video: Float[Tensor, "1 3 T H W"]
    seconds: float = 0.0
    nfe: int = 0
    log: GuidanceLog = field(default_factory=GuidanceLog)


def draw(options: AblateConfig, subject: Subject) -> Drawn:
    """The video that the options ask for."""
    if options.source == "simulator":
        return Drawn(simulated(subject, options.world))
    world = loaded(options)
    if options.source == "reconstruction":
        return Drawn(decode(world, moments(world, simulated(subject, options.world))))
    algorithm = algorithm_of(options, subject)
    physics: dict[str, Any] = {"observable": subject.observable, "grid": subject.grid}
    guided = guide(world.pipe, algorithm, **physics) if isinstance(algorithm, Guidance) else nullcontext(GuidanceLog())
    with guided as log, counted_calls(world.pipe) as calls:
        began = time.perf_counter()
        if isinstance(algorithm, BestOfN):
            seeds = iter(range(subject.prompt.seed, ANOTHER * algorithm.n + subject.prompt.seed, ANOTHER))
            video = algorithm.sample(
                lambda: sample(world, options, subject, next(seeds)), decode=subject.observable, grid=subject.grid
            )
        else:
            video = sample(world, options, subject, subject.prompt.seed)
        return Drawn(video, time.perf_counter() - began, len(calls), log)


def algorithm_of(options: AblateConfig, subject: Subject) -> Guidance | BestOfN | None:
    """The guidance, or the choice among several draws; none without a law to impose."""
    if not options.guidance["_target_"] or not subject.imposed:
        return None
    kind = BestOfN if options.guidance["_target_"] == "physgen.guidance.BestOfN" else Guidance
    algorithm: Guidance | BestOfN = build(kind, options.guidance, list(subject.imposed.values()))
    return algorithm


def sample(world: World, options: AblateConfig, subject: Subject, seed: int) -> Tensor:
    """One sample from the noise of a seed."""
    return world.sample(subject.prompt.caption, seed=seed, steps=options.steps, guidance_scale=options.guidance_scale)


def simulated(subject: Subject, spec: WorldSpec) -> Float[Tensor, "1 3 T H W"]:
    """The simulator's video of the prompt, from the same seed.

    Raises: InvalidArgument for a prompt of the user's own, which no simulator was asked for.
    """
    prompt = subject.prompt
    if not prompt.attributes:
        raise InvalidArgument("source", "simulator", "world with a prompt of your own: a simulator needs family=")
    clips = SIMULATORS[prompt.family](
        1,
        rng=np.random.default_rng([1, prompt.seed]),
        frames=spec.num_frames,
        size=spec.height,
        attributes=[prompt.attributes],
        split="all",
    )
    return torch.from_numpy(clips.video)


def loaded(options: AblateConfig) -> World:
    """The world, kept for the next run of this process."""
    return _loaded(json.dumps(asdict(options.world), sort_keys=True), options.device)


@lru_cache(maxsize=2)
def _loaded(spec: str, device: str | None) -> World:
    found = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(WorldSpec), json.loads(spec)))
    assert isinstance(found, WorldSpec)
    if found.threads:
        torch.set_num_threads(found.threads)
    world = found.load(device)
    world.pipe.set_progress_bar_config(disable=True)
    return world
