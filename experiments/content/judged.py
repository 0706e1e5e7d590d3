"""Content of one video by the judge: the margin by which it prefers what is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from physgen.experiments.content.asked import Asked
from physgen.experiments.instruments.clip import Clip
from physgen.experiments.instruments.devices import attributes
from physgen.experiments.measure.laws import legal_order
from physgen.simulators.mitosis import PHASES
from physgen.worlds.micro.judge import head_of, packaged_judge


def by_judge(name: str) -> Callable[[Clip, Asked], float]:
    """The reading of an attribute by the judge: the score of the value that is asked for, minus the best other one.

    >>> by_judge("count").__doc__
    'Margin by which the judge prefers the count that is asked for.'
    """

    def read(clip: Clip, asked: Asked) -> float:
        return _margin(clip, name)

    read.__doc__ = f"Margin by which the judge prefers the {name} that is asked for."
    return read


def value_by_judge(clip: Clip, name: str) -> str:
    """The value of an attribute that the judge prefers, of those that it was trained on: it knows no number between."""
    assert clip.subject
    return attributes.preferred(clip, head_of(clip.subject.family, clip.subject.kind, name))


def phases_by_judge(clip: Clip, asked: Asked) -> float:
    """Part of what the judge sees that is right: the first phase, the last one, each step from one to the next."""
    row = packaged_judge().phases(clip.video[None].float())[0].numpy()
    steps = np.diff(row)
    right = [row[0] == 0, row[-1] == len(PHASES) - 1, *((steps == 0) | (steps == 1))]
    found = float(np.mean(right))
    assert (found == 1.0) == legal_order(row.tolist(), len(PHASES) - 1)
    return found


def attributes_by_judge(clip: Clip, asked: Asked) -> float:
    """The smallest margin by which the judge prefers the family, the kind and each attribute that is asked for."""
    return min(_margin(clip, name) for name in asked.judged)


def _margin(clip: Clip, name: str) -> float:
    """Score of the value that is asked for, minus the best other one; no limit where the judge has no such head."""
    assert clip.subject
    family = clip.subject.family
    head = name if name == "family" else head_of(family, clip.subject.kind, name)
    if head not in packaged_judge().heads:
        return float("inf")
    return -attributes.margin(clip, head, family if name == "family" else clip.subject.attributes[name])
