"""Differentiable statements about physical fields."""

from physgen.constraints.base import Constraint
from physgen.constraints.continuity import Continuity
from physgen.constraints.kinetics import Kinetics
from physgen.constraints.mass import MassConservation
from physgen.constraints.phase_order import PhaseOrder
from physgen.constraints.plain import Equality, Inequality
from physgen.constraints.reaction_diffusion import ReactionDiffusion
from physgen.constraints.symbolic import ReactionSystem
from physgen.constraints.systems import SYSTEMS, reaction_system

__all__ = [
    "SYSTEMS",
    "Constraint",
    "Continuity",
    "Equality",
    "Inequality",
    "Kinetics",
    "MassConservation",
    "PhaseOrder",
    "ReactionDiffusion",
    "ReactionSystem",
    "reaction_system",
]
