"""From options to physics: what is refused before anything is loaded, and what is worth a note."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from physgen.constraints import Constraint, Observed, ReactionDiffusion
from physgen.drawn import Request
from physgen.errors import InvalidArgument
from physgen.experiments.cli.target import build, find_class
from physgen.experiments.draw.contradicted import require_possible
from physgen.experiments.draw.default_guidance import (
    FOLLOWING,
    build_guidance,
    follows_rewards,
    require_untouched,
)
from physgen.experiments.draw.observed import ObservedConfig, read_observed
from physgen.grid import Grid
from physgen.guidance import DPS, Afterwards, Assimilation, Composition, Guidance, NoiseSearch, OfVideo
from physgen.guidance.solve.contradiction import require_consistent
from physgen.observables import Observable
from physgen.worlds import World, WorldSpec
from physgen.worlds.loading import load
from physgen.worlds.memory.architecture import configurations, parameters, scheduler_of
from physgen.worlds.start import with_start

#: what an observation is called among the laws
OBSERVED = "observed"
#: parameters of a transformer whose graph is kept; the part of the noise that is drawn anew where a scheduler takes it
SMALL, RENOISE = 50_000_000, 0.9
EULER = "FlowMatchEulerDiscreteScheduler"
#: classifier-free guidance that leaves the model's own probabilities as they are
PLAIN = 1.0


@dataclass(frozen=True)
class Physics:
    """Laws by name, how a video is read for them, the guidance that imposes them, if any, and what was guessed.

    `world` is the one that draws, from the first frames `start` where those were observed and it takes any.
    `guidance_scale` is what suits it better than the world's own, if anything does.
    """

    constraints: dict[str, Constraint]
    guidance: Guidance | None
    observable: Observable
    grid: Grid
    world: WorldSpec
    start: Tensor | None = None
    notes: list[str] = field(default_factory=list)
    guidance_scale: float | None = None


def open_world(spec: WorldSpec, device: str | None, start: Tensor | None = None) -> World:
    """Load a world with the threads that suit it; ignored words are in `remarks`, not in a warning at every call."""
    if spec.threads:
        torch.set_num_threads(spec.threads)
    logging.getLogger("physgen.worlds").setLevel(logging.ERROR)
    return load(spec, device, start)


def physics_of(
    spec: WorldSpec,
    request: Request,
    constraint: dict[str, Any],
    guidance: dict[str, Any],
    observable: dict[str, Any] | None = None,
    observed: ObservedConfig | None = None,
    measured: Collection[str] = (),
    rewards: Mapping[str, OfVideo] | None = None,
) -> Physics:
    """Constraints and guidance from their entries in ``conf/``, with the scale that the prompt has in the world.

    Without constraints and rewards there is no guidance; those ``measured`` are not imposed, and without a guidance
    none is. What was observed is kept to by `DPS` at every step. One law of reaction and diffusion is joined with it at
    the end (`Assimilation`), where no guidance may be chosen; others are imposed by the one that was. If that follows
    rewards, the laws are some, and `DPS` is inside; of a search of the noise without new noise, which would forget the
    noise that was found.

    Raises:
        InvalidArgument: an entry that cannot be built, a constraint that refuses the world's boundary, species or
            length, constraints that contradict each other, rewards for a guidance that chooses nothing, a guidance
            that was chosen and has no effect beside an observation.
    """
    constraints: dict[str, Constraint] = {name: build(Constraint, entry) for name, entry in constraint.items()}
    grid = spec.grid(request.prompt)
    if observable and observable["_target_"]:
        read = build(Observable, observable)
    else:
        read = spec.observable(request.prompt, (observable or {}).get("off_map", 1.0))
    check_fields(constraints.values(), read, grid, spec.num_frames)
    if str(guidance["_target_"]).endswith(".BestOfN"):
        raise InvalidArgument(
            "guidance",
            "BestOfN",
            "a guidance; guidance=pruned chooses among draws here, guidance=best_of_4 does in `physgen ablate` alone",
        )
    if rewards and not guidance["_target_"]:
        raise InvalidArgument("rewards", ", ".join(rewards), f"[] with guidance=none; {FOLLOWING}")
    imposing = {name: law for name, law in constraints.items() if name not in measured and guidance["_target_"]}
    imposed = build_guidance(guidance, imposing, rewards) if imposing or rewards else None
    if imposed and imposed.terminal:
        size = (1, len(read.species), spec.num_frames, spec.height, spec.width)
        faint = torch.rand(size, generator=torch.Generator().manual_seed(request.seed))
        require_consistent(imposed.problem(grid), 0.4 + 0.2 * faint)
    notes = []
    if getattr(read, "off_map", 1) != 1 and not (imposed and imposed.terminal):
        notes.append("observable.off_map has no effect: no finished video is projected here")
    if observed is None or observed.file is None:
        return Physics(constraints, imposed, read, grid, spec, notes=notes)
    found = read_observed(observed, spec, read, grid)
    require_possible(found.seen, imposing, grid)
    world = with_start(spec, found.start)
    keeping = _keeping(found.seen, imposing, world, guidance, rewards or {})
    scale = PLAIN if _small(spec) and request.guidance_scale is None else None
    notes = [
        *notes,
        *found.notes,
        *([f"guidance_scale {PLAIN:g}: what was observed says more than the text"] if scale else []),
    ]
    return Physics({OBSERVED: found.seen, **constraints}, keeping, read, grid, world, found.start, notes, scale)


def _keeping(
    seen: Observed,
    constraints: dict[str, Constraint],
    spec: WorldSpec,
    guidance: dict[str, Any],
    rewards: Mapping[str, OfVideo],
) -> Guidance:
    """What keeps to an observation, and imposes the laws."""
    scheduler = scheduler_of(spec)
    memoryless = scheduler.get("_class_name") == EULER and not scheduler.get("stochastic_sampling")
    following = bool(constraints or rewards) and follows_rewards(guidance)
    searching = following and issubclass(find_class(Guidance, str(guidance["_target_"])), NoiseSearch)
    chosen = None if following else guidance.get("renoise")  # of particles it is that of copies
    options: dict[str, Any] = {
        "renoise": (RENOISE if memoryless and not searching else 0.0) if chosen is None else chosen,
        "jacobian": "backward" if _small(spec) else "forward",
    }
    laws = list(constraints.values())
    if len(laws) == 1 and isinstance(laws[0], ReactionDiffusion) and not following:
        require_untouched(guidance, "another law or rewards", "; what was observed and this law are joined without it")
        return Assimilation({OBSERVED: seen, **constraints}, **options)
    keeping: Guidance = DPS({OBSERVED: seen}, **options)
    if _given_as_latents(spec) and not bool(seen.mask[:, 1:].any()):  # the pipeline leaves nothing of it to move
        options["renoise"] = 0.0
        keeping = Afterwards({OBSERVED: seen})
    if not (constraints or rewards):
        return keeping
    if following:
        if guidance.get("inside") is not None:
            raise InvalidArgument(
                "guidance.inside", guidance["inside"], "null: what keeps to the observation is inside"
            )
        return build_guidance({**guidance, "inside": keeping}, constraints, rewards)
    if rewards:
        return build_guidance(guidance, constraints, rewards)  # which refuses them
    imposing = build_guidance({**guidance, "renoise": options["renoise"]}, constraints)
    return Composition([keeping, imposing])


def _small(spec: WorldSpec) -> bool:
    count = parameters(spec)
    return count is not None and count <= SMALL


def _given_as_latents(spec: WorldSpec) -> bool:
    """Whether a world draws from a picture whose latents stay as they are."""
    try:
        expands = configurations(spec).get("pipeline", {}).get("expand_timesteps", False)
    except InvalidArgument:
        return False
    return bool(expands) and spec.pipeline.endswith("ImageToVideoPipeline")


def check_fields(constraints: Iterable[Constraint], observable: Observable, grid: Grid, frames: int) -> None:
    """Let every constraint refuse the world's boundary or length now, on made-up fields, instead of after sampling."""
    fields = torch.full((1, len(observable.species), frames, 4, 4), 0.5)
    for constraint in constraints:
        constraint.residual(fields, grid)


def remarks(world: World, prompt: str, constraint: dict[str, Any]) -> list[str]:
    """What whoever wrote the prompt should know before believing the video."""
    spec = world.spec
    family = spec.family(prompt)
    notes = []
    if ignored := world.ignored_words(prompt):
        notes.append(f"ignored words: {', '.join(ignored)}")
    if world.report:
        notes.append(str(world.report))
    if not spec.recognises(prompt) and spec.level is None:
        notes.append(f"no word names a kind of video that {spec.name} knows; scale and colours are those of {family}")
    if not spec.families[family].colours:
        dy, dt = spec.families[family].spacing[0], spec.families[family].dt
        notes.append(f"{family} scale, an assumption: {dy:g} µm and {dt:g} s (world.families.{family}.spacing and .dt)")
    for name, entry in constraint.items():
        if spec.families[family].laws and name not in spec.families[family].laws and not entry.get("species"):
            notes.append(f"{name} is not a law of {family} videos in {spec.name}: the simulator violates it as well")
    return notes
