"""Prompts of the simulators' families, with what they ask for and the seed of their samples."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass

import numpy as np

from physgen.simulators import GRAMMARS
from physgen.simulators.captions import Split


@dataclass(frozen=True)
class Prompt:
    """A caption, what it asks for, and the seed of its samples."""

    family: str
    index: int
    attributes: dict[str, str]
    caption: str
    seed: int


def prompts(family: str, count: int, split: Split, seed: int) -> list[Prompt]:
    """``count`` prompts that go round the combinations of a split, kind by kind.

    >>> [p.attributes["kind"] for p in prompts("dye", 4, "held_out", 0)]
    ['drop', 'frap', 'drop', 'frap']
    """
    rng = np.random.default_rng([seed, zlib.crc32(family.encode())])
    kinds = GRAMMARS[family]
    turns = {kind: itertools.cycle(grammar.combinations(split)) for kind, grammar in kinds.items()}
    found = []
    for index, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        attributes = {"kind": kind, **next(turns[kind])}
        noise = (seed * len(GRAMMARS) + list(GRAMMARS).index(family)) * 10_000 + index
        found.append(Prompt(family, index, attributes, kinds[kind].caption(attributes, rng), noise))
    return found
