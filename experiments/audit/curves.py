"""The curve that belongs to a law: what a video shows over time, and what the law says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from physgen.audit import Measurement
from physgen.constraints import Constraint, Kinetics, MassConservation, PhaseOrder, ReactionDiffusion
from physgen.constraints.mitosis.classifier import PHASES
from physgen.equations import reaction_system
from physgen.experiments.audit.fields import Fields
from physgen.experiments.pages.charts import Chart, Series
from physgen.experiments.pages.numbers import number
from physgen.experiments.pages.ribbon import Ribbon
from physgen.measure import front_advance, mean_squared_width

#: share of the values of the last frame that are above what counts as its largest
BRIGHTEST = 0.005


def draw_curve(
    name: str, law: Constraint, report: Measurement, read: Fields, times: Sequence[float | int]
) -> Chart | Ribbon | None:
    """The curve of a law, from frames at ``times``; None of a video that shows nothing, and of mass, which all have."""
    if report.degenerate in ("empty", "uniform", "frozen", "saturated") or isinstance(law, MassConservation):
        return None
    if isinstance(law, PhaseOrder):
        why = report.reading["order"][0]
        shown = {key: report.reading[key][0] for key in ("path", "named")}
        return None if why in ("nothing", "several cells") else phase_ribbon(name, law, shown, times, read.units)
    if isinstance(law, Kinetics):
        return kinetics_trace(name, law, report, read, times)
    if isinstance(law, ReactionDiffusion) and len(law.system.species) == 1 and read.grid.boundary != "dirichlet":
        if not any(law.system.rates):
            return spread_curve(name, law, report, read, times)
        if law.system == reaction_system("fisher_kpp"):
            return front_curve(name, law, report, read, times)
    return unexplained_curve(name, law, report, read, times)


def mass_curve(
    title: str,
    laws: Mapping[str, tuple[Constraint, Measurement]],
    mass: Mapping[str, Mapping[str, Any]],
    read: Fields,
    times: Sequence[float | int],
) -> Chart:
    """Mass of each species, and that of a law without inflow and sources: m0 exp(-k t)."""
    lines = [Series(species, times, values["mass"], dots=True) for species, values in mass.items()]
    for name, (law, report) in laws.items():
        fit = report.fit.values
        if not isinstance(law, MassConservation) or law.source or law.inflow.any() or "initial_mass" not in fit:
            continue
        conserved = [species for n, species in enumerate(mass) if law.species is None or n in law.species]
        rates = fit["bleaching_rate"][0] if "bleaching_rate" in fit else [0.0] * len(conserved)
        lines += [
            Series(f"{species}, {name}", times, [read.counts * m0 * math.exp(-k * (t - times[0])) for t in times])
            for species, m0, k in zip(conserved, fit["initial_mass"][0], rates, strict=True)
        ]
    return Chart(f"Mass in the frame, {title}", _time(read), f"mass ({read.units['mass']})", lines, from_zero=True)


def spread_curve(
    name: str, law: ReactionDiffusion, report: Measurement, read: Fields, times: Sequence[float | int]
) -> Chart:
    """What the mean squared width gained since the first frame, and the law: D times `mean_squared_width`'s gain.

    4 D t, less what the walls hold back.
    """
    width, gain = mean_squared_width(read.values[0, 0], read.grid)
    lines = [Series("measured", times, (width - width[0]).tolist(), dots=True)]
    unit = f"{read.units['length']}²"
    if constants := _constants(law, report):
        (diffusivity,) = constants[0].values()
        gained = [0.0, *torch.cumulative_trapezoid(gain, torch.tensor(times, dtype=torch.float64)).tolist()]
        words = f"4 D t within the walls, D = {number(diffusivity, f'{unit}/' + read.units['time'])}"
        lines.append(Series(words, times, [diffusivity * one for one in gained]))
    return Chart(f"Mean squared width, {name}", _time(read), f"squared width gained ({unit})", lines, from_zero=True)


def front_curve(
    name: str, law: ReactionDiffusion, report: Measurement, read: Fields, times: Sequence[float | int]
) -> Chart:
    """How far the line at half the capacity went, and a flat front of the law, which goes 2 sqrt(r D) a second.

    Half of the brightest where the capacity is not reached: far ahead of it every level moves alike.

    Source: Kolmogorov, Petrovsky and Piskunov (1937); Fisher (1937), Annals of Eugenics 7:355.
    """
    field = read.values[0, 0]
    constants = _constants(law, report)
    brightest = float(np.quantile(field[-1].numpy(), 1 - BRIGHTEST))
    level = min(constants[1]["K"] if constants else math.inf, brightest) / 2
    gone = front_advance(field, level, read.grid)
    unit = read.units["length"]
    lines = [Series(f"measured, at {number(level * read.counts, _unit(read))}", times, gone.tolist(), dots=True)]
    if constants:
        (diffusivity,), growth = constants[0].values(), constants[1]["r"]
        speed = 2 * math.sqrt(diffusivity * growth)
        words = f"2 √(r D) t of a flat front, {number(speed, unit + '/' + read.units['time'])}"
        lines.append(Series(words, times, [speed * (t - times[0]) for t in times]))
    return Chart(f"Front, {name}", _time(read), f"advance of the front ({unit})", lines, from_zero=True)


def phase_ribbon(
    title: str, law: PhaseOrder, shown: Mapping[str, list[int]], times: Sequence[float | int], units: Mapping[str, str]
) -> Ribbon:
    """Phases frame by frame, the most probable path, and the steps between frames that the order forbids."""
    named = shown["named"]
    illegal = [t for t, (before, after) in enumerate(pairwise(named), start=1) if not law.allowed[before, after]]
    return Ribbon(f"Phases, {title}", f"time ({units['time']})", times, PHASES, shown["path"], named, illegal)


def kinetics_trace(name: str, law: Kinetics, report: Measurement, read: Fields, times: Sequence[float | int]) -> Chart:
    """Mean amount of each species, and the trajectory of the law."""
    held = law.with_constants(report.fit) if report.fit.values else law
    measured, expected = (read.counts * part[0] for part in held.amounts(read.values, read.grid))
    lines = [
        Series(f"{species}, measured", times, values.tolist(), dots=True)
        for species, values in zip(law.compartments.species, measured, strict=True)
    ]
    if all(report.fit.measured):
        lines += [
            Series(f"{species}, the law", times, values.tolist())
            for species, values in zip(law.compartments.species, expected, strict=True)
        ]
    return Chart(f"Trace, {name}", _time(read), f"mean amount ({_unit(read)})", lines, from_zero=True)


def unexplained_curve(
    name: str, law: Constraint, report: Measurement, read: Fields, times: Sequence[float | int]
) -> Chart | None:
    """Root mean square of a residual ``[B, S, T, ...]`` frame by frame, for a law without a curve of its own."""
    held = law.with_constants(report.fit) if report.fit.values else law
    residual = held.residual(read.values, read.grid)[0]
    if residual.ndim < 2 or not 1 < residual.shape[1] <= len(times):
        return None
    size = residual.flatten(2).square().mean(2).sqrt() if residual.ndim > 2 else residual.abs()
    species = read.observable.species if len(size) == len(read.observable.species) else range(len(size))
    ends = times[len(times) - size.shape[1] :]
    lines = [Series(str(one), ends, values.tolist()) for one, values in zip(species, size, strict=True)]
    return Chart(f"Residual, {name}", _time(read), "residual, rms", lines, from_zero=True)


def _constants(law: ReactionDiffusion, report: Measurement) -> tuple[dict[str, float], dict[str, float]] | None:
    """Diffusivities and parameters, given or fitted; None where the video does not carry them."""
    fit = report.fit
    if not all(fit.measured):
        return None
    return law.constants.of_sample(0, 1).complete({name: values[0] for name, values in fit.values.items()})


def _time(read: Fields) -> str:
    return f"time ({read.units['time']})"


def _unit(read: Fields) -> str:
    return read.observable.unit if read.dye else "counts"
