"""What was imposed against what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from physgen.experiments.measure.intervals import Interval, bootstrap
from physgen.experiments.measure.tables import Cell, Table, publish
from physgen.experiments.runs.progress import Record, write_records

Array = npt.NDArray[np.float64]

SIMULATOR = "simulator"
DRAWS = 2000


@dataclass(frozen=True)
class Line:
    """Readings of a sampler against the simulator's mean reading at the same setting, all settings and seeds.

    A simulator's reading is against the mean of its other seeds: against a mean that it is part of, the slope is 1.
    """

    slope: Interval
    r2: float
    error: float
    count: int


def report(records: Sequence[Record], out: Path) -> None:
    """Write ``dial.json``, ``dial.md`` and ``dial.png``, and print the table."""
    write_records(out / "dial.json", list(records))
    dials = list(dict.fromkeys(one["dial"] for one in records))
    publish(out / "dial.md", [table(name, [one for one in records if one["dial"] == name]) for name in dials])
    draw([[one for one in records if one["dial"] == name] for name in dials], out / "dial.png")


def truths(records: Sequence[Record]) -> dict[float, float]:
    """The simulator's mean reading at each setting."""
    settings = sorted({one["setting"] for one in records})
    return {
        value: float(np.nanmean([r["reading"] for r in records if (r["arm"], r["setting"]) == (SIMULATOR, value)]))
        for value in settings
    }


def line(truth: Array, reading: Array) -> Line:
    """Least-squares line through readings, its R^2, and the RMS error relative to the truth; NaN are left out.

    Fewer than two readings have no line.

    >>> truth = np.linspace(1.0, 2.0, 16)
    >>> found = line(truth, 0.5 * truth + 0.1)
    >>> round(found.slope.estimate, 6), round(found.r2, 6), round(found.error, 2)
    (0.5, 1.0, 0.43)
    """
    seen = np.isfinite(truth + reading)
    truth, reading = truth[seen], reading[seen]
    if len(truth) < 2:
        return Line(Interval(np.nan, np.nan, np.nan), np.nan, np.nan, len(truth))

    def slope(rows: npt.NDArray[np.int64]) -> float:
        return float(np.polyfit(truth[rows], reading[rows], 1)[0])

    left = reading - np.polyval(np.polyfit(truth, reading, 1), truth)
    r2 = 1 - float(left @ left) / float(((reading - reading.mean()) ** 2).sum())
    error = float(np.sqrt(np.mean((reading / truth - 1) ** 2)))
    return Line(bootstrap(slope, len(truth), seed=0, draws=DRAWS), r2, error, len(truth))


def lines(records: Sequence[Record]) -> dict[str, Line]:
    """The line of every sampler of one dial."""
    truth = truths(records)
    found = {}
    for arm in dict.fromkeys(one["arm"] for one in records):
        rows = [one for one in records if one["arm"] == arm]
        x = others(rows) if arm == SIMULATOR else [truth[one["setting"]] for one in rows]
        found[arm] = line(np.array(x), np.array([one["reading"] for one in rows]))
    return found


def others(rows: Sequence[Record]) -> list[float]:
    """Of each reading the mean of those at the same setting with other seeds; NaN where there are none.

    >>> others([{"setting": 1.0, "seed": seed, "reading": reading} for seed, reading in enumerate([2.0, 4.0, 6.0])])
    [5.0, 4.0, 3.0]
    """
    beside = [
        [r["reading"] for r in rows if r["setting"] == one["setting"] and r["seed"] != one["seed"]] for one in rows
    ]
    return [float(np.nanmean(found)) if np.isfinite(found).any() else np.nan for found in beside]


def table(name: str, records: Sequence[Record]) -> Table:
    """Slope with a 95 % bootstrap interval, R^2 and relative error of every sampler."""
    rows: list[list[Cell]] = [[arm, f.slope, f.r2, f.error, str(f.count)] for arm, f in lines(records).items()]
    settings = len({one["setting"] for one in records})
    title = f"{name}: {settings} settings, read by an estimator that the constraint does not use"
    return Table(title, ["sampler", "slope against the simulator", "R²", "RMS error, relative", "read"], rows)


def draw(dials: Sequence[Sequence[Record]], path: Path) -> None:
    """Readings of every sampler against the simulator's, a panel a dial."""
    figure = Figure((2.9 * len(dials), 3.6), layout="constrained")
    styles = dict(
        zip(lines(dials[0]), (("x", "#999999"), ("+", "#000000"), ("s", "#e69f00"), ("o", "#0072b2")), strict=True)
    )
    for axes, records in zip(np.atleast_1d(figure.subplots(1, len(dials))), dials, strict=True):
        truth = truths(records)
        ends = [min(truth.values()), max(truth.values())]
        axes.plot(ends, ends, color="black", linewidth=1)
        for arm, (mark, colour) in styles.items():
            rows = [one for one in records if one["arm"] == arm]
            x, y = [truth[one["setting"]] for one in rows], [one["reading"] for one in rows]
            axes.plot(x, y, mark, color=colour, label=arm, markerfacecolor="none", alpha=0.8)
        unit = records[0]["unit"]
        axes.set(title=records[0]["dial"], xlabel=f"simulator ({unit})", ylabel=f"measured ({unit})")
        axes.locator_params(nbins=5)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=200)
