"""Guidance injected into other libraries' samplers."""

from physgen.adapters.callback import as_callback
from physgen.adapters.denoiser import guided_denoiser
from physgen.adapters.diffusers import guide
from physgen.adapters.physicsnemo import PhysicsNeMoGuidance
from physgen.adapters.session import GuidanceLog
from physgen.adapters.velocity import guided_velocity

__all__ = ["GuidanceLog", "PhysicsNeMoGuidance", "as_callback", "guide", "guided_denoiser", "guided_velocity"]
