"""Losses with their gradient in one pass: `torch.library` operators over numba, Triton and torch."""

from physgen.ops.frame_mass import mass
from physgen.ops.phase_order import phase_order_nll
from physgen.ops.reaction_diffusion import reaction_diffusion_loss

__all__ = ["mass", "phase_order_nll", "reaction_diffusion_loss"]
