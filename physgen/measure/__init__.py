"""What finished fields show, whatever law they should obey, and what moves in movies."""

from physgen.measure.cells import Cell, find_cells
from physgen.measure.degenerate import degenerate, noise_level
from physgen.measure.diffusion import Diffusion, measure_diffusion
from physgen.measure.faults import Sign, find_faults
from physgen.measure.flow import Flow, measure_flow
from physgen.measure.kymograph import Streak, draw_kymograph, measure_streaks
from physgen.measure.lineage import Lineage, measure_cells
from physgen.measure.linking import Links, link_spots
from physgen.measure.piv import Field, correlate_windows
from physgen.measure.recovery import Exchange, Recovery, fit_exchange, fit_recovery
from physgen.measure.regions import Regions, measure_regions
from physgen.measure.spots import Spots, find_spots
from physgen.measure.spread import front_advance, mean_squared_width
from physgen.measure.traces import change_from_baseline, find_bleached, trace_region
from physgen.measure.tracks import Tracks, measure_tracks

__all__ = [
    "Cell",
    "Diffusion",
    "Exchange",
    "Field",
    "Flow",
    "Lineage",
    "Links",
    "Recovery",
    "Regions",
    "Sign",
    "Spots",
    "Streak",
    "Tracks",
    "change_from_baseline",
    "correlate_windows",
    "degenerate",
    "draw_kymograph",
    "find_bleached",
    "find_cells",
    "find_faults",
    "find_spots",
    "fit_exchange",
    "fit_recovery",
    "front_advance",
    "link_spots",
    "mean_squared_width",
    "measure_cells",
    "measure_diffusion",
    "measure_flow",
    "measure_regions",
    "measure_streaks",
    "measure_tracks",
    "noise_level",
    "trace_region",
]
