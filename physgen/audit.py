"""Constraints as instruments: what a finished video violates, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite, floating
from physgen.constraints.base import Constraint
from physgen.constraints.fit import Fit, unexplained
from physgen.constraints.names import Laws, name_laws
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.measure.degenerate import degenerate
from physgen.observables import Observable, observe

#: three times the 1.6 % sd of total intensity about its trend in a real GFP-histone movie
MICROSCOPY_NOISE = 0.05
#: what a float32 video can hold
FLOAT_PRECISION = 1e-6


def check_video(video: Float[Tensor, "B C T H W"]) -> None:
    """Refuse a video, or fields, that no constraint can measure: one frame, values that are not finite.

    >>> check_video(torch.zeros(1, 3, 1, 8, 8))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: frames=1: allowed: at least 2
    """
    if video.shape[2] < 2:
        raise InvalidArgument("frames", video.shape[2], "at least 2")
    if not torch.isfinite(video).all():
        raise InvalidArgument("video", "NaN or Inf", "finite pixels")


@dataclass(frozen=True)
class Measurement:
    """What a video violates of one constraint, in float64.

    Attributes:
        residual_rms, residual_max: dimensionless; an inequality counts only where it is violated.
        tolerance: that the residual is held against, that of `Constraint.true_within` where this is larger; None where
            none applies, see `Constraint.tolerates`.
        satisfied: whether the law holds, in a video that is not degenerate.
        degenerate: why nothing can be said of the law: ``empty``, ``uniform``, ``frozen``, see
            `physgen.measure.degenerate`; what the caller found, such as ``saturated``; or ``unexplained``: its own
            constants explain less than half of the motion.
        fit: the constraint's fitted constants.
        reading: what else it reads off the video, see `Constraint.describe`.
    """

    residual_rms: float
    residual_max: float
    tolerance: float | None
    satisfied: bool
    degenerate: str | None = None
    fit: Fit = field(default_factory=Fit)
    reading: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The measurement as ``metrics.json`` has it: a fit of nothing is null."""
        return asdict(self) | {"fit": asdict(self.fit) if self.fit.values else None}


def audit(
    video: Float[Tensor, "1 3 T H W"], observable: Observable, constraints: Laws, grid: Grid, *, tolerance: float
) -> dict[str, Measurement]:
    """Residual of every constraint on a finished video ``[1, 3, T, H, W]`` in [0, 1], in double precision, by name.

    Raises: InvalidArgument, see `check_video`.

    >>> from physgen.constraints import MassConservation
    >>> from physgen.observables import Intensity
    >>> fading = torch.tensor([0.6, 0.4]).view(1, 1, 2, 1, 1).expand(1, 3, 2, 4, 4)
    >>> grid = Grid(spacing=(2.0, 2.0), dt=0.5)
    >>> found = audit(fading, Intensity(), MassConservation(), grid, tolerance=0.05)
    >>> round(found["mass"].residual_max, 6), found["mass"].satisfied
    (0.2, False)
    """
    if floating("video", video, "[1, 3, T, H, W] in [0, 1]").ndim != 5 or len(video) != 1:
        raise InvalidArgument("video", video, "one video [1, 3, T, H, W]")
    check_video(video)
    fields = observe(observable, video.double())
    nothing = degenerate(fields, observable.least)[0]
    return {
        name: measure(fields, law, grid, tolerance=tolerance, nothing=nothing)
        for name, law in name_laws(constraints).items()
    }


