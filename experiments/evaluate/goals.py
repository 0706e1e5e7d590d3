"""What the embedded world should reach, and what it reaches: one line for each goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from physgen.experiments.measure.tables import Cell, Table

Figures = dict[str, float]

RECONSTRUCTION, UNGUIDED, SIMULATOR = "reconstruction", "unguided", "simulator"
#: families and kinds whose prompts name a count, or a direction
COUNTED = ("dye", "growth", "beads", "vesicles")
FLOWING = ("blood", "vessel")


@dataclass(frozen=True)
class Goal:
    """A figure of an arm, averaged over families where it is of several, and what it should be at least or at most."""

    name: str
    arm: str
    path: tuple[str, ...]
    families: tuple[str, ...]
    bound: float
    most: bool = False

    def met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value <= self.bound if self.most else value >= self.bound


def goals(families: tuple[str, ...]) -> tuple[Goal, ...]:
    """The goals of a world of some families; of counts and directions by the judge and by instruments."""

    def of(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name in families)

    judge, tracker = ("recognised",), ("content", "right")
    return (
        Goal("family, judge", UNGUIDED, (*judge, "family"), families, 0.99),
        Goal("attributes, judge", UNGUIDED, (*judge, "attributes"), families, 0.95),
        *(
            Goal(f"{name} of {family}, {who}", UNGUIDED, (*path, name), (family,), 0.95)
            for name, names in (("count", of((*COUNTED, *FLOWING))), ("direction", of(FLOWING)))
            for family in names
            for who, path in (("judge", judge), ("instrument", tracker))
        ),
        Goal("pattern of Gray-Scott, judge", UNGUIDED, (*judge, "pattern"), of(("gray_scott",)), 0.8),
        Goal("empty", UNGUIDED, ("content", "empty"), families, 0.005, most=True),
        Goal("drift of red cells' area", UNGUIDED, ("laws", "cell_area_drift"), of(("blood",)), 0.15, most=True),
        Goal("legal steps of phases, judge", UNGUIDED, ("laws", "phase_steps_legal"), of(("mitosis",)), 0.93),
        Goal("phases in order, judge", RECONSTRUCTION, ("laws", "phases_in_order"), of(("mitosis",)), 0.9),
        Goal("jitter beyond the simulator's, px", RECONSTRUCTION, ("rendering", "jitter_px"), families, 0.1, most=True),
    )


def value_of(goal: Goal, result: Mapping[str, Any]) -> float:
    """Mean over its families of a goal's figure; of jitter of what is beyond the simulator's."""
    found = [_figure(result[family], goal.path, goal.arm) for family in goal.families]
    if goal.path[-1] == "jitter_px":
        still = [_figure(result[family], goal.path, SIMULATOR) for family in goal.families]
        found = [a - b for a, b in zip(found, still, strict=True)]
    return float(np.mean(found))


def reached(result: Mapping[str, Any], families: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every goal with the figure that was reached."""
    rows = []
    for goal in goals(families):
        value = value_of(goal, result)
        rows.append(
            {
                **{"goal": goal.name, "arm": goal.arm, "most" if goal.most else "least": goal.bound},
                **{"reached": value, "met": goal.met(value)},
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Goals as a table."""
    cells: list[list[Cell]] = [
        [
            row["goal"],
            row["arm"],
            f"<= {row['most']:g}" if "most" in row else f">= {row['least']:g}",
            row["reached"],
            "yes" if row["met"] else "no",
        ]
        for row in rows
    ]
    return Table("Goals", ["what", "arm", "wanted", "reached", "met"], cells)


def _figure(family: Mapping[str, Any], path: tuple[str, ...], arm: str) -> float:
    """An estimate: ``recognised`` and ``laws`` hold arms first, and so do the reports."""
    found: Any = family[path[0]][arm]
    for name in path[1:]:
        found = found[name]
    return float(found["estimate"])
