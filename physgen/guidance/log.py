"""What guidance did, as records with names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from physgen.guidance.solve.certificate import Certificate

#: mean cosine below which two constraints are said to pull against each other
CONFLICT = -0.5


@dataclass(frozen=True)
class StepRecord:
    """One corrected step.

    Attributes:
        step: its number, from 0.
        sigma: noise level in [0, 1].
        residual: RMS residual of each constraint before the correction, dimensionless.
        correction_norm: RMS of the correction, in the unit of the latents.
        cosine: of the directions in which pairs of constraints descend, see `Update`.
        dropped: samples whose correction was not finite, and which were left as they were.
        seconds: that the correction took.
    """

    step: int
    sigma: float
    residual: Mapping[str, float]
    correction_norm: float
    cosine: Mapping[str, float]
    dropped: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The record as a line of ``log.jsonl``."""
        return asdict(self)


@dataclass(frozen=True)
class TerminalRecord:
    """The projection of a finished video, or of latents where there is no observable.

    Attributes:
        moved_rms: RMS of what changed, of a video in [0, 1] or of latents.
        residual_before, residual_after: RMS residual of each constraint.
        dropped: samples that were left as they were, because nothing near them satisfies the constraints.
        certificate: what is delivered violates, by constraint.
        contradiction: why nothing was projected, where the constraints cannot hold together.
    """

    moved_rms: float
    residual_before: Mapping[str, float]
    residual_after: Mapping[str, float]
    dropped: int
    certificate: Mapping[str, Certificate]
    contradiction: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The record without the certificate, which has a place of its own."""
        return {key: value for key, value in asdict(self).items() if key != "certificate"}


@dataclass(frozen=True)
class Resampling:
    """One level at which `Particles` were resampled.

    Attributes:
        step: its number, from 0.
        sigma: noise level in [0, 1].
        rewards: of each particle, by name, -inf where there is none; group after group.
        weights: of each particle, of sum 1 in a group.
        ancestors: of each particle that is left, its place among those before.
        seconds: that rewards and resampling took.
    """

    step: int
    sigma: float
    rewards: Mapping[str, list[float]]
    weights: list[float]
    ancestors: list[int]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The record as a line of ``log.jsonl``."""
        return asdict(self)


@dataclass
class ParticlesLog:
    """What `Particles` did in one run.

    Attributes:
        resamplings: level after level.
        rewards: of each finished sample, by name; group after group.
        weights: of each finished sample, of sum 1 in a group.
        selected: of each group, the place of the best among the finished samples.
        founders: of each group, the place of the noise that the best began from, among those of the whole batch.
        evaluations: of the network, sample by sample, those of classifier-free guidance counted one by one.
        decodes: of the autoencoder, sample by sample, that rewards asked for; the one of what comes out is not counted.
    """

    resamplings: list[Resampling] = field(default_factory=list)
    rewards: Mapping[str, list[float]] = field(default_factory=dict)
    weights: list[float] = field(default_factory=list)
    selected: list[int] = field(default_factory=list)
    founders: list[int] = field(default_factory=list)
    evaluations: int = 0
    decodes: int = 0

    def as_json(self) -> dict[str, Any]:
        """The log without the resamplings, which are lines of ``log.jsonl``, but for how many were left."""
        left = [len(one.ancestors) for one in self.resamplings]
        return {key: value for key, value in asdict(self).items() if key != "resamplings"} | {"left": left}


@dataclass
class SearchLog:
    """What `NoiseSearch` did in one run.

    Attributes:
        rewards: of each few-step sample by name, at the start and after every iteration.
        kept: in every iteration, in which samples the move was kept.
        evaluations: of the network for the search, sample by sample, those of classifier-free guidance one by one.
        backward: ways back through the network, likewise.
        decodes: of the autoencoder, sample by sample, that rewards asked for.
    """

    rewards: list[Mapping[str, list[float]]] = field(default_factory=list)
    kept: list[list[bool]] = field(default_factory=list)
    evaluations: int = 0
    backward: int = 0
    decodes: int = 0

    def as_json(self) -> dict[str, Any]:
        """The log as a part of ``metrics.json``."""
        return asdict(self)


@dataclass
class GuidanceLog:
    """What guidance did in the pipeline calls inside one `with guide(...)`.

    Attributes:
        records: corrections and resamplings of all calls, in the order in which they happened.
        terminal: the projection at the end of the last call, None where there was none.
        dropped: samples whose correction was not finite, summed.
        particles: what `Particles` did in the last call, None where there were none.
        search: what `NoiseSearch` did in the last call, None where there was none.
    """

    records: list[StepRecord | Resampling] = field(default_factory=list)
    terminal: TerminalRecord | None = None
    dropped: int = 0
    particles: ParticlesLog | None = None
    search: SearchLog | None = None

    @property
    def steps(self) -> list[StepRecord]:
        """The corrected steps of all calls."""
        return [record for record in self.records if isinstance(record, StepRecord)]

    @property
    def certificate(self) -> Mapping[str, Certificate]:
        """That of the last call, by constraint; empty where nothing was projected."""
        return self.terminal.certificate if self.terminal else {}

    @property
    def conflicts(self) -> dict[str, float]:
        """Pairs of constraints that pull against each other: mean cosine over the corrected steps below -0.5."""
        found: dict[str, list[float]] = {}
        for step in self.steps:
            for pair, cosine in step.cosine.items():
                found.setdefault(pair, []).append(cosine)
        means = {pair: fmean(cosines) for pair, cosines in found.items()}
        return {pair: mean for pair, mean in means.items() if mean < CONFLICT}
