"""What finished fields show, whatever law they should obey."""

from physgen.measure.cells import Cell, find_cells
from physgen.measure.degenerate import degenerate, noise_level
from physgen.measure.motion import front_advance, mean_squared_width

__all__ = ["Cell", "degenerate", "find_cells", "front_advance", "mean_squared_width", "noise_level"]
