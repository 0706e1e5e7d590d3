"""One video of a run, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: what a terminal projection left behind
CERTIFIED, VIOLATED, UNCERTIFIED = "certified", "violated", "no certificate"
#: a video in which no law can be said to hold
DEGENERATE = "degenerate"


@dataclass(frozen=True)
class Entry:
    """A film on the page: ``video`` of a run, or ``unguided``, its sample from the same noise without guidance.

    ``violation`` is the rms residual of each measured law, dimensionless; ``drift`` of mass, ``max |m(t)/m(0) - 1|``.
    """

    folder: Path
    stem: str
    world: str
    prompt: str
    family: str
    seed: int
    laws: tuple[str, ...]
    guidance: str
    violation: Mapping[str, float | None]
    drift: float | None
    seconds: float | None
    nfe: int | None
    certificate: Mapping[str, Mapping[str, Any]]
    fps: float
    settings: Mapping[str, str]
    metrics: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The run, and which of its videos."""
        return self.folder.name + ("" if self.stem == "video" else f" {self.stem}")

    @property
    def law(self) -> str:
        """The laws asked for, in one word for a filter."""
        return " + ".join(self.laws) or "none"

    @property
    def status(self) -> str:
        """Certified if the certificate says so of every law; degenerate where nothing can be said."""
        if self.degenerate:
            return f"{DEGENERATE}: {self.degenerate}"
        if not self.certificate:
            return UNCERTIFIED
        return CERTIFIED if all(entry["satisfied"] for entry in self.certificate.values()) else VIOLATED

    @property
    def degenerate(self) -> str:
        """Why no law can be said to hold in it, nothing where one can."""
        if self.stem != "video":
            return ""
        for entry in [*self.certificate.values(), *self.metrics.get("constraints", {}).values()]:
            if entry.get("degenerate"):
                return str(entry["degenerate"])
        found = self.metrics.get("degenerate", {})
        return next((kind for kind, is_so in found.items() if is_so and kind != "any"), "")

    @property
    def same_noise(self) -> tuple[str, ...]:
        """Equal for entries that began from the same noise, with the same law in mind."""
        return self.family, self.law, f"{self.seed:020}", self.prompt, self.world
