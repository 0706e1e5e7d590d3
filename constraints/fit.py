"""Constants that a law fitted to fields, and how well the fields determine them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: part of the motion that a law explains, below which its constants mean nothing
ENOUGH = 0.5
#: one value of each sample, or of each sample and species
Values = list[Any]


@dataclass(frozen=True)
class Fit:
    """Constants that a law fitted, sample by sample.

    Attributes:
        values: each constant by name, ``[B]``, in µm, s and the unit of the fields (``[B][S]``: one of each species).
        errors: the standard error of each that has one, likewise.
        intervals: the 95 % interval of each, ``[B][2]``, likewise.
        condition: condition number of the problem ``[B]``, see `least_squares`.
        identifiable: whether a sample determines all of the constants together ``[B]``.
        explained: the part of the motion's power that the law explains with these constants ``[B]``, at most 1: less
            than nothing where it is nearer to no motion at all.
        measured: whether the data carry the constants at all ``[B]``; where not, no number should be believed.
        reason: why not ``[B]``, None where they do.

    >>> Fit({"D_c": [3.0]}, {"D_c": [0.1]}, measured=[True]).sample(0)["values"]
    {'D_c': 3.0}
    """

    values: Mapping[str, Values] = field(default_factory=dict)
    errors: Mapping[str, Values] = field(default_factory=dict)
    intervals: Mapping[str, Values] = field(default_factory=dict)
    condition: list[float] = field(default_factory=list)
    identifiable: list[bool] = field(default_factory=list)
    explained: list[float] = field(default_factory=list)
    measured: list[bool] = field(default_factory=list)
    reason: list[str | None] = field(default_factory=list)

    def sample(self, index: int) -> dict[str, Any]:
        """What was fitted to one sample, as JSON has it."""
        return {
            key: {name: values[index] for name, values in entry.items()} if isinstance(entry, dict) else entry[index]
            for key, entry in asdict(self).items()
            if entry
        }


def unexplained(fit: Fit) -> str | None:
    """``unexplained`` where constants leave more than half of any sample's motion to something else.

    >>> unexplained(Fit({"D_c": [0.01]}, explained=[0.003])), unexplained(Fit({"D_c": [3.0]}, explained=[0.9]))
    ('unexplained', None)
    """
    return "unexplained" if any(part < ENOUGH for part in fit.explained) else None
