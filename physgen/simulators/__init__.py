"""Simulators of the micro world: one file per family, each a seeded source of videos, captions and ground truth."""

from __future__ import annotations

from physgen.simulators import blood, dye, gray_scott, growth, mitosis
from physgen.simulators.base import Clips, Simulator
from physgen.simulators.captions import Grammar, Split

SIMULATORS: dict[str, Simulator] = {
    "dye": dye.simulate,
    "growth": growth.simulate,
    "gray_scott": gray_scott.simulate,
    "mitosis": mitosis.simulate,
    "blood": blood.simulate,
}

#: of the families that the micro world of this package has learned; their order is that of its seeds and heads
LEARNED: dict[str, dict[str, Grammar]] = {
    "dye": dye.GRAMMARS,
    "growth": growth.GRAMMARS,
    "gray_scott": gray_scott.GRAMMARS,
    "mitosis": mitosis.GRAMMARS,
    "blood": blood.GRAMMARS,
}

GRAMMARS: dict[str, dict[str, Grammar]] = {**LEARNED}

__all__ = ["GRAMMARS", "LEARNED", "SIMULATORS", "Clips", "Grammar", "Simulator", "Split"]
