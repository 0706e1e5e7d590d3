"""The video of a run: from the world, guided or not, or from the simulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import OmegaConf
from torch import Tensor

from physgen.drawn import GUIDED, UNGUIDED, Arm, Request, draw
from physgen.errors import InvalidArgument
from physgen.experiments.ablate.options import AblateConfig
from physgen.experiments.ablate.subject import Subject
from physgen.experiments.cli.target import build
from physgen.experiments.draw.default_guidance import build_guidance, follows_rewards
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR, reconstruct, simulate
from physgen.guidance import BestOfN, Guidance, GuidanceLog
from physgen.worlds import World, WorldSpec
from physgen.worlds.loading import load

BEST_OF_N = "physgen.guidance.BestOfN"


def draw_run(options: AblateConfig, subject: Subject) -> Arm:
    """The video that the options ask for."""
    if options.source == SIMULATOR:
        return free_of_charge(simulated(subject, options.world))
    world = loaded(options)
    if options.source == RECONSTRUCTION:
        return free_of_charge(reconstruct(world, simulated(subject, options.world)))
    prompt, algorithm = subject.prompt, algorithm_of(options, subject)
    request = Request(prompt.caption, prompt.seed, options.steps, options.guidance_scale)
    arms = [GUIDED if algorithm else UNGUIDED]
    drawn = draw(world, request, algorithm, observable=subject.observable, grid=subject.grid, arms=arms)
    (arm,) = drawn.arms.values()
    return arm


def free_of_charge(video: Float[Tensor, "1 3 T H W"]) -> Arm:
    """A video that no network drew."""
    return Arm(video, 0.0, 0, (GuidanceLog(),))


def algorithm_of(options: AblateConfig, subject: Subject) -> Guidance | BestOfN | None:
    """The guidance, or the choice among several draws; none without a law to impose or a reward to choose by."""
    rewards = subject.rewards if chooses(options.guidance) else {}
    if not options.guidance["_target_"] or not (subject.imposed or rewards):
        return None
    if options.guidance["_target_"] != BEST_OF_N:
        return build_guidance(options.guidance, subject.imposed, rewards)
    algorithm: BestOfN = build(BestOfN, {**options.guidance, "rewards": rewards}, subject.imposed)
    return algorithm


def chooses(guidance: Mapping[str, Any]) -> bool:
    """Whether an entry of ``guidance`` follows rewards; others leave them alone."""
    target = guidance["_target_"]
    return bool(target) and (target == BEST_OF_N or follows_rewards(guidance))


def simulated(subject: Subject, spec: WorldSpec) -> Float[Tensor, "1 3 T H W"]:
    """The simulator's video of the prompt, from the same seed.

    Raises: InvalidArgument for a prompt of the user's own, which no simulator was asked for.
    """
    if not subject.prompt.attributes:
        raise InvalidArgument("source", "simulator", "world with a prompt of your own: a simulator needs family=")
    return simulate(subject.prompt, spec, [1, subject.prompt.seed])


def loaded(options: AblateConfig) -> World:
    """The world, kept for the next run of this process."""
    return _loaded(json.dumps(asdict(options.world), sort_keys=True), options.device)


@lru_cache(maxsize=2)
def _loaded(spec: str, device: str | None) -> World:
    found = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(WorldSpec), json.loads(spec)))
    assert isinstance(found, WorldSpec)
    if found.threads:
        torch.set_num_threads(found.threads)
    world = load(found, device)
    world.pipe.set_progress_bar_config(disable=True)
    return world
