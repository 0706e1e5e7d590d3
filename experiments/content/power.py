"""How many prompts a paired comparison of shares needs."""

from __future__ import annotations

import math

from scipy.stats import norm

from physgen.errors import InvalidArgument
from physgen.experiments.measure.tables import Cell, Table

#: share of prompts that an arm is to gain, its test and how often that is to see it
GAIN, LEVEL, POWER = 0.10, 0.05, 0.80
#: shares that are right without choosing, for which the table says what is needed
BASES = (0.3, 0.5, 0.7, 0.8, 0.9)


def discordant(base: float, gain: float) -> float:
    """Share of prompts that one arm alone has right, where both are drawn independently.

    p (1 - q) + q (1 - p),  q = p + gain

    Arms that share candidates differ less often, at the least in `gain`, so that fewer prompts do.

    >>> round(discordant(0.8, 0.1), 2)
    0.26
    """
    return max(gain, base * (1 - base - gain) + (base + gain) * (1 - base))


def needed(gain: float, differing: float) -> int:
    """Prompts with which McNemar's two-sided test of level 0.05 sees a gain in 80 % of experiments.

    n = (z_0.975 sqrt(d) + z_0.8 sqrt(d - gain^2))^2 / gain^2

    with d the share of prompts that one arm alone has right.

    Raises: InvalidArgument for a share below the gain or above 1.

    Source: Connor (1987), Biometrics 43:207.

    >>> needed(0.1, 0.26), needed(0.1, 0.1)
    (202, 77)
    """
    if not 0 < gain <= differing <= 1:
        raise InvalidArgument("gain, differing", (gain, differing), "0 < gain <= differing <= 1")
    sure, often = norm.ppf(1 - LEVEL / 2), norm.ppf(POWER)
    return math.ceil((sure * math.sqrt(differing) + often * math.sqrt(differing - gain**2)) ** 2 / gain**2)


def detectable(n: int, base: float) -> float:
    """The smallest gain on `base`, in whole points, that n prompts show; NaN where none does.

    >>> detectable(202, 0.8), detectable(16, 0.9)
    (0.1, nan)
    """
    gains = [points / 100 for points in range(1, round(100 * (1 - base)) + 1)]
    return next((gain for gain in gains if needed(gain, discordant(base, gain)) <= n), math.nan)


def power_table(n: int) -> Table:
    """What is needed for ten points, and what n prompts show, for some shares without choosing."""
    rows: list[list[Cell]] = []
    for base in BASES:
        gain = min(GAIN, 1 - base)
        pairs = discordant(base, gain)
        rows.append([base, float(needed(gain, pairs)), float(needed(gain, gain)), detectable(n, base)])
    heads = ["right without choosing", "prompts for +0.1", "the same, where none is lost", f"seen with {n} prompts"]
    return Table(f"Power: paired test of level {LEVEL:g}, power {POWER:g}; n = {n} a question", heads, rows)
