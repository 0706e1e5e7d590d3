"""Options of `physgen results`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ResultsConfig:
    """Options of `physgen results`, see ``conf/results.yaml``."""

    sweep: str
    runs: str
    axis: str
    baseline: str
    groups: list[str]
    metrics: list[str]
    out: str | None
