"""What making a model costs."""

from __future__ import annotations

from dataclasses import dataclass

#: evaluations of the network that an evaluation with its way back counts as: forward once, backward twice
BACK = 3


@dataclass(frozen=True)
class Cost:
    """Evaluations of the network sample by sample, those of training with a way back, and seconds of all processes.

    >>> (Cost(10, 0, 1.0) + Cost(0, 5, 2.0)).total
    25
    """

    evaluations: int = 0
    trained: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.evaluations + other.evaluations, self.trained + other.trained, self.seconds + other.seconds)

    @property
    def total(self) -> int:
        """Everything, in evaluations of the network without a way back."""
        return self.evaluations + BACK * self.trained
