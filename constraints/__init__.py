"""Differentiable statements about physical fields."""

from physgen.constraints.base import Constraint
from physgen.constraints.mass import MassConservation

__all__ = ["Constraint", "MassConservation"]
