"""Guidance injected into other libraries' samplers."""

from physgen.adapters.callback import as_callback
from physgen.adapters.diffusers import guide
from physgen.adapters.session import GuidanceLog

__all__ = ["GuidanceLog", "as_callback", "guide"]
