"""Every estimator of content by name: what it reads, what it measures with, and of which prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from physgen.constraints import Constraint, Count, Periodic, Permanence, PhaseOrder, ReactionDiffusion
from physgen.experiments.content import looks, motion, readings
from physgen.experiments.content.asked import Asked
from physgen.experiments.content.judged import attributes_by_judge, by_judge, phases_by_judge
from physgen.experiments.content.likelihood import Soft, likelihood, log_likelihood, soft_margin
from physgen.experiments.instruments.clip import Clip

#: domains in which the law `Permanence` knows how large objects are
ASSIGNED = ("blood.flow", "vessel.vessel", "beads.beads", "vesicles.vesicles")
#: domains in which the speed is that of a flow, and in which a whole sheet moves
FLOWS, SHEET, BEADS = ("blood.flow", "vessel.vessel", "sheet.sheet"), ("sheet.sheet",), ("beads.beads",)

#: what laws measure with, of `Estimator.uses`: a video on which one was imposed is right by such an estimator
LAWS: dict[type[Constraint], tuple[str, ...]] = {
    PhaseOrder: ("phase classifier",),
    Permanence: ("assignment",),
    Count: ("components",),
    ReactionDiffusion: ("law",),
    Periodic: ("law",),
}

Read = Callable[[Clip, Asked], float]
Applies = Callable[[Asked], bool]


@dataclass(frozen=True)
class Estimator:
    """One way to read one kind of content.

    Attributes:
        content: what is read.
        uses: what it measures with; two that share nothing are disjoint.
        read: a number, of which more is better.
        right: the least that is right; None where no limit says so.
        applies: whether the prompt says anything that it can read.
        soft: the same of a batch of videos, with its derivative; None where it has none.
    """

    content: str
    uses: tuple[str, ...]
    read: Read
    right: float | None
    applies: Applies
    soft: Soft | None = None


def _counts(asked: Asked) -> bool:
    return asked.count is not None


def _directs(asked: Asked) -> bool:
    return asked.direction is not None


def _names(attribute: str) -> Applies:
    return lambda asked: attribute in asked.visible


def _of(*domains: str) -> Applies:
    return lambda asked: asked.domain in domains


def _judged(content: str) -> dict[str, Estimator]:
    def applies(asked: Asked) -> bool:
        return content in asked.judged

    one = Estimator(content, ("judge",), by_judge(content), 0.0, applies, soft_margin(content))
    return {f"{content}_by_judge": one}


def _captioned(asked: Asked) -> bool:
    return asked.subject is not None


_TRACKS = ("peaks", "tracks")

#: ``auto`` takes the first of each content that the prompt has a reading for
REWARDS: dict[str, Estimator] = {
    "count": Estimator("count", ("peaks",), readings.count_by_peaks, 0.0, _counts),
    "count_by_components": Estimator("count", ("components",), readings.count_by_components, 0.0, _counts),
    **_judged("count"),
    "direction": Estimator("direction", ("flow",), readings.direction_by_flow, 0.5**0.5, _directs),
    "direction_by_tracks": Estimator("direction", _TRACKS, readings.direction_by_tracks, 0.0, _names("direction")),
    **_judged("direction"),
    "speed": Estimator("speed", ("law", *_TRACKS), motion.speed_by_device, 0.0, _names("speed")),
    "speed_by_flow": Estimator("speed", ("flow",), motion.speed_by_flow, 0.0, _of(*FLOWS)),
    "speed_by_correlation": Estimator("speed", ("correlation",), motion.speed_by_correlation, 0.0, _of(*BEADS)),
    **_judged("speed"),
    "brownian": Estimator("brownian", _TRACKS, motion.brownian_by_tracks, 0.0, _of(*BEADS)),
    "brownian_by_correlation": Estimator(
        "brownian", ("correlation",), motion.brownian_by_correlation, 0.0, _of(*BEADS)
    ),
    "strength": Estimator("strength", ("registration",), motion.strength_by_registration, 0.0, _names("strength")),
    "strength_by_flow": Estimator("strength", ("flow",), motion.strength_by_flow, 0.0, _names("strength")),
    "orientation": Estimator("orientation", ("axis",), looks.orientation_by_axis, 0.0, _names("orientation")),
    "orientation_by_flow": Estimator("orientation", ("flow",), motion.orientation_by_flow, 0.0, _of(*SHEET)),
    **_judged("orientation"),
    "shape": Estimator("shape", ("lumen",), looks.shape_by_lumen, 0.0, _names("shape")),
    "shape_by_walls": Estimator("shape", ("walls",), looks.shape_by_walls, 0.0, _names("shape")),
    "outcome": Estimator("outcome", ("peaks",), looks.outcome_by_peaks, 0.0, _of("vesicles.vesicles")),
    "outcome_by_components": Estimator(
        "outcome", ("components",), looks.outcome_by_components, 0.0, _of("vesicles.vesicles")
    ),
    **_judged("outcome"),
    "permanence": Estimator("permanence", _TRACKS, readings.permanence_by_tracks, None, _of(*readings.DEVICES)),
    "permanence_by_assignment": Estimator(
        "permanence", ("assignment",), readings.permanence_by_assignment, None, _of(*ASSIGNED)
    ),
    "phases": Estimator("phases", ("phase classifier",), readings.phases_by_classifier, 0.0, _of("mitosis.mitosis")),
    "phases_by_judge": Estimator("phases", ("judge",), phases_by_judge, 1.0, _of("mitosis.mitosis")),
    "pattern": Estimator("pattern", ("law",), readings.pattern_by_law, 0.0, _names("pattern")),
    **_judged("pattern"),
    "colour": Estimator("colour", ("mixing",), looks.colour_by_mixing, 0.0, _names("colour")),
    **_judged("colour"),
    "size": Estimator("size", ("area",), looks.size_by_area, 0.0, _names("size")),
    **_judged("size"),
    "attributes": Estimator("attributes", ("judge",), attributes_by_judge, 0.0, _captioned, soft_margin()),
    "likelihood": Estimator("attributes", ("judge",), likelihood, None, _captioned, log_likelihood),
}
