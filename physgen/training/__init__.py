"""Constraints as losses in training loops."""

from physgen.training.conflict_free import conflict_free
from physgen.training.constraint_loss import ConstraintLoss, explained
from physgen.training.mixed import Mixed

__all__ = ["ConstraintLoss", "Mixed", "conflict_free", "explained"]
