"""What a measurement says of a law, in words."""

from __future__ import annotations

from collections.abc import Mapping

from physgen.audit import Measurement
from physgen.constraints import Constraint, MassConservation, PhaseOrder
from physgen.constraints.fit import Fit
from physgen.constraints.mass.conservation import NEGATIVE
from physgen.experiments.audit.cells import order_in_words
from physgen.experiments.pages.numbers import number, percent


def say(name: str, law: Constraint, report: Measurement, units: Mapping[str, str]) -> str:
    """One sentence on a law in one video: whether it holds, its constants with 95 % intervals, or why nothing is said.

    >>> say("mass", MassConservation(), Measurement(0.004, 0.016, 0.05, True), {"length": "µm", "time": "s"})
    'conserved within 1.6 %'
    """
    fit = report.fit
    if report.degenerate in ("empty", "uniform", "frozen", "saturated"):
        return f"not measured: the video is {report.degenerate}"
    if isinstance(law, MassConservation):
        return _mass(report, units)
    if reasons := [reason for reason in fit.reason if reason]:
        return f"not measured: {reasons[0].replace('the law', name)}"
    if isinstance(law, PhaseOrder):
        order, ratio, gap = (report.reading[key][0] for key in ("order", "log_ratio", "gap"))
        in_order = report.satisfied and order != "several cells"
        return "phases in order" if in_order else order_in_words(order, ratio, gap)
    if fit.values:
        return f"explains {percent(fit.explained[0])} of the motion: {_constants(fit, units)}"
    held = "holds" if report.satisfied else "violated"
    return f"{held}: residual {number(report.residual_rms)} rms, {number(report.residual_max)} at most"


def _mass(report: Measurement, units: Mapping[str, str]) -> str:
    fit, most = report.fit, percent(report.residual_max)
    if NEGATIVE in fit.reason:
        return f"not measured: {NEGATIVE}"
    text = f"conserved within {most}" if report.satisfied else f"not conserved: off by up to {most}"
    if "bleaching_rate" not in fit.values:
        return text
    if fit.reason[0]:
        return f"{text}; {fit.reason[0]}"
    rates = zip(fit.values["bleaching_rate"][0], fit.intervals["bleaching_rate"][0], strict=True)
    listed = ", ".join(f"{number(rate)} [{number(low)}, {number(high)}]" for rate, (low, high) in rates)
    return f"{text}, beside bleaching at a rate of {listed} 1/{units['time']}"


def _constants(fit: Fit, units: Mapping[str, str]) -> str:
    """Values of the first sample with their intervals and, of diffusivities, units."""
    parts = []
    for name, values in fit.values.items():
        low, high = fit.intervals[name][0]
        unit = f" {units['length']}²/{units['time']}" if name.startswith("D_") else ""
        parts.append(f"{name} = {number(values[0])} [{number(low)}, {number(high)}]{unit}")
    return ", ".join(parts)
