"""Errors of every arm on every start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure


def draw(records: Sequence[dict[str, Any]], names: Sequence[str], path: Path) -> None:
    """Error of the mean and of the spread, a dot a start and a bar for their mean."""
    figure = Figure((10, 0.35 * len(names) + 1.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"mmse": "error of the mean, squared", "smse": "error of the spread, squared"}
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        for height, name in enumerate(reversed(names)):
            values = [record[key] for record in records if record["arm"] == name]
            axes.plot(values, [height] * len(values), "o", color="#0072b2", alpha=0.4, markeredgewidth=0)
            axes.plot([mean(values)], [height], "|", color="black", markersize=14, markeredgewidth=2)
        axes.set(xscale="log", xlabel=title)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), list(reversed(names)))
    figure.savefig(path, dpi=150)
