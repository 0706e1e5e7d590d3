"""A drawn video and what it measures, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from physgen.audit import FLOAT_PRECISION, Measurement, audit, mass_balance
from physgen.drawn import Arm
from physgen.experiments.draw.physics import Physics
from physgen.experiments.pages.numbers import number
from physgen.guidance import Assimilation, Certificate, Guidance, GuidanceLog

#: what to try where a video shows nothing that a law could be about
REMEDY = {
    "empty": "the video shows nothing, so no law is certified; try another seed, more steps or a higher guidance_scale",
    "uniform": "the video is the same everywhere, so no law is certified; try another seed, more steps or prompt",
    "frozen": "nothing moves in the video, so no law is certified; try another seed, or a prompt that names the motion",
    "unexplained": "the law explains less than half of the motion, so its constants mean nothing; try another law",
}


@dataclass(frozen=True)
class Measured:
    """A video, its laws by name, and the mass of its species over time."""

    arm: Arm
    constraints: dict[str, Measurement]
    mass: dict[str, dict[str, Any]]

    @property
    def drift(self) -> float | None:
        """Largest drift of any species, ``max_t |m(t) - m(0)| / m(0)``."""
        return self.largest("drift")

    def largest(self, key: str) -> float | None:
        """Largest of a quantity over the species that have it."""
        return max((values[key] for values in self.mass.values() if values[key] is not None), default=None)


def measure(arm: Arm, physics: Physics) -> Measured:
    """`audit` of a single video; what was certified is measured with the constants of its certificate."""
    certificate = arm.log.certificate
    laws = {
        name: law.with_constants(certificate[name].fit) if name in certificate and certificate[name].fit.values else law
        for name, law in physics.constraints.items()
    }
    found = audit(arm.video, physics.observable, laws, physics.grid, tolerance=FLOAT_PRECISION) if laws else {}
    for name in found.keys() & certificate.keys():
        entry = certificate[name]
        found[name] = replace(
            found[name],
            tolerance=entry.tolerance,
            satisfied=entry.satisfied,
            degenerate=entry.degenerate,
            fit=entry.fit,
        )
    return Measured(arm, found, mass_balance(arm.video, physics.observable, physics.grid))


def outcome(result: Measured, free: Measured | None) -> dict[str, Any]:
    """What a video measures, beside the unguided one from the same noise where there is one."""
    log = result.arm.log
    return {
        "nfe": result.arm.nfe,
        "constraints": {
            name: {
                **report.as_json(),
                "unguided_residual_rms": free.constraints[name].residual_rms if free else None,
            }
            for name, report in result.constraints.items()
        },
        "drift": result.drift,
        "unguided_drift": free.drift if free else None,
        "certificate": {name: entry.as_json() for name, entry in log.certificate.items()},
        "conflicts": log.conflicts,
        "terminal": log.terminal.as_json() if log.terminal else None,
        "dropped": log.dropped,
        "particles": log.particles.as_json() if log.particles else None,
        **({"search": log.search.as_json()} if log.search else {}),
    }


def warnings_of(log: GuidanceLog) -> list[str]:
    """What the constraints did to each other."""
    notes = [f"{pair} pull against each other: mean cosine {cosine:.2f}" for pair, cosine in log.conflicts.items()]
    why = sorted({entry.degenerate for entry in log.certificate.values() if entry.degenerate})
    notes += [f"{word}: {REMEDY[word]}" for word in why]
    if log.terminal and log.terminal.contradiction:
        notes.append(f"not projected: {log.terminal.contradiction}")
    return notes


def describe_particles(log: GuidanceLog) -> list[str]:
    """Which particle the video is, what it was rewarded for, and what all of them cost; nothing without particles."""
    if log.particles is None:
        return []
    found, place = log.particles, log.particles.selected[0]
    rewards = ", ".join(f"{name} {values[place]:.3g}" for name, values in found.rewards.items())
    which = f"the particle that began from noise {found.founders[0]}, the best of {len(found.weights)} at the end"
    return [f"the video is {which}: reward {rewards}; {found.evaluations} network evaluations for all particles"]


def describe_search(log: GuidanceLog) -> list[str]:
    """What a search of the noise came to, and what it cost; nothing without one."""
    if log.search is None or not log.search.kept:
        return []
    found = log.search
    first, last = ({name: values[0] for name, values in step.items()} for step in (found.rewards[0], found.rewards[-1]))
    rewards = ", ".join(f"{name} {first[name]:.3g} to {value:.3g}" for name, value in last.items())
    kept = f"{sum(kept[0] for kept in found.kept)} of {len(found.kept)} moves of the noise were kept"
    cost = f"{found.evaluations} network evaluations and {found.backward} ways back for the search"
    return [f"{kept}; the few-step sample went from {rewards}; {cost}"]


def contradiction_of(guidance: Guidance | None, result: Measured) -> list[str]:
    """By how much the law's trajectory is off what was observed, where that is more than its noise explains."""
    if not isinstance(guidance, Assimilation) or guidance.seen.hard:
        return []
    off = result.constraints[guidance.observed_name].residual_rms
    if off <= guidance.seen.largest_deviation:
        return []
    return [
        f"what was observed contradicts {guidance.law_name}: its nearest trajectory is {off:.3g} standard deviations "
        f"of the noise away (rms), and noise explains {guidance.seen.largest_deviation:.3g}; "
        "try another law, or a larger observed.noise"
    ]


def describe_certificate(log: GuidanceLog) -> str:
    """The certificate in one line."""
    parts = [f"{name} {verdict(entry)}" for name, entry in log.certificate.items()]
    return f"certificate: {'; '.join(parts) or 'none, nothing was projected'}"


def verdict(entry: Certificate | Mapping[str, Any] | None) -> str:
    """What a certificate, or its JSON, says of one constraint.

    A constraint may hold in its own sense at a residual above the tolerance.
    """
    if entry is None:
        return "–"
    known = entry.as_json() if isinstance(entry, Certificate) else entry
    word = "satisfied" if known["satisfied"] else "NOT satisfied"
    if known.get("degenerate"):
        return f"{word}: {known['degenerate']}"
    if known["tolerance"] is None or (known["satisfied"] and known["residual_max"] > known["tolerance"]):
        return word
    return f"{word}: {number(known['residual_max'])} of {number(known['tolerance'])}"
