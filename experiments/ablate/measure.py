"""``metrics.json`` of a run: laws, cost, and what the video shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from physgen.constraints import Constraint, PhaseOrder
from physgen.drawn import Arm
from physgen.experiments.ablate.draw import chooses
from physgen.experiments.ablate.options import AblateConfig
from physgen.experiments.ablate.subject import Subject
from physgen.experiments.content.rewards import readings_of
from physgen.experiments.measure.laws import law
from physgen.experiments.measure.recognition import features, phase_order, recognised
from physgen.experiments.micro.measure import NOTHING, legal
from physgen.experiments.runs.records import origin, peak_memory_mb
from physgen.guidance.problem import Problem
from physgen.measure import degenerate
from physgen.worlds import world_spec
from physgen.worlds.micro.judge import packaged_judge


def measure(options: AblateConfig, subject: Subject, drawn: Arm) -> dict[str, Any]:
    """Everything that is said of one video; laws are read in float64."""
    fields = subject.observable(drawn.video.double())
    laws = as_imposed(subject, drawn)
    problems = {name: Problem({name: constraint}, grid=subject.grid) for name, constraint in laws.items()}
    return {
        **origin(options.world),
        "seed": options.seed,
        "device": options.device or "default",
        "wall_time_s": drawn.seconds,
        "peak_memory_mb": peak_memory_mb(),
        "nfe": drawn.nfe,
        "prompt": subject.prompt.caption,
        "family": subject.prompt.family,
        "attributes": subject.prompt.attributes,
        "imposed": sorted(subject.imposed),
        "violation": {name: problem.violations(fields)[name] for name, problem in problems.items()},
        "feasible": {
            name: legal(constraint, fields, subject.grid)
            for name, constraint in laws.items()
            if isinstance(constraint, PhaseOrder)
        },
        "fit": {name: asdict(law.fit(fields, subject.grid)) for name, law in subject.measured.items() if law.fitted},
        "degenerate": kinds(degenerate(fields, subject.observable.least)[0]),
        "certificate": {name: entry.as_json() for name, entry in drawn.log.certificate.items()},
        "moved_rms": drawn.log.terminal.moved_rms if drawn.log.terminal else None,
        "dropped": drawn.log.dropped,
        "conflicts": drawn.log.conflicts,
        "particles": drawn.log.particles.as_json() if drawn.log.particles else None,
        **({"search": drawn.log.search.as_json()} if drawn.log.search else {}),
        "quality": quality(subject, drawn.video, fields) if judged(options, subject) else {},
        "features": features(packaged_judge(), drawn.video)[0].tolist() if judged(options, subject) else [],
        **content(options, subject, drawn.video[0]),
    }


def content(options: AblateConfig, subject: Subject, video: Tensor) -> dict[str, Any]:
    """Where rewards were named: every reading of the content that they are about; nothing without."""
    if not options.rewards:
        return {}
    by = tuple(subject.rewards) if chooses(options.guidance) else ()
    laws = subject.imposed.values() if options.guidance["_target_"] else ()
    return {"rewards": by, "content": readings_of(video, subject.asked, tuple(subject.rewards), by, laws)}


def kinds(found: str | None) -> dict[str, bool]:
    """Each kind of degenerate video, and whether this is one of any.

    >>> kinds("frozen")
    {'any': True, 'empty': False, 'uniform': False, 'frozen': True}
    """
    return {"any": found is not None, **{kind: found == kind for kind in ("empty", "uniform", "frozen")}}


def judged(options: AblateConfig, subject: Subject) -> bool:
    """Whether the judge knows such a video: a scene of the simulators' in the size that it was trained on."""
    size = [(spec.num_frames, spec.height, spec.width) for spec in (options.world, world_spec("micro"))]
    return bool(subject.prompt.attributes) and size[0] == size[1]


def as_imposed(subject: Subject, drawn: Arm) -> dict[str, Constraint]:
    """The measured laws, those that were certified with the constants of their certificate."""
    held = {name: entry.fit for name, entry in drawn.log.certificate.items() if entry.fit.values}
    return {name: law.with_constants(held[name]) if name in held else law for name, law in subject.measured.items()}


def quality(subject: Subject, video: Tensor, fields: Tensor) -> dict[str, float]:
    """Family and attributes that the judge recognises, laws by estimators that no constraint uses, emptiness."""
    prompt = subject.prompt
    seen = recognised(packaged_judge(), [prompt], features(packaged_judge(), video))
    others = (
        {name: values[0] for name, values in phase_order(packaged_judge(), video).items()}
        if prompt.family == "mitosis"
        else law(prompt.family, prompt.attributes, video[0])
    )
    found = {"family": seen["family"][0], "attributes": seen["attributes"][0], **others}
    return {name: float(value) for name, value in found.items()} | {
        "empty": float(degenerate(fields, subject.observable.least)[0] in NOTHING)
    }
