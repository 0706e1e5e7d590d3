"""Instruments that select samples, and those that are left to score: none of either shares a source with the other."""

from __future__ import annotations

from collections.abc import Collection

from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.instruments import DOMAINS, INSTRUMENTS, Subject, examine, subject_of
from physgen.experiments.instruments.registry import ANY
from physgen.measure import degenerate
from physgen.worlds import WorldSpec

#: the classifier of simulator videos
JUDGE = "judge"
#: what an instrument is read from, where others are read from it as well; any other is a source of its own
SOURCES: dict[str, tuple[str, ...]] = {
    "recognised": (JUDGE,),
    "pattern": (JUDGE,),
    **dict.fromkeys(("direction", "lanes", "steadiness", "appearance", "vanishing", "lost", "brownian"), ("tracks",)),
    "count": ("tracks", "components"),
    "outcome": ("components",),
    "speed": ("tracks", "equation", "period"),
    "periodic": ("period",),
    **dict.fromkeys(("strength", "shear"), ("beat", "fibres")),
    "orientation": ("fibres",),
    "reaction_diffusion": ("equation",),
    **dict.fromkeys(("mass", "arrow", "extrema", "bounds", "progression"), ("amounts",)),
    **dict.fromkeys(("phase_order", "phases"), ("phases",)),
    **dict.fromkeys(("division", "daughters"), ("nuclei",)),
    **dict.fromkeys(("permanence", "number"), ("objects",)),
    **dict.fromkeys(("jumps", "stutter", "coherence", "stillness"), ("changes",)),
}


def sources(name: str) -> tuple[str, ...]:
    """What an instrument is read from.

    >>> sources("direction"), sources("transport")
    (('tracks',), ('transport',))
    """
    return SOURCES.get(name, (name,))


def scoring(domain: str, select: Collection[str]) -> tuple[str, ...]:
    """Instruments of a domain that share no source with those that select.

    >>> "speed" in scoring("blood.flow", ["direction"]), "transport" in scoring("blood.flow", ["direction"])
    (False, True)
    """
    taken = {source for name in select for source in sources(name)}
    return tuple(name for name in DOMAINS[domain] if not taken & set(sources(name)))


def check_select(domain: str, select: Collection[str]) -> None:
    """Refuse instruments that there are not, that scoring needs, or none for a domain.

    Raises: InvalidArgument.
    """
    for name in select:
        if name not in INSTRUMENTS:
            raise one_of("select", name, INSTRUMENTS)
        if JUDGE in sources(name):
            raise InvalidArgument("select", name, "instruments that do not ask the judge, who scores the content")
    if not set(select) & set(DOMAINS[domain]):
        able = ", ".join(name for name in DOMAINS[domain] if JUDGE not in sources(name))
        raise InvalidArgument("select", list(select), f"one or more instruments of {domain} videos: {able}")


def subject_in(spec: WorldSpec, caption: str) -> Subject | None:
    """What a caption asks for, in worlds of the embedded one's class; elsewhere nobody knows."""
    return subject_of(caption) if spec.pipeline.endswith(".MicroPipeline") else None


def domain_of(spec: WorldSpec, caption: str) -> str:
    """Name of the null distributions that videos of a caption are compared with."""
    subject = subject_in(spec, caption)
    return subject.domain if subject else ANY


def shows_nothing(spec: WorldSpec, prompt: Prompt, video: Float[Tensor, "1 3 T H W"]) -> bool:
    """Whether a video is degenerate, see `physgen.measure.degenerate`."""
    observable = spec.observable(prompt.caption)
    return degenerate(observable(video.double()), observable.least)[0] is not None


def merit(spec: WorldSpec, prompt: Prompt, video: Float[Tensor, "1 3 T H W"], select: Collection[str]) -> float:
    """Smallest p-value of the selecting instruments among videos without a fault.

    0 where the video is degenerate, or one of them cannot measure: what cannot be measured is not accepted.
    """
    if shows_nothing(spec, prompt, video):
        return 0.0
    names = [name for name in DOMAINS[domain_of(spec, prompt.caption)] if name in select]
    found = examine(video[0].transpose(0, 1), subject_in(spec, prompt.caption), names)
    return min(found[name].p_value if name in found else 0.0 for name in names)
