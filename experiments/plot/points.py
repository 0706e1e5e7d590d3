"""From the tidy table to points: the mean over seeds of two columns, with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.measure.intervals import Array, Interval, interval_of_runs

#: columns of the tidy table that name a run and are no setting
ABOUT = ("run", "version", "git_sha", "world_label", "metric", "value")


@dataclass(frozen=True)
class Point:
    """Runs that differ by their seed alone: ``x [n]``, text where it is no number, and ``y [n]``."""

    facet: tuple[str, ...]
    colour: str
    x: Array | str
    y: Array

    @property
    def across(self) -> Interval:
        """Mean of ``x``; without an interval where it is the same in every run."""
        assert not isinstance(self.x, str)
        return interval_of_runs(self.x) if np.ptp(self.x) else Interval(float(self.x[0]), np.nan, np.nan)

    @property
    def up(self) -> Interval:
        """Mean of ``y`` with its 95 % bootstrap interval, without one for a single run."""
        return interval_of_runs(self.y)


def points(
    rows: Iterable[dict[str, Any]], x: str, y: str, *, colour: str | None = None, facets: Sequence[str] = ()
) -> list[Point]:
    """Group a tidy table's runs by colour, facet and, where the sweep sets it, ``x``.

    A run that does not have both numbers, or not as finite ones, is in no point.

    Raises:
        InvalidArgument: a column that is not there, one that is no number where it must be, no run that has both, or a
            further key that differs between the runs of a point.

    >>> rows = [{"run": s + a, "seed": s, "arm": a, "metric": "m", "value": float(s)} for s in "012" for a in "ab"]
    >>> [(point.x, point.up.estimate) for point in points(rows, "arm", "m")]
    [('a', 1.0), ('b', 1.0)]
    """
    runs = wide(rows)
    settings = list(runs[0].settings)
    metrics = sorted({name for run in runs for name in run.numbers})
    for name, column in (("x", x), ("y", y)):
        if column not in [*settings, *metrics]:
            close = get_close_matches(column, [*settings, *metrics], 3, 0.5)
            allowed = (
                f"{', '.join(settings)} or one of {len(metrics)} numbers, listed in the table of `physgen results`"
            )
            raise InvalidArgument(name, column, allowed + (f" (did you mean {' or '.join(close)}?)" if close else ""))
    for name, key in (("colour", colour), *(("facets", facet) for facet in facets)):
        if key is not None and key not in settings:
            raise one_of(name, key, settings)
    numeric = all(is_number(run.value(x)) for run in runs if run.value(x) is not None)
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        if run.value(x) is None or run.value(y) is None:
            continue
        if not is_number(run.value(y)):
            raise InvalidArgument("y", y, "a column of numbers")
        facet = tuple(run.settings[key] for key in facets)
        groups[facet, run.settings[colour] if colour else "", run.settings.get(x, "")].append(run)
    if not groups:
        raise InvalidArgument("x, y", (x, y), "two columns that one and the same run has")
    for group in groups.values():
        for key in settings:
            if key not in ("seed", x, y) and len(values := {run.settings[key] for run in group}) > 1:
                remedy = f"one value in a point: give {key} as x, colour or facets"
                raise InvalidArgument(key, ", ".join(sorted(values)), remedy)
    return [
        Point(
            facet,
            shade,
            np.array([float(run.value(x)) for run in group]) if numeric else str(group[0].value(x)),
            np.array([float(run.value(y)) for run in group]),
        )
        for (facet, shade, _), group in groups.items()
    ]


@dataclass(frozen=True)
class Run:
    """A run's settings, and its numbers."""

    settings: dict[str, str]
    numbers: dict[str, float]

    def value(self, column: str) -> Any:
        """Of a column; ``None`` where there is none or it is not finite."""
        if column in self.settings:
            return self.settings[column]
        number = self.numbers.get(column)
        return number if number is not None and np.isfinite(number) else None


def wide(rows: Iterable[dict[str, Any]]) -> list[Run]:
    """A tidy table, a run a row."""
    found: dict[str, Run] = {}
    for row in rows:
        settings = {key: str(value) for key, value in row.items() if key not in ABOUT}
        found.setdefault(row["run"], Run(settings, {})).numbers[row["metric"]] = row["value"]
    return list(found.values())


def is_number(value: Any) -> bool:
    """Whether a column's value is a finite number.

    >>> is_number("0.5"), is_number("mass"), is_number("null")
    (True, False, False)
    """
    try:
        return bool(np.isfinite(float(value)))
    except ValueError:
        return False
