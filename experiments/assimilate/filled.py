"""A picture of what was seen of a piece of a movie, what was there, and what each arm filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from physgen.experiments.assimilate.arms import Made
from physgen.experiments.assimilate.cases import Case
from physgen.experiments.assimilate.observations import Observation
from physgen.experiments.pages.sheet import write_sheet

#: brightness of what was not seen
UNSEEN = 0.3


def write_filled(path: Path, case: Case, asked: Observation, found: Mapping[str, Made]) -> None:
    """Write a PNG: frames across; truth, what was seen, and the mean of each arm's samples down, the first species."""
    seen = asked.seen.values[0, 0].where(asked.seen.mask[0], UNSEEN)
    rows = {"truth": case.truth[0, 0], "seen": seen} | {arm: made.fields.mean(0)[0] for arm, made in found.items()}
    write_sheet(path, [(name, fields[None].expand(3, -1, -1, -1)) for name, fields in rows.items()])
