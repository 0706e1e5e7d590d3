"""What finished fields show, whatever law they should obey."""

from physgen.measure.degenerate import degenerate, noise_level

__all__ = ["degenerate", "noise_level"]
