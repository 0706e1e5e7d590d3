"""Which run of an arm is shown: one that a quarter of the unguided videos are worse than."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physgen.experiments.paper.results.results import Arm
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.summary import UNGUIDED
from physgen.experiments.paper.spec import FigureSpec

#: of 25 frames, those that a strip shows
FRAMES = (0, 4, 8, 12, 16, 20, 24)


@dataclass(frozen=True)
class Shown:
    """The run of each guidance under a law, from one noise."""

    law: str
    seed: int
    runs: dict[str, str]


def shown(spec: FigureSpec, store: Store) -> list[Shown]:
    """For each law the seed whose unguided violation is the (lower) upper quartile, in every arm.

    Raises: InvalidArgument, see `FigureSpec.arms`.
    """
    sweep, arms = spec.arms(store)
    by_law: dict[str, dict[str, Arm]] = {}
    for arm in arms:
        by_law.setdefault(arm.set["law"], {})[arm.set["guidance"]] = arm
    found = []
    for law, mine in by_law.items():
        order = np.argsort(sweep.column(mine[UNGUIDED], f"violation/{law}"), kind="stable")
        seed = int(order[3 * (len(order) - 1) // 4])
        found.append(Shown(law, seed, {guidance: arm.runs[seed] for guidance, arm in mine.items()}))
    return found
