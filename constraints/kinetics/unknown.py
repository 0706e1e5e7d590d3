"""A quantity known to lie between two values, and the coordinate that a fit moves along."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Unknown:
    """A value in [low, high] as a function of a coordinate u.

    low (high / low)^u for 0 < low (decades are alike), low + (high - low) u for low <= 0, u in [0, 1];
    low + size u for an infinite ``high``, u >= 0

    Source: reparametrisation.

    >>> Unknown(0.01, 100.0).value(0.5)
    1.0
    >>> Unknown(0.0, 4.0).coordinate(1.0)
    0.25
    """

    low: float
    high: float
    size: float = 1.0

    @property
    def end(self) -> float:
        """The largest coordinate."""
        return 1.0 if math.isfinite(self.high) else math.inf

    def value(self, u: float) -> float:
        if self._logarithmic:
            return float(self.low * (self.high / self.low) ** u)
        return self.low + u * self._span

    def slope(self, u: float) -> float:
        """Derivative of the value."""
        return self.value(u) * math.log(self.high / self.low) if self._logarithmic else self._span

    def coordinate(self, value: float) -> float:
        """The coordinate of a value, or of the bound that is nearest."""
        value = min(max(value, self.low), self.high)
        if self._logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / self._span

    @property
    def _logarithmic(self) -> bool:
        return self.low > 0 and math.isfinite(self.high)

    @property
    def _span(self) -> float:
        return self.high - self.low if math.isfinite(self.high) else self.size
