"""Paired differences as they are printed, as a document has them, and as another program reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from physgen.experiments.measure.intervals import Interval
from physgen.experiments.measure.paired import Difference
from physgen.experiments.measure.tables import Cell, Table, text
from physgen.experiments.results.options import ResultsConfig


def printed(found: Sequence[Difference], config: ResultsConfig, samples: str) -> list[Table]:
    """A table for each group that fits 80 columns: the baseline, then an arm a row, with two digits.

    Of all samples, where any is degenerate, the share of them is shown.
    """
    tables = []
    for group in dict.fromkeys(tuple(one.group.items()) for one in found):
        arms = [one for one in found if tuple(one.group.items()) == group]
        base = max(arms, key=lambda one: one.n)
        rows = [[config.baseline, str(base.n), short(base.baseline), "", "", short(base.baseline_degenerate)]]
        rows += [
            [one.arm, str(one.n), short(one.mean), short(one.difference), short(one.p_holm), short(one.degenerate)]
            for one in arms
        ]
        columns = [config.axis, "n", "mean [95 %]", f"less {config.baseline} [95 %]", "p (Holm)", "degenerate"]
        if not any(one.degenerate > 0 or one.baseline_degenerate > 0 for one in arms):
            columns, *rows = (row[:-1] for row in [columns, *rows])
        title = ", ".join(
            [found[0].metric, *(f"{key}={value}" for key, value in group), *([samples] if samples else [])]
        )
        unpaired = sorted({seed for one in arms for seed in one.unpaired})
        if unpaired:
            title += f"\nno finite value in both arms, left out: seed {', '.join(map(str, unpaired))}"
        elif all(one.n == base.n for one in arms):
            title += f", n = {base.n}"
            columns, *rows = ([first, *others] for first, _, *others in [columns, *rows])
        tables.append(Table(title, columns, rows))
    return tables


def short(cell: Cell) -> str:
    """A cell with two digits, and exponents without zeros.

    >>> short(Interval(2.345e-11, 1e-11, 3e-9)), short(0.0352)
    ('2.3e-11 [1e-11, 3e-9]', '0.035')
    """
    return text(cell, 2).replace("e-0", "e-").replace("e+0", "e+")


def written(found: Sequence[Difference], config: ResultsConfig, samples: str) -> Table:
    """A row an arm and group, with the share of degenerate samples; seeds without a finite value in both are named."""
    rows: list[list[Cell]] = []
    for one in found:
        figures: list[Cell] = [one.mean, one.median, one.baseline.estimate, one.difference, one.p_holm, one.degenerate]
        missing = ", ".join(map(str, one.unpaired)) or "none"
        rows.append([*one.group.values(), one.arm, str(one.n), *figures, missing])
    heads = [*config.groups, config.axis, "n", "mean", "median", config.baseline]
    title = f"{config.sweep}: {found[0].metric}, 95 % bootstrap intervals over seeds" + (samples and f", {samples}")
    return Table(title, [*heads, f"less {config.baseline}", "p (Holm)", "degenerate", "seeds left out"], rows)


def record(one: Difference, config: ResultsConfig, samples: str) -> dict[str, Any]:
    """One difference, flat."""
    return {
        "metric": one.metric,
        "samples": samples or "all",
        **one.group,
        config.axis: one.arm,
        "n": one.n,
        **flat("mean", one.mean),
        "median": one.median,
        **flat("baseline", one.baseline),
        **flat("difference", one.difference),
        "p": one.p,
        "p_holm": one.p_holm,
        "degenerate": one.degenerate,
        "baseline_degenerate": one.baseline_degenerate,
        "unpaired": " ".join(map(str, one.unpaired)),
    }


def flat(name: str, interval: Interval) -> dict[str, float]:
    """An interval as three columns.

    >>> flat("mean", Interval(2.0, 1.0, 3.0))
    {'mean': 2.0, 'mean_low': 1.0, 'mean_high': 3.0}
    """
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