def measure(
    fields: Float[Tensor, "1 S T H W"],
    constraint: Constraint,
    grid: Grid,
    *,
    tolerance: float,
    nothing: str | None = None,
    doubt: str | None = None,
) -> Measurement:
    """Residual of one constraint on fields ``[1, S, T, H, W]``, see `audit`; ``nothing``: why they are degenerate.

    ``doubt``: why constants mean nothing though the fields show something, such as frames that are shown twice.

    >>> from physgen.constraints import MassConservation
    >>> fading = torch.tensor([0.6, 0.4]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)
    >>> grid = Grid(spacing=(2.0, 2.0), dt=0.5)
    >>> measure(fading, MassConservation(), grid, tolerance=0.05).satisfied
    False
    """
    tolerance = finite("tolerance", tolerance, "a number >= 0", lambda value: value >= 0)
    residual = constraint.residual(fields, grid)
    size = residual.clamp(min=0) if constraint.kind == "inequality" else residual.abs()
    largest, fit = size.max().item(), constraint.fit(fields, grid)
    why = nothing or unexplained(fit)
    if nothing and fit.values:
        fit = replace(fit, measured=[False], reason=[f"the video is {nothing}"])
    elif doubt and fit.values and not any(fit.reason):
        fit = replace(fit, measured=[False], reason=[doubt])
    tolerance = max(tolerance, constraint.true_within or 0.0)
    if constraint.tolerates and constraint.true_within is None:
        held = largest <= tolerance
    else:
        held = bool(constraint.satisfied(fields, grid, tolerance).all())
    return Measurement(
        residual_rms=size.square().mean().sqrt().item(),
        residual_max=largest,
        tolerance=tolerance if constraint.tolerates else None,
        satisfied=held and why is None,
        degenerate=why,
        fit=fit,
        reading=constraint.describe(fields, grid),
    )


def mass_balance(
    video: Float[Tensor, "1 3 T H W"], observable: Observable, grid: Grid, *, scale: float = 1.0
) -> dict[str, dict[str, Any]]:
    """Mass over time of every species, ``m(t) = scale * sum_x c(x, t) dA``, and how it changes.

    Per species: ``mass`` ``[T]`` in the observable's unit times µm²; ``drift = max_t |m(t) - m(0)| / m(0)``;
    ``change = m(T) / m(0) - 1``; ``detrended_sd``, the relative sd about the fitted exponential; ``bleaching_rate``
    k of ``m(t) = m0 exp(-k t)`` in 1/s, by least squares on ``log m``. A species whose mass begins below a thousandth
    of the largest one's, or reaches zero, has ``None`` for what cannot be said; so has every species of a single frame.

    ``scale`` turns the observable's unit into the file's own counts.

    >>> from physgen.observables import Intensity
    >>> fading = torch.tensor([0.6, 0.3]).view(1, 1, 2, 1, 1).expand(1, 3, 2, 4, 4)
    >>> balance = mass_balance(fading, Intensity(), Grid(spacing=(2.0, 2.0), dt=0.5))["intensity"]
    >>> round(balance["mass"][0], 4), round(balance["drift"], 6), round(balance["bleaching_rate"], 4)
    (38.4, 0.5, 1.3863)
    """
    return fields_mass(observable(video.double()), observable.species, grid, scale=scale)


def fields_mass(
    fields: Float[Tensor, "1 S T H W"],
    species: Sequence[str],
    grid: Grid,
    *,
    scale: float = 1.0,
    times: Sequence[float] | None = None,
) -> dict[str, dict[str, Any]]:
    """Mass over time of fields ``[1, S, T, H, W]``, see `mass_balance`; ``times`` in s, where not one dt apart.

    >>> fields = torch.tensor([0.6, 0.3]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)
    >>> balance = fields_mass(fields, ["dye"], Grid(spacing=(2.0, 2.0), dt=0.5), times=[0.0, 5.0])["dye"]
    >>> round(balance["mass"][0], 4), round(balance["bleaching_rate"], 4)
    (38.4, 0.1386)
    """
    mass = (scale * grid.cell_area * fields.detach().sum((-1, -2)))[0].double().cpu().numpy()
    stamps = [grid.dt * t for t in range(mass.shape[1])] if times is None else times
    time = np.asarray(stamps, dtype=np.float64)
    present = mass[:, 0] > 1e-3 * np.abs(mass).max()
    return {
        name: {"mass": series.tolist(), **(_trend(series, time) if there else dict.fromkeys(TREND))}
        for name, series, there in zip(species, mass, present, strict=True)
    }


TREND = ("drift", "change", "detrended_sd", "bleaching_rate")


def _trend(mass: npt.NDArray[np.float64], time: npt.NDArray[np.float64]) -> dict[str, float | None]:
    result: dict[str, float | None] = {
        "drift": float(np.abs(mass / mass[0] - 1).max()),
        "change": float(mass[-1] / mass[0] - 1),
        "detrended_sd": None,
        "bleaching_rate": None,
    }
    if len(mass) > 1 and np.all(mass > 0):
        slope, intercept = np.polyfit(time, np.log(mass), 1)
        result["detrended_sd"] = float(np.std(mass / np.exp(intercept + slope * time) - 1))
        result["bleaching_rate"] = float(-slope)
    return result
