"""Where vesicles are, when they meet, and the outline of two that become one; µm, times in parts of a clip."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from physgen.simulators.base import Array, smoothstep

SIDE = 51.2
RADII = (3.9, 5.9)
#: gap between vesicles that do not fuse and from the frame's edge, at least; how far they tremble
GAP, TREMBLE = 2.4, 0.5
#: how long a pair takes to meet at most, also as a part of its turn, and to round up
APPROACH, PART, FUSE = 0.3, 0.55, 0.12
#: gap over which a pair comes together, at most; gap at which it fuses, and part of its distance that is left then
FAR, DOCKED, NECK = 11.0, 1.6, 0.72
#: first and last time that fusions are spread over, and times at which gaps are looked at
SPREAD, LOOKS = (0.03, 0.93), np.linspace(0.0, 1.0, 61)


@dataclass(frozen=True)
class Vesicle:
    """A vesicle from when it is ``born`` to when it meets another one, at ``meets``, if it does.

    ``home`` is where it rests until it ``leaves``, ``goal`` where it meets, both ``[2]`` as y and x; ``tremor``
    ``[2, 2]`` are phases and turns of its trembling. ``parents`` are two where it came to be by fusion. ``row`` numbers
    those at the beginning; one that fused has the row of its larger parent.
    """

    home: Array
    radius: float
    row: int
    tremor: Array
    born: float = 0.0
    leaves: float = np.inf
    meets: float = np.inf
    goal: Array | None = None
    parents: tuple[Vesicle, ...] = ()

    def seen(self, times: Array) -> npt.NDArray[np.bool_]:
        """At which times it is there."""
        return (times >= self.born) & (times < self.meets)

    def middle(self, times: Array) -> Array:
        """Places ``[T, 2]``."""
        settled = smoothstep(self.born + FUSE, self.born + 2 * FUSE, times) if self.parents else np.ones(len(times))
        going: Array = np.zeros(len(times))
        if self.goal is not None:
            going = smoothstep(self.leaves, self.meets, times)
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
            dy, dx = NECK * (np.asarray(parent.goal) - self.home)
            radius = parent.radius + (self.radius - parent.radius) * together
            parts.append(
                np.hypot(y - self.home[0] - dy * (1 - together), x - self.home[1] - dx * (1 - together)) - radius
            )
        one, other = parts
        blend = self.radius * (0.2 + 0.6 * together)
        share = np.clip(0.5 + 0.5 * (one - other) / blend, 0.0, 1.0)
        joined = one * (1 - share) + other * share - blend * share * (1 - share)
        return np.where(together < 1.0, joined, disc)


def fuse(pair: tuple[Vesicle, Vesicle], leaves: float, meets: float, tremor: Array) -> tuple[Vesicle, Vesicle, Vesicle]:
    """A pair that meets half way between them, by their areas, and what it becomes.

    >>> still, home = np.zeros((2, 2)), np.array([10.0, 10.0])
    >>> a, b, both = fuse((Vesicle(home, 3.0, 0, still), Vesicle(home + [0, 20], 4.0, 1, still)), 0.3, 0.5, still)
    >>> both.radius, both.row, both.home.tolist(), round(float(np.hypot(*(a.goal - b.goal))), 9)
    (5.0, 1, [10.0, 22.8], 8.6)
    """
    areas = np.array([v.radius**2 for v in pair])
    middle = (areas[0] * pair[0].home + areas[1] * pair[1].home) / areas.sum()
    towards = (pair[1].home - pair[0].home) / np.hypot(*(pair[1].home - pair[0].home))
    reach = (pair[0].radius + pair[1].radius + DOCKED) * areas[::-1] / areas.sum()
    one, other = (
        replace(v, leaves=leaves, meets=meets, goal=middle + sign * far * towards)
        for v, sign, far in zip(pair, (-1, 1), reach, strict=True)
    )
    row = max(pair, key=lambda v: v.radius).row
    return one, other, Vesicle(middle, float(np.sqrt(areas.sum())), row, tremor, born=meets, parents=(one, other))


def draw_vesicles(count: int, fusions: int, rng: np.random.Generator) -> list[Vesicle]:
    """So many vesicles, then those that fusions make of them: each time of the two that are nearest to each other.

    Drawn anew until no others come near, and pairs come together from near by.
    """
    slot = (SPREAD[1] - SPREAD[0]) / fusions
    approach = min(APPROACH, PART * slot)
    while True:
        vesicles = [
            Vesicle(rng.uniform(RADII[1] + GAP, SIDE - RADII[1] - GAP, 2), rng.uniform(*RADII), row, _tremor(rng))
            for row in range(count)
        ]
        if not _are_apart(vesicles):
            continue
        for turn in range(fusions):
            leaves = SPREAD[0] + slot * turn + rng.uniform(0.0, slot - approach - FUSE)
            there = [v for v in vesicles if np.isinf(v.meets)]
            pair = min(itertools.combinations(there, 2), key=_gap)
            if _gap(pair) > FAR:
                break
            one, other, both = fuse(pair, leaves, leaves + approach, _tremor(rng))
            renewed = {id(pair[0]): one, id(pair[1]): other}
            vesicles = [*(renewed.get(id(v), v) for v in vesicles), both]
        if len(vesicles) == count + fusions and _are_apart(vesicles):
            return vesicles


def _gap(pair: tuple[Vesicle, Vesicle]) -> float:
    return float(np.hypot(*(pair[0].home - pair[1].home)) - pair[0].radius - pair[1].radius)


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
            both = both[both < a.leaves]
        spread = sum(0.5 * min(p.radius for p in v.parents) if v.parents else 0.0 for v in (a, b))
        if both.size and np.hypot(*(a.middle(both) - b.middle(both)).T).min() < a.radius + b.radius + GAP + spread:
            return False
    return True
