"""Algorithms that turn constraints into a corrected estimate of the clean sample."""

from physgen.guidance.base import Correction, Guidance
from physgen.guidance.projection import Projection
from physgen.guidance.x0_gradient import X0Gradient

__all__ = ["Correction", "Guidance", "Projection", "X0Gradient"]
