"""The constraints as measuring devices: mass, reaction and diffusion, order of phases, the arrow of time."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from physgen.audit import measure
from physgen.constraints import MassConservation, PhaseOrder
from physgen.constraints.mitosis.classifier import PHASES
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.measure.laws import gray_scott_residual, growth_residual, heat_residual

_MASS, _PHASE_ORDER = MassConservation(), PhaseOrder()


def mass(clip: Clip) -> float:
    """Largest residual of `MassConservation`."""
    return float(measure(_tensor(clip.field), _MASS, clip.grid, tolerance=0.0).residual_max)


def reaction_diffusion(clip: Clip) -> float:
    """Residual of the family's equation: heat and Fisher-KPP in weak form and fitted, Gray-Scott as a flow map.

    See `physgen.experiments.measure.laws`; Gray-Scott has the constants of the pattern that is asked for.
    """
    assert clip.subject
    if clip.subject.family == "dye":
        return heat_residual(clip.field, clip.grid)["residual"]
    if clip.subject.family == "growth":
        return growth_residual(clip.field, clip.grid)["residual"]
    return gray_scott_residual(clip.fields, clip.subject.attributes["pattern"], clip.grid.dt)


def phase_order(clip: Clip) -> float:
    """Residual of `PhaseOrder`."""
    return float(measure(_tensor(clip.field), _PHASE_ORDER, clip.grid, tolerance=0.0).residual_max)


def phases(clip: Clip) -> float:
    """Phases that no frame shows."""
    named = _PHASE_ORDER.violations(_tensor(clip.field), clip.grid)[0].named
    return float(len(PHASES) - len(set(named)))


def arrow(clip: Clip) -> float:
    """Largest step back of what only rises, relative to its range: evenness of dye, cells, area of a pattern.

    Of vesicles their membrane only falls.
    """
    assert clip.subject
    if clip.subject.family == "dye":
        rising = -clip.field.var((1, 2))
    elif clip.subject.family == "growth":
        rising = clip.field.mean((1, 2))
    elif clip.subject.family == "vesicles":
        rising = -clip.fields[1].mean((1, 2))
    else:
        smooth = gaussian_filter(clip.field, (0, 4, 4), mode="wrap")
        rising = np.minimum(smooth, 0.1).mean((1, 2))
    return float((np.maximum.accumulate(rising) - rising).max() / max(np.ptp(rising), 1e-9))


def extrema(clip: Clip) -> float:
    """Largest rise of the highest value, or fall of the lowest one, relative to the range of the first frame."""
    low, high = np.quantile(gaussian_filter(clip.field, (0, 1, 1)), [0.005, 0.995], axis=(1, 2))
    rise = (high - np.minimum.accumulate(high)).max()
    fall = (np.maximum.accumulate(low) - low).max()
    return float(max(rise, fall) / max(high[0] - low[0], 1e-9))


def bounds(clip: Clip) -> float:
    """How far the field is below 0 or above 1, at the thousandth of the pixels that is farthest; 0 where it is not.

    Read from the file, which by itself takes a field that touches 0 or 1 up to 0.014 beyond (Gray-Scott patterns).
    """
    low, high = np.quantile(clip.field, [0.001, 0.999])
    return float(max(-low, high - 1.0, 0.0))


def _tensor(field: Array) -> torch.Tensor:
    """``[1, 1, T, H, W]`` of ``[T, H, W]``."""
    return torch.from_numpy(field)[None, None]
