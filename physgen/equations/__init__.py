"""Reaction systems as text and as sympy: parsed, differentiated, printed as code."""

from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import SYSTEMS, reaction_system

__all__ = ["SYSTEMS", "ReactionSystem", "reaction_system"]
