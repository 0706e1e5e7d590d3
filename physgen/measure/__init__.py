"""What finished fields show, whatever law they should obey."""

from physgen.measure.cells import Cell, find_cells
from physgen.measure.degenerate import degenerate, noise_level

__all__ = ["Cell", "degenerate", "find_cells", "noise_level"]
