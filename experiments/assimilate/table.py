"""Tables of the assimilation benchmark: every arm, and what model, law and both are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physgen.experiments.assimilate.arms import (
    AFTER,
    BEST,
    BETWEEN,
    BOTH,
    FORWARD,
    FREE,
    INSIDE,
    LAW,
    MEANS,
    MODEL,
    PEERS,
    TUNED,
    TUNED_BOTH,
)
from physgen.experiments.measure.intervals import Interval, mean_interval, student_interval
from physgen.experiments.measure.tables import Cell, Table, publish
from physgen.experiments.runs.progress import Record, write_records

Array = npt.NDArray[np.float64]

#: arms that are compared: the first one against the better of the others, on average
COMPARED = {
    "model and law against the better free arm": (BOTH, (FREE, BEST)),
    "model and law against the better of model and law alone": (BOTH, (MODEL, LAW)),
    "law on the way as well against model and law": (INSIDE, (BOTH,)),
    "model against the law alone": (MODEL, (LAW,)),
    "model against interpolation": (MODEL, (BETWEEN,)),
    "fine-tuned against the model": (TUNED, (MODEL,)),
    "fine-tuned against interpolation": (TUNED, (BETWEEN,)),
    "law alone against interpolation": (LAW, (BETWEEN,)),
    "model against the best peer, of single samples": (MODEL, PEERS),
    "forward against backward": (FORWARD, (MODEL,)),
}


def report(records: Sequence[Record], out: Path) -> None:
    """Write ``assimilate.json`` and ``assimilate.md``, and print the tables."""
    write_records(out / "assimilate.json", list(records))
    publish(out / "assimilate.md", tables(records))


def tables(records: Sequence[Record]) -> list[Table]:
    """One table of comparisons, then one of arms for each family and observation."""
    groups = list(dict.fromkeys((one["family"], one["observation"]) for one in records))
    parts = {group: [one for one in records if (one["family"], one["observation"]) == group] for group in groups}
    return [comparisons(parts), *(arms_table(*group, part) for group, part in parts.items())]


def column(records: Sequence[Record], arm: str, key: str) -> Array:
    """A figure of every prompt, in their order; NaN where there is none."""
    rows = sorted((one for one in records if one["arm"] == arm), key=lambda one: one["index"])
    return np.array([one.get(key, np.nan) for one in rows], float)


def comparisons(parts: Mapping[tuple[str, str], Sequence[Record]]) -> Table:
    """How much less error an arm has than the better of others, see `less`; the better one has the smaller mean."""
    rows: list[list[Cell]] = []
    for (family, observation), records in parts.items():
        for words, (arm, others) in COMPARED.items():
            key = "single" if others == PEERS else "rmse"
            mine = column(records, arm, key)
            known = {other: column(records, other, key) for other in others}
            known = {other: values for other, values in known.items() if len(values) == len(mine)}
            if not len(mine) or not known:
                continue
            best = min(known, key=lambda other: float(known[other].mean()))
            rows.append([family, observation, words, best, less(mine, known[best])])
    return Table(
        "Hidden RMSE: how much less it is, as a share",
        ["family", "observation", "comparison", "other", "less by"],
        rows,
    )


def less(mine: Array, other: Array) -> Interval:
    """1 - the geometric mean of mine / other, with Student's 95 % interval of the logarithms.

    >>> less(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0]))
    Interval(estimate=0.5, low=0.5, high=0.5)
    """
    found = ratio(np.log(mine / other))
    return Interval(1 - found.estimate, 1 - found.high, 1 - found.low)


def ratio(logarithms: Array) -> Interval:
    """A geometric mean, from logarithms, with Student's 95 % interval.

    >>> ratio(np.log([2.0, 8.0])).estimate
    4.0
    """
    found = student_interval(logarithms)
    return Interval(float(np.exp(found.estimate)), float(np.exp(found.low)), float(np.exp(found.high)))


def arms_table(family: str, observation: str, records: Sequence[Record]) -> Table:
    """Means over prompts with 95 % bootstrap intervals; constants as the median of |log theta / theta*|."""
    constants = sorted({key for one in records for key in one if key.startswith("log_")})
    known = [BETWEEN, MEANS, LAW, FREE, BEST, *PEERS, MODEL, FORWARD, AFTER, BOTH, INSIDE, TUNED, TUNED_BOTH]
    names = [name for name in known if any(one["arm"] == name for one in records)]
    names += sorted({one["arm"] for one in records} - set(names))
    rows: list[list[Cell]] = []
    for arm in names:
        rmse = column(records, arm, "rmse")
        row: list[Cell] = [arm, float(len(rmse)), float(column(records, arm, "samples").mean()), mean_interval(rmse)]
        row += [mean_interval(column(records, arm, key)) for key in ("single", "crps")]
        row += [_mean(column(records, arm, key)) for key in ("cover90", "due90", "wide50", "wide90", "skill")]
        row += [
            float(np.nanmedian(v)) if np.isfinite(v := column(records, arm, key)).any() else "-" for key in constants
        ]
        row += [_mean(column(records, arm, key)) for key in ("missed", "invented", "seconds")]
        rows.append(row)
    heads = [
        "arm",
        "prompts",
        "samples",
        "RMSE of the mean",
        "of one sample",
        "CRPS",
        "in 50 %",
        "in 90 %",
        "due",
        "skill",
    ]
    return Table(f"{family}, {observation}", [*heads, *constants, "missed", "invented", "seconds a sample"], rows)


def _mean(values: Array) -> Cell:
    return float(np.nanmean(values)) if np.isfinite(values).any() else "-"
