"""Caption grammars: one small language per simulator family, whose diagonal combinations are held out from training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from physgen.errors import InvalidArgument

Split = Literal["train", "held_out", "all"]


@dataclass(frozen=True)
class Grammar:
    """Attribute values and the sentences that name them.

    A combination is *held out* when its value indices lie on the diagonal, ``index_k = index_0 mod len(values_k)``: no
    training caption contains that combination, though each of its words occurs in training.

    >>> grammar = Grammar({"colour": ("red", "blue"), "speed": ("fast", "slowly")}, ("{colour} dye, {speed}",))
    >>> [c["colour"] + " " + c["speed"] for c in grammar.combinations("held_out")]
    ['red fast', 'blue slowly']
    >>> grammar.caption({"colour": "red", "speed": "slowly"}, np.random.default_rng(0))
    'red dye, slowly'
    """

    values: Mapping[str, tuple[str, ...]]
    templates: tuple[str, ...]

    def is_held_out(self, attributes: Mapping[str, str]) -> bool:
        """Whether this combination never occurs in training."""
        indices = [choices.index(attributes[name]) for name, choices in self.values.items()]
        return all(
            index == indices[0] % len(choices) for index, choices in zip(indices, self.values.values(), strict=True)
        )

    def combinations(self, split: Split = "all") -> list[dict[str, str]]:
        """Every attribute combination of a split."""
        every = [dict(zip(self.values, combo, strict=True)) for combo in itertools.product(*self.values.values())]
        return [c for c in every if split == "all" or self.is_held_out(c) == (split == "held_out")]

    def caption(self, attributes: Mapping[str, str], rng: np.random.Generator) -> str:
        """One sentence naming the attributes."""
        return str(rng.choice(self.templates)).format(**attributes)


def draw(
    grammars: Mapping[str, Grammar],
    weights: Sequence[float],
    batch: int,
    split: Split,
    rng: np.random.Generator,
    given: Sequence[Mapping[str, str]] | None = None,
) -> list[dict[str, str]]:
    """``given``, or else ``batch`` attribute dictionaries ``{"kind": …, …}`` drawn from weighted grammars.

    Raises: InvalidArgument where ``given`` has not ``batch`` entries.

    >>> grammars = {"drop": Grammar({"colour": ("red", "blue")}, ("{colour}",))}
    >>> [a["kind"] for a in draw(grammars, [1.0], 2, "all", np.random.default_rng(0))]
    ['drop', 'drop']
    """
    if given is not None:
        if len(given) != batch:
            raise InvalidArgument("attributes", f"{len(given)} entries", f"one for each of the {batch} clips")
        return [dict(attributes) for attributes in given]
    pools = {kind: grammar.combinations(split) for kind, grammar in grammars.items()}
    kinds = rng.choice(list(grammars), size=batch, p=weights)
    return [{"kind": str(kind), **pools[kind][int(rng.integers(len(pools[kind])))]} for kind in kinds]
