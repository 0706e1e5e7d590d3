"""Differentiable statements about physical fields."""

from physgen.constraints.base import Constraint
from physgen.constraints.course.periodic import Periodic
from physgen.constraints.course.progression import Progression
from physgen.constraints.course.static import Static
from physgen.constraints.functions import Equality, Inequality
from physgen.constraints.kinetics.constraint import Kinetics
from physgen.constraints.mass.conservation import MassConservation
from physgen.constraints.mass.continuity import Continuity
from physgen.constraints.mitosis.constraint import PhaseOrder
from physgen.constraints.objects.count import Count
from physgen.constraints.objects.permanence import Permanence
from physgen.constraints.observed import Observed
from physgen.constraints.reaction_diffusion.constraint import ReactionDiffusion
from physgen.constraints.transport.constraint import Transport
from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import SYSTEMS, reaction_system

__all__ = [
    "SYSTEMS",
    "Constraint",
    "Continuity",
    "Count",
    "Equality",
    "Inequality",
    "Kinetics",
    "MassConservation",
    "Observed",
    "Periodic",
    "Permanence",
    "PhaseOrder",
    "Progression",
    "ReactionDiffusion",
    "ReactionSystem",
    "Static",
    "Transport",
    "reaction_system",
]
