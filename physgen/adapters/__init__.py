"""Guidance injected into other libraries' samplers."""

from physgen.adapters.diffusers import GuidanceLog, guide

__all__ = ["GuidanceLog", "guide"]
