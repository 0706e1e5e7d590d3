"""Types of the options of `physgen audit`; values and meanings are in ``conf/audit.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from physgen.worlds import WorldSpec


@dataclass
class AuditConfig:
    """Options of `physgen audit`, see ``conf/audit.yaml``."""

    files: list[str]
    world: WorldSpec
    constraint: dict[str, Any]
    observable: str
    prompt: str | None
    background: Any
    channel: Any
    series: Any
    axis: str | None
    plane: int | None
    crop: list[int] | None
    every: int
    scale: float
    memory: float | None
    spacing: Any
    dt: float | None
    boundary: str | None
    tolerance: float
    cells: str | None
    measure: Any
    processes: int
    out: str | None
