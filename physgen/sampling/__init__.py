"""Guidance inside samplers: diffusers pipelines, denoisers, velocities, PhysicsNeMo, and a flow of our own."""

from physgen.sampling.decoding.encoder import encode_frames
from physgen.sampling.denoiser import guided_denoiser
from physgen.sampling.diffusers import guide
from physgen.sampling.flow import sample_flow, sample_flow_heun
from physgen.sampling.physicsnemo import PhysicsNeMoGuidance
from physgen.sampling.velocity import guided_velocity

__all__ = [
    "PhysicsNeMoGuidance",
    "encode_frames",
    "guide",
    "guided_denoiser",
    "guided_velocity",
    "sample_flow",
    "sample_flow_heun",
]
