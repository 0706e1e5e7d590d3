"""Where vesicles are, when they meet, and the outline of two that become one; µm, times in parts of a clip."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from physgen.simulators.base import Array, smoothstep

SIDE = 51.2
RADII = (4.2, 6.4)
#: gap between vesicles that do not fuse and from the frame's edge, at least; how far they tremble
GAP, TREMBLE = 2.4, 0.5
#: how long a pair takes to meet, and to round up
APPROACH, FUSE = 0.15, 0.12
#: first and last time that fusions are spread over, and times at which gaps are looked at
SPREAD, LOOKS = (0.03, 0.93), np.linspace(0.0, 1.0, 61)


@dataclass(frozen=True)
class Vesicle:
    """A vesicle from when it is ``born`` to when it meets another one, at ``meets``, if it does.

    ``home`` is where it rests, ``goal`` where it meets, both ``[2]`` as y and x; ``tremor`` ``[2, 2]`` are phases and
    turns of its trembling. ``parents`` are two where it came to be by fusion. ``row`` numbers those at the beginning;
    one that fused has the row of its larger parent.
    """

    home: Array
    radius: float
    row: int
    tremor: Array
    born: float = 0.0
    meets: float = np.inf
    goal: Array | None = None
    parents: tuple[Vesicle, ...] = ()

    def seen(self, times: Array) -> npt.NDArray[np.bool_]:
        """At which times it is there."""
        return (times >= self.born) & (times < self.meets)

    def middle(self, times: Array) -> Array:
        """Places ``[T, 2]``."""
        settled = smoothstep(self.born + FUSE, self.born + 2 * FUSE, times) if self.parents else np.ones(len(times))
        going = np.zeros(len(times))
        if self.goal is not None:
            going = smoothstep(self.meets - APPROACH, self.meets, times)
        trembling = TREMBLE * np.sin(2 * np.pi * (self.tremor[0] + self.tremor[1] * times[:, None]))
        goal = self.home if self.goal is None else self.goal
        return self.home + (settled * (1 - going))[:, None] * trembling + going[:, None] * (goal - self.home)

    def outline(self, times: Array, y: Array, x: Array) -> Array:
        """Signed distance ``[T, H, W]`` to its edge, negative inside: a disc, or two that flow into one at first."""
        middle = self.middle(times)
        disc = np.hypot(y - middle[:, 0, None, None], x - middle[:, 1, None, None]) - self.radius
        if not self.parents:
            return disc
        together = smoothstep(self.born, self.born + FUSE, times)[:, None, None]
        parts = []
        for parent in self.parents:
            dy, dx = np.asarray(parent.goal) - self.home
            radius = parent.radius + (self.radius - parent.radius) * together
            parts.append(
                np.hypot(y - self.home[0] - dy * (1 - together), x - self.home[1] - dx * (1 - together)) - radius
            )
        one, other = parts
        blend = self.radius * (0.02 + 0.6 * np.sqrt(together) * (1 - together))
        share = np.clip(0.5 + 0.5 * (one - other) / blend, 0.0, 1.0)
        joined = one * (1 - share) + other * share - blend * share * (1 - share)
        return np.where(together < 1.0, joined, disc)


def fuse(pair: tuple[Vesicle, Vesicle], time: float, tremor: Array) -> tuple[Vesicle, Vesicle, Vesicle]:
    """A pair that meets at a time half way between them, by their areas, and what it becomes.

    >>> still, home = np.zeros((2, 2)), np.array([10.0, 10.0])
    >>> a, b, both = fuse((Vesicle(home, 3.0, 0, still), Vesicle(home + [0, 20], 4.0, 1, still)), 0.5, still)
    >>> both.radius, both.row, both.home.tolist(), round(float(np.hypot(*(a.goal - b.goal))), 9)
    (5.0, 1, [10.0, 22.8], 7.0)
    """
    areas = np.array([v.radius**2 for v in pair])
    middle = (areas[0] * pair[0].home + areas[1] * pair[1].home) / areas.sum()
    towards = (pair[1].home - pair[0].home) / np.hypot(*(pair[1].home - pair[0].home))
    reach = (pair[0].radius + pair[1].radius) * areas[::-1] / areas.sum()
    one, other = (
        replace(v, meets=time, goal=middle + sign * far * towards)
        for v, sign, far in zip(pair, (-1, 1), reach, strict=True)
    )
    row = max(pair, key=lambda v: v.radius).row
    return one, other, Vesicle(middle, float(np.sqrt(areas.sum())), row, tremor, born=time, parents=(one, other))


def draw_vesicles(count: int, fusions: int, rng: np.random.Generator) -> list[Vesicle]:
    """So many vesicles, then those that fusions make of them: each time of the two that are nearest to each other.

    Drawn anew until no others come near.
    """
    while True:
        vesicles = [
            Vesicle(rng.uniform(RADII[1] + GAP, SIDE - RADII[1] - GAP, 2), rng.uniform(*RADII), row, _tremor(rng))
            for row in range(count)
        ]
        slot = (SPREAD[1] - SPREAD[0]) / fusions
        for turn in range(fusions):
            time = SPREAD[0] + slot * turn + APPROACH + rng.uniform(0.0, slot - APPROACH - FUSE)
            there = [v for v in vesicles if np.isinf(v.meets)]
            pair = min(itertools.combinations(there, 2), key=lambda two: np.hypot(*(two[0].home - two[1].home)))
            one, other, both = fuse(pair, time, _tremor(rng))
            renewed = {id(pair[0]): one, id(pair[1]): other}
            vesicles = [*(renewed.get(id(v), v) for v in vesicles), both]
        if _are_apart(vesicles):
            return vesicles


def _tremor(rng: np.random.Generator) -> Array:
    return np.stack([rng.uniform(0.0, 1.0, 2), rng.uniform(1.0, 2.5, 2)])


def _are_apart(vesicles: Sequence[Vesicle]) -> bool:
    """Whether all are in the frame, and those far enough from each other that are not about to fuse."""
    for v in vesicles:
        middle = v.middle(LOOKS[v.seen(LOOKS)])
        edge = v.radius + GAP + (max(p.radius for p in v.parents) if v.parents else 0.0)
        if middle.size and (middle.min() < edge or middle.max() > SIDE - edge):
            return False
    for a, b in itertools.combinations(vesicles, 2):
        both = LOOKS[a.seen(LOOKS) & b.seen(LOOKS)]
        if a.goal is not None and b.goal is not None and a.meets == b.meets:
            both = both[both < a.meets - APPROACH]
        spread = sum(0.5 * min(p.radius for p in v.parents) if v.parents else 0.0 for v in (a, b))
        if both.size and np.hypot(*(a.middle(both) - b.middle(both)).T).min() < a.radius + b.radius + GAP + spread:
            return False
    return True
