"""Guidance inside any pipeline of diffusers, or DiffSynth's of Wan, which stays unmodified."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from physgen.arguments import instance
from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Guidance, GuidanceLog, NoiseSearch, OfVideo, Particles
from physgen.guidance.base import read_guidance
from physgen.observables import Observable, read_observable
from physgen.sampling.competition import Competition, require_renewable
from physgen.sampling.decoding.decoder import Decoder, recomputed
from physgen.sampling.decoding.layout import axes_of
from physgen.sampling.diffsynth import DiffSynthPipeline, euler, seen_as_diffusers
from physgen.sampling.network import Recorder, networks, recorded, require_resident, require_uncached
from physgen.sampling.ordinary import make_ordinary
from physgen.sampling.predictions import require_supported
from physgen.sampling.rows import LivingRows, called_with
from physgen.sampling.search import Search, require_searchable
from physgen.sampling.session import Session, delivering_processor, guided_scheduler
from physgen.sampling.species import require_species
from physgen.sampling.swap import swapped_class, unguided_class


def _required(pipe: Any, component: str) -> Any:
    found = getattr(pipe, component, None)
    if found is None:
        raise InvalidArgument("pipe", type(pipe).__name__, f"diffusers pipelines with a {component}")
    return found


def _fixes_first_frame(pipe: Any) -> bool:
    """Whether a pipeline gives its network a picture as the first latent frame, and leaves the scheduler its noise."""
    expands = getattr(pipe, "config", {}).get("expand_timesteps", False)
    return bool(expands) and "image" in inspect.signature(type(pipe).__call__).parameters


def _require_one_pass(guidance: Guidance, scheduler: Any) -> None:
    """Refuse what cannot be done inside one `scheduler.step`."""
    name = type(guidance).__name__
    if (recurrence := guidance.recurrence) > 1:
        allowed = (
            "recurrence=1 inside guide(...): a scheduler does not repeat a sigma, physgen.sampling.sample_flow does"
        )
        raise InvalidArgument("guidance", f"{name} with recurrence={recurrence}", allowed)
    memoryless = isinstance(scheduler, FlowMatchEulerDiscreteScheduler) and not scheduler.config.stochastic_sampling
    if (eta := guidance.renoise) and not memoryless:
        allowed = (
            "renoise=0, or FlowMatchEulerDiscreteScheduler without stochastic_sampling: "
            "other schedulers keep a history that new noise contradicts, or draw noise themselves"
        )
        raise InvalidArgument("guidance", f"{name} with renoise={eta}", allowed)
    if isinstance(guidance, Particles):
        require_renewable(guidance, scheduler)


@contextmanager
def guide(
    pipe: Any,
    guidance: Guidance,
    *,
    observable: Observable | None = None,
    grid: Grid | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
) -> Iterator[GuidanceLog]:
    """Guide every call of a pipeline of diffusers, or of DiffSynth's `WanVideoPipeline`, inside the `with` block.

    x0_hat = p sample + q model_output;  x0* = guidance(x0_hat);  model_output + (x0* - x0_hat) / q goes into the step

    with p and q of the scheduler's own step (flow matching: 1 and -sigma, so that v* = (x_t - x0*) / sigma), whatever
    the model predicts and however often the scheduler calls it; the guidance sees x_t = (1 - sigma) x0 + sigma noise.
    The arithmetic is in float32. Constraints see the fields [B, S, T, H, W] that `observable` reads from the decoded
    video in [0, 1], of which an image is one frame, on `grid`; without one they see the latents as the scheduler does:
    [B, C, T, H, W], CogVideoX's [B, T, C, H, W], LTX's tokens [B, N, C]. Laws that `needs_amounts` are then refused of
    a pipeline with an autoencoder: its latents are no amounts. A `terminal` guidance also projects the
    result: the decoded video, which comes back as float32 in [0, 1], or, without an observable, the latents that the
    last step returns.
    A guidance that goes `through_network` gets x0_hat as a function of x_t: the transformer or UNet runs with its
    graph, or with ``jacobian="forward"`` once more, in every branch of classifier-free guidance. `generator` draws the
    noise of a guidance that re-noises: one for a whole batch, so that a sample depends on which others are in it, or a
    list of one for each video, so that it does not. Without, the pipeline's is taken if its steps have one, else one
    that is seeded by the starting noise: the same noise ends in the same video, another in another. `Particles` compete
    in groups of ``num_videos_per_prompt`` neighbours; the last step returns one of each group, so that only that one is
    decoded. Schedulers that keep a history take it along.
    `NoiseSearch` replaces the latents at the first step, by further calls of the network as the pipeline makes them.
    The pipeline's scheduler and video processor get their classes back on leaving; copies of the scheduler made inside
    are guided inside. A guidance is no `callback_on_step_end`: multistep schedulers rebuild the sample from the model
    outputs that they keep, so that one step later UniPC's corrector undoes what a callback writes into the latents.

    Raises:
        InvalidArgument: a pipeline that is guided already or lacks a component, a scheduler that is not supported, a
            guidance that needs more than one pass per step, new noise in a scheduler with a history, constraints on
            species that the observable does not read, a law of amounts without an observable, a guidance that
            `needs_graph` of a transformer that is offloaded as a whole or by groups of layers, one that calls a
            transformer with a cache again or by other rows, and with an observable, latents that `axes_of` refuses.
            In use: another number of generators than of videos; see `Decoder`, `Recorder`, `Guidance.correction` and
            `Session.require_seen`.
        ModelFailure: in use, a model that predicts NaN for every sample, or a scheduler that makes them NaN.

    Source: flow matching, Lipman et al., arXiv:2210.02747; p and q: `prediction`; UniPC: Zhao et al., arXiv:2302.04867.

    >>> from types import SimpleNamespace
    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import Projection
    >>> pipe = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler())
    >>> pipe.scheduler.set_timesteps(2)
    >>> latents = torch.rand(1, 1, 2, 4, 4, generator=torch.manual_seed(0))
    >>> with guide(pipe, Projection([MassConservation()]), grid=Grid(spacing=(1.0, 1.0), dt=1.0)) as log:
    ...     for t in pipe.scheduler.timesteps:
    ...         latents = pipe.scheduler.step(torch.zeros_like(latents), t, latents).prev_sample
    >>> mass = latents.sum((1, 3, 4))[0]
    >>> bool((mass[0] - mass[1]).abs() < 1e-5), len(log.steps)
    (True, 2)
    """
    guidance = read_guidance(guidance)
    if observable is not None:
        read_observable(observable)
    if grid is not None:
        instance("grid", grid, Grid, "a Grid: spacing, dt and boundary")
    if generator is not None:
        generator = list(generator) if isinstance(generator, Sequence) else generator
        for one in generator if isinstance(generator, list) else [generator]:
            instance("generator", one, torch.Generator, "a torch.Generator, or a list of them, one for each video")
    scheduler = _required(pipe, "scheduler")
    scheduler_class = unguided_class(scheduler)
    seen = seen_as_diffusers(pipe)
    schedule = euler if isinstance(seen, DiffSynthPipeline) else None
    if schedule and isinstance(guidance, Particles | NoiseSearch):
        name = type(guidance).__name__
        raise InvalidArgument("guidance", name, "another one: a pipeline of DiffSynth draws one video from its noise")
    steps = schedule(scheduler, None) if schedule else scheduler
    require_supported(steps)
    _require_one_pass(guidance, steps)
    for thing in (observable, *guidance.constraints.values()):
        make_ordinary(thing)
    decode = None
    rewards = guidance.rewards if isinstance(guidance, Particles | NoiseSearch) else {}
    blind = [name for name, reward in rewards.items() if isinstance(reward, OfVideo)]
    if blind and observable is None:
        raise InvalidArgument("observable", None, f"an observable: {', '.join(blind)} look at the decoded video")
    laws = {**guidance.constraints, **rewards}
    unread = [name for name, law in laws.items() if isinstance(law, Constraint) and law.needs_amounts]
    if unread and observable is None and getattr(seen, "vae", None) is not None:
        allowed = f"an observable, Intensity() for one: {', '.join(unread)} cannot be read off an autoencoder's latents"
        raise InvalidArgument("observable", None, allowed)
    if observable is not None:
        require_species(guidance.constraints.values(), observable, grid)
        decode = Decoder(_required(seen, "vae"), observable, axes_of(seen))
    again = guidance.through_network and not guidance.needs_graph
    if again or isinstance(guidance, Particles | NoiseSearch):
        require_uncached(networks(seen))
    session = Session(guidance, type(pipe).__name__, decode, grid, generator, schedule=schedule)
    projects = guidance.terminal and observable is not None
    with ExitStack() as stack:
        if _fixes_first_frame(pipe):
            stack.enter_context(session.watched(networks(pipe)))
        if decode is not None:
            make_ordinary(decode.vae)
            stack.enter_context(recomputed(decode.vae))
        if guidance.through_network:
            session.recorder = Recorder(session.wants_calls, guidance.needs_graph, fixed=_fixes_first_frame(pipe))
            models = networks(seen)
            dtypes = {p.dtype for model in models for p in model.parameters() if p.is_floating_point()}
            session.precision = min(dtypes, key=lambda dtype: dtype.itemsize, default=None)
            if guidance.needs_graph:
                require_resident(models)
            stack.enter_context(recorded(models, session.recorder))
        if isinstance(guidance, NoiseSearch):
            recorder = Recorder(lambda: session.upcoming is None, graph=False)
            session.search = Search(guidance, decode, grid, recorder, session.recorder)
            models = networks(pipe)
            require_searchable(pipe, scheduler, models, _fixes_first_frame(pipe))
            require_resident(models)
            stack.enter_context(recorded(models, recorder))
        if isinstance(guidance, Particles):
            session.competition = Competition(guidance, decode, grid, LivingRows())
            repeats = session.recorder
            stack.enter_context(
                called_with(session.competition.living, networks(pipe), lambda: bool(repeats and repeats.repeating))
            )
        if isinstance(seen, DiffSynthPipeline):
            stack.enter_context(seen.routed(session))
        if projects and isinstance(seen, DiffSynthPipeline):
            stack.enter_context(seen.projecting(session.project))
        elif decode is not None:
            processor = getattr(pipe, "video_processor", None) or getattr(pipe, "image_processor", None)
            if processor is not None:
                swap = delivering_processor(unguided_class(processor), session)
                stack.enter_context(swapped_class(processor, swap))
            elif projects:
                _required(pipe, "video_processor")
        stack.enter_context(swapped_class(scheduler, guided_scheduler(scheduler_class, session)))
        try:
            yield session.log
        finally:
            session.open = False
    if pipe.scheduler is not scheduler:
        warnings.warn("the scheduler was replaced inside guide(...): its steps were not guided", stacklevel=3)
    elif not (session.log.steps or session.log.particles or session.log.search):
        warnings.warn("no step was corrected inside guide(...): its window holds none of those that ran", stacklevel=3)
    if projects and (session.log.steps or session.log.particles) and not session.log.terminal:
        warnings.warn("no video was decoded inside guide(...): the terminal projection did not run", stacklevel=3)
