"""What a prompt says of content: how many objects, and which way they move."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.experiments.draw.rules import decide
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.permanence import OUTSIDE
from physgen.experiments.instruments.subject import Subject, subject_of
from physgen.simulators import beads, blood, dye, growth, vesicles, vessel
from physgen.simulators.base import FRAMES, SIZE
from physgen.worlds import WorldSpec

#: exact numbers by their words, and ranges by family, the upper end not included
COUNTS = dye.COUNTS | growth.COUNTS | beads.COUNTS | vesicles.COUNTS
RANGES = {"blood": blood.COUNTS, "vessel": vessel.COUNTS}
#: what the judge does not tell of simulated videos of all captions: it takes straight vessels and blood for each other
#: (64 each: 42 and 59 right), guesses shapes by direction and speed (31 of 64), and strengths (55 of 64)
NOT_JUDGED = {("blood", "family"), ("vessel", "family"), ("vessel", "shape"), ("sheet", "strength")}
_GOES = r"(move|flow|swim|drift|crawl|climb)\w*( \w+ly)?"
#: direction -> words of a text that is no caption of the simulators; ``to the left of`` something is a place
WORDS: Mapping[str, re.Pattern[str]] = {
    direction: re.compile(rf"\b({words}|{_GOES} {direction}(?! (to|of|and|or)\b))\b", re.IGNORECASE)
    for direction, words in {
        "right": r"(to|towards?) the right(?! of\b)|rightwards?|left[ -]to[ -]right",
        "left": r"(to|towards?) the left(?! of\b)|leftwards?|right[ -]to[ -]left",
        "up": "upwards?",
        "down": "downwards?",
    }.items()
}
#: where a clause ends, and what says that its motion does not happen, or is no motion of what is shown
CLAUSE = re.compile(r"[,.;:]|\b(?:but|while)\b", re.IGNORECASE)
NO_MOTION = re.compile(r"\b(no|not|nor|never|camera|lens|pan(s|ned|ning)?|zoom\w*)\b|n't\b", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """Content of one prompt in one world; None for what it does not say.

    Attributes:
        subject: where the prompt is a caption of the simulators and the world's videos have their size, so that their
            colours, the instruments and the judge apply.
        count: least and most objects.
        direction: ``right``, ``left``, ``up`` or ``down``.
    """

    subject: Subject | None
    count: tuple[int, int] | None
    direction: str | None

    @property
    def domain(self) -> str | None:
        """Family and kind, such as ``blood.flow``."""
        return self.subject.domain if self.subject else None

    @property
    def visible(self) -> tuple[str, ...]:
        """Attributes of a caption that a video can show: of two vesicles a pair is all, so no outcome is told apart.

        >>> from physgen.worlds import world_spec
        >>> asked_of("membrane fusion, two red vesicles, all fuse", world_spec("micro")).visible
        ('kind', 'count', 'colour')
        """
        if self.subject is None:
            return ()
        hidden = ("outcome",) if self.count == (2, 2) else ()
        return tuple(name for name in self.subject.attributes if name not in hidden)

    @property
    def judged(self) -> tuple[str, ...]:
        """The family and the visible attributes, without those that the judge does not tell.

        >>> from physgen.worlds import world_spec
        >>> asked_of("a curved capillary carries many erythrocytes up fast", world_spec("micro")).judged
        ('kind', 'direction', 'speed', 'count')
        """
        if self.subject is None:
            return ()
        return tuple(name for name in ("family", *self.visible) if (self.subject.family, name) not in NOT_JUDGED)

    def clip(self, video: Float[Tensor, "3 T H W"]) -> Clip:
        """The video as instruments read it; of no subject with at most `SIZE` pixels along its shorter side."""
        side = min(video.shape[2:])
        if self.subject is None and side > SIZE:
            shape = [round(length * SIZE / side) for length in video.shape[2:]]
            video = torch.nn.functional.interpolate(video.transpose(0, 1).float(), shape, mode="area").transpose(0, 1)
        return Clip(video.cpu(), self.subject)


def asked_of(prompt: str, spec: WorldSpec) -> Asked:
    """What a prompt asks for: of a caption its attributes, of any other text what its words say.

    >>> from physgen.worlds import world_spec
    >>> asked_of("A single T cell that crawls to the left", world_spec("microverse"))
    Asked(subject=None, count=(1, 1), direction='left')
    """
    subject = subject_of(prompt)
    if subject is None:
        count = decide(prompt).constraint.get("count", {}).get("count")
        clauses = [clause for clause in CLAUSE.split(prompt) if not NO_MOTION.search(clause)]
        said = [direction for direction, words in WORDS.items() if any(map(words.search, clauses))]
        return Asked(None, None if count is None else (count, count), said[0] if len(said) == 1 else None)
    known = (spec.num_frames, spec.height, spec.width) == (FRAMES, SIZE, SIZE)
    return Asked(subject if known else None, _count(subject), subject.attributes.get("direction"))


def field_of(clip: Clip) -> Array:
    """Where objects are bright, ``[T, H, W]``: by the family's colours, else the distance from the median light."""
    if clip.subject:
        return clip.field
    light = clip.light
    found: Array = abs(light - float(torch.from_numpy(light).median()))
    return found


def _count(subject: Subject) -> tuple[int, int] | None:
    word = subject.attributes.get("count")
    if word is None:
        return None
    if subject.family in RANGES:
        low, high = RANGES[subject.family][word]
        return low - (OUTSIDE if subject.family == "vessel" else 0), high - 1
    return COUNTS[word], COUNTS[word]
