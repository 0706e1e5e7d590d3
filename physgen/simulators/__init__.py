"""Simulators of the micro world: one file per family, each a seeded source of videos, captions and ground truth.

The world that this package brings has learned them all.
"""

from __future__ import annotations

from physgen.simulators import beads, blood, dye, gray_scott, growth, mitosis, sheet, vesicles, vessel
from physgen.simulators.base import Clips, Simulator
from physgen.simulators.captions import Grammar, Split

SIMULATORS: dict[str, Simulator] = {
    "dye": dye.simulate,
    "growth": growth.simulate,
    "gray_scott": gray_scott.simulate,
    "mitosis": mitosis.simulate,
    "blood": blood.simulate,
    "vessel": vessel.simulate,
    "beads": beads.simulate,
    "sheet": sheet.simulate,
    "vesicles": vesicles.simulate,
}

#: in the order of the seeds of prompts and of the judge's classes
GRAMMARS: dict[str, dict[str, Grammar]] = {
    "dye": dye.GRAMMARS,
    "growth": growth.GRAMMARS,
    "gray_scott": gray_scott.GRAMMARS,
    "mitosis": mitosis.GRAMMARS,
    "blood": blood.GRAMMARS,
    "vessel": vessel.GRAMMARS,
    "beads": beads.GRAMMARS,
    "sheet": sheet.GRAMMARS,
    "vesicles": vesicles.GRAMMARS,
}

__all__ = ["GRAMMARS", "SIMULATORS", "Clips", "Grammar", "Simulator", "Split"]
