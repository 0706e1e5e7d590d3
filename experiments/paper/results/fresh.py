"""A stated part of the runs made again, and compared with what is committed."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from physgen.errors import InvalidArgument
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec, read_figures
from physgen.experiments.runs.collect import collect


def rerun(paper: Path) -> int:
    """Run what ``fresh`` in ``figures.yaml`` states, print a row a number; 1 if any is beyond its tolerance.

    |again - committed| <= absolute + relative |committed|

    Raises: InvalidArgument for committed runs that are missing.
    """
    from physgen.experiments.ablate.job import run as ablate

    version, _ = read_figures(paper / "figures.yaml")
    stated = yaml.safe_load((paper / "figures.yaml").read_text(encoding="utf-8"))["fresh"]
    metrics, absolute, relative = (stated.pop(key) for key in ("metrics", "absolute", "relative"))
    spec = FigureSpec("fresh", "", "", **stated)
    sweep, arms = spec.arms(Store(paper / "results", version))
    with tempfile.TemporaryDirectory() as folder:
        axes = [f"{key}={','.join(values)}" for key, values in spec.runs.items()]
        seeds = ",".join(map(str, range(spec.seeds)))
        if ablate(["-m", f"seed={seeds}", *axes, f"runs={folder}"]):
            raise InvalidArgument("runs", " ".join(axes), "runs that finish")
        again = {key(row, spec): row["value"] for row in collect(Path(folder), "sweep").rows}
    rows: list[list[Cell]] = []
    for arm, (seed, run) in product(arms, enumerate(zip(*[arm.runs for arm in arms], strict=True))):
        own = run[arms.index(arm)]
        for metric in metrics:
            committed = sweep.values.get((own, metric))
            if committed is None:
                continue
            new = again.get((*arm.set.values(), str(seed), metric), np.nan)
            good = abs(new - committed) <= absolute + relative * abs(committed)
            rows.append([*arm.set.values(), str(seed), metric, committed, float(new), "yes" if good else "NO"])
    title = f"made again: within {absolute:g} + {relative:g} of the committed value"
    Table(title, [*spec.runs, "seed", "number", "committed", "again", "agrees"], rows).show(
        Console(highlight=False, soft_wrap=True)
    )
    return int(not rows or any(row[-1] == "NO" for row in rows))


def key(row: dict[str, Any], spec: FigureSpec) -> tuple[str, ...]:
    """What a number is of: settings, seed and metric."""
    return (*(row[axis] for axis in spec.runs), str(row["seed"]), row["metric"])
