"""Residual of the estimate over the denoising steps, and of the finished video."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, LAWS, legend, log_where_wide, sized

QUARTILES = (25, 50, 75)


def make(spec: FigureSpec, store: Store) -> Made:
    """A panel a law; before the correction at each corrected step, and in the end what was delivered."""
    sweep, arms = spec.arms(store)
    logged: dict[str, dict[int, float]] = defaultdict(dict)
    for row in sweep.rows("steps"):
        logged[row["run"]][row["step"]] = row["residual"]
    laws = list(dict.fromkeys(arm.set["law"] for arm in arms))
    last = max(step for steps in logged.values() for step in steps)
    picture = sized(2.4)
    axes = picture.subplots(1, len(laws), squeeze=False)[0]
    for panel, law in zip(axes, laws, strict=True):
        for arm in (one for one in arms if one.set["law"] == law):
            look = ARMS[arm.set["guidance"]]
            steps = sorted(set.intersection(*(set(logged[run]) for run in arm.runs)))
            residual = np.array([[logged[run][step] for step in steps] for run in arm.runs], float).reshape(
                -1, len(steps)
            )
            delivered = sweep.column(arm, f"violation/{law}")
            low, middle, high = np.percentile(np.column_stack([residual, delivered]), QUARTILES, axis=0)
            x = [*steps, last + 1]
            panel.plot(x, middle, look.dash, color=look.colour, marker=look.marker, markevery=[-1], label=look.name)
            panel.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)
        panel.set(title=LAWS[law], xlabel="denoising step")
        log_where_wide(panel)
        panel.axvline(last + 0.5, color="#bbbbbb", linewidth=0.8)
    axes[0].set_ylabel("residual (dimensionless)")
    legend(picture, axes[0], 4)
    numbers = {"n": Number(spec.seeds, (spec.sweep,), spec.seeds), "steps": Number(last + 1, (spec.sweep,))}
    return Made(numbers=numbers, picture=picture)
