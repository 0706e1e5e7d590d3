"""One video: drawn, guided or not, and measured."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from physgen.audit import mass_balance
from physgen.constraints import Constraint
from physgen.experiments.draw.certified import measure
from physgen.grid import Grid
from physgen.guidance import Guidance
from physgen.observables import Observable
from physgen.sampling.guide import GuidanceLog, guide
from physgen.worlds import World, WorldSpec


@dataclass(frozen=True)
class Request:
    """What is asked of a world; ``None`` is the world's own number."""

    prompt: str
    seed: int
    steps: int | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True)
class Physics:
    """Constraints, how a video is read for them, and the guidance that imposes them, if any."""

    constraints: Sequence[Constraint]
    guidance: Guidance | None
    observable: Observable
    grid: Grid


@dataclass(frozen=True)
class Drawn:
    """One video ``[1, 3, T, H, W]`` in [0, 1] and what it cost and measures."""

    video: Tensor
    seconds: float
    nfe: int
    log: GuidanceLog
    constraints: dict[str, dict[str, Any]]
    mass: dict[str, dict[str, Any]]

    @property
    def drift(self) -> float | None:
        """Largest drift of any species, ``max_t |m(t) - m(0)| / m(0)``."""
        return self.largest("drift")

    def largest(self, key: str) -> float | None:
        """Largest of a quantity over the species that have it."""
        return max((values[key] for values in self.mass.values() if values[key] is not None), default=None)


def opened(spec: WorldSpec, device: str | None) -> World:
    """Load a world with the threads that suit it; ignored words are in `remarks`, not in a warning at every call."""
    if spec.threads:
        torch.set_num_threads(spec.threads)
    logging.getLogger("physgen.worlds").setLevel(logging.ERROR)
    return spec.load(device)


def draw(world: World, request: Request, physics: Physics) -> Drawn:
    """Sample once and measure the float video."""
    guidance, observable, grid = physics.guidance, physics.observable, physics.grid
    with ExitStack() as stack:
        log = (
            stack.enter_context(guide(world.pipe, guidance, observable=observable, grid=grid))
            if guidance
            else GuidanceLog()
        )
        calls = stack.enter_context(counted_calls(world.pipe))
        start = time.perf_counter()
        video = world.sample(
            request.prompt, seed=request.seed, steps=request.steps, guidance_scale=request.guidance_scale
        )
        seconds = time.perf_counter() - start
    measured = measure(video, observable, guidance, physics.constraints, grid, log)
    return Drawn(video, seconds, len(calls), log, measured, mass_balance(video, observable, grid))


def outcome(result: Drawn, free: Drawn | None) -> dict[str, Any]:
    """What a video measures, beside the unguided one from the same noise where there is one."""
    return {
        "nfe": result.nfe,
        "constraints": {
            name: {**report, "unguided_residual_rms": free.constraints[name]["residual_rms"] if free else None}
            for name, report in result.constraints.items()
        },
        "drift": result.drift,
        "unguided_drift": free.drift if free else None,
        "certificate": result.log.terminal.get("certificate", {}),
        "conflicts": result.log.conflicts,
        "terminal": {key: value for key, value in result.log.terminal.items() if key != "certificate"},
        "dropped": result.log.dropped,
    }


@contextmanager
def counted_calls(pipe: Any) -> Iterator[list[None]]:
    """A list that grows by one with every evaluation of the pipeline's transformers."""
    calls: list[None] = []
    networks = [getattr(pipe, name, None) for name in ("transformer", "transformer_2")]
    hooks = [net.register_forward_pre_hook(lambda *_: calls.append(None)) for net in networks if net is not None]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
