"""Algorithms that turn constraints into a corrected estimate of the clean sample."""

from physgen.guidance.afterwards import Afterwards
from physgen.guidance.augmented_lagrangian import AugmentedLagrangian
from physgen.guidance.base import Guidance
from physgen.guidance.composition import Composition
from physgen.guidance.log import GuidanceLog, ParticlesLog, Resampling, SearchLog, StepRecord, TerminalRecord
from physgen.guidance.projection import Projection
from physgen.guidance.replacement import Replacement
from physgen.guidance.rewards.best_of_n import BestOfN
from physgen.guidance.rewards.noise_search import NoiseSearch
from physgen.guidance.rewards.particles import Particles
from physgen.guidance.rewards.pruned_best_of_n import PrunedBestOfN
from physgen.guidance.rewards.reward import OfVideo
from physgen.guidance.solve.certificate import Certificate
from physgen.guidance.step import Correction, Step, Update
from physgen.guidance.through_network.assimilation import Assimilation
from physgen.guidance.through_network.conditional_mean import ConditionalMean
from physgen.guidance.through_network.dps import DPS
from physgen.guidance.through_network.pigdm import PiGDM
from physgen.guidance.through_network.tfg import TFG
from physgen.guidance.x0_gradient import X0Gradient

__all__ = [
    "DPS",
    "TFG",
    "Afterwards",
    "Assimilation",
    "AugmentedLagrangian",
    "BestOfN",
    "Certificate",
    "Composition",
    "ConditionalMean",
    "Correction",
    "Guidance",
    "GuidanceLog",
    "NoiseSearch",
    "OfVideo",
    "Particles",
    "ParticlesLog",
    "PiGDM",
    "Projection",
    "PrunedBestOfN",
    "Replacement",
    "Resampling",
    "SearchLog",
    "Step",
    "StepRecord",
    "TerminalRecord",
    "Update",
    "X0Gradient",
]
